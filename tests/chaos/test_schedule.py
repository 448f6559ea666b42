"""When faults strike."""

import itertools

import pytest
from chaos.faults import FAULTS
from chaos.schedule import PACKS, sort_of, strikes

TARGETS = [
    "consumer 1",
    "consumer 2",
    "consumer 2 worker",
    "consumer 1 line",
    "producer 1",
    "producer 1 line",
    "redis",
    "clock",
    "exporter",
]
SEEDS = [str(number) for number in range(50)]


def test_a_seed_says_what_strikes_when() -> None:
    assert strikes("one", 60, TARGETS) == strikes("one", 60, TARGETS)
    assert strikes("one", 60, TARGETS) != strikes("two", 60, TARGETS)


def test_what_strikes_one_target_does_not_depend_on_the_others() -> None:
    alone = strikes("one", 60, ["redis"])
    assert alone == [strike for strike in strikes("one", 60, TARGETS) if strike.target == "redis"]


@pytest.mark.parametrize("seed", SEEDS)
def test_faults_overlap_between_targets_and_never_within_one(seed: str) -> None:
    planned = strikes(seed, 60, TARGETS)
    for target in TARGETS:
        own = [strike for strike in planned if strike.target == target]
        assert all(one.at + one.seconds < two.at for one, two in itertools.pairwise(own))
    assert any(one.at + one.seconds > two.at for one, two in itertools.pairwise(planned))
    assert max(strike.at + strike.seconds for strike in planned) <= 60


@pytest.mark.parametrize("seed", SEEDS)
def test_also_a_short_run_strikes_every_target(seed: str) -> None:
    planned = strikes(seed, 20, TARGETS)
    assert {strike.target for strike in planned} == set(TARGETS)
    assert sum(strike.target == "redis" for strike in planned) >= 2


def test_every_fault_that_is_planned_is_one_that_can_strike() -> None:
    assert all(pack.faults.keys() <= FAULTS[sort].keys() for sort, pack in PACKS.items())
    assert {sort_of(target) for target in TARGETS} == PACKS.keys() == FAULTS.keys()
