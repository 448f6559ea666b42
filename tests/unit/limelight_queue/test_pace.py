"""How many tasks a worker takes in one trip."""

import pytest

from limelight.consumer.pace import BUDGET_SECONDS, MOST, Pace


def settled(seconds: float, runs: int = 200) -> Pace:
    pace = Pace()
    for _ in range(runs):
        pace.note(seconds)
    return pace


def test_an_unknown_speed_is_taken_one_by_one() -> None:
    assert Pace().count == 1


@pytest.mark.parametrize("seconds", [0.0, 1e-6, 5e-6])
def test_no_ops_are_taken_in_full_batches(seconds: float) -> None:
    assert settled(seconds).count == MOST


@pytest.mark.parametrize("seconds", [2e-5, 1e-4, 5e-4, 1e-3])
def test_a_batch_is_about_the_budget_of_work(seconds: float) -> None:
    pace = settled(seconds)
    assert pace.count > 1
    assert pace.count * seconds <= BUDGET_SECONDS
    assert (pace.count + 1) * (seconds + 5e-5) > BUDGET_SECONDS * 0.9


@pytest.mark.parametrize("seconds", [0.003, 0.2, 60])
def test_slow_tasks_are_taken_one_by_one(seconds: float) -> None:
    assert settled(seconds).count == 1


def test_one_slow_task_counts_at_once_and_is_forgotten_slowly() -> None:
    pace = settled(1e-6)
    pace.note(0.2)
    assert pace.count == 1
    counts = []
    while pace.count < MOST:
        pace.note(1e-6)
        counts.append(pace.count)
    assert counts == sorted(counts)
    assert 20 <= counts.count(1) < 60
    assert len(counts) < 100


def test_where_one_in_twenty_is_slow_batches_stay_short() -> None:
    pace = settled(1e-6)
    for _ in range(10):
        pace.note(0.2)
        for _ in range(19):
            pace.note(1e-6)
            assert pace.count == 1
