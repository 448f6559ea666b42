"""Which due times are run, by policy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limelight.catch_up import MISSED_LIMIT, TOLERANCE, CatchUp, due_times, policy
from limelight.crontab import crontab
from limelight.errors import ConfigurationError
from limelight.schedule import every

HOURLY = crontab(minute=0)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


@pytest.mark.parametrize("catch_up", CatchUp)
def test_a_time_that_is_due_just_now_is_run_whatever_the_policy(catch_up: CatchUp) -> None:
    assert due_times(HOURLY, catch_up, after=NOON - SECOND, now=NOON) == [NOON]
    assert due_times(HOURLY, catch_up, after=NOON - SECOND, now=NOON + 2 * SECOND) == [NOON]


@pytest.mark.parametrize("catch_up", CatchUp)
def test_what_is_decided_is_decided(catch_up: CatchUp) -> None:
    assert due_times(HOURLY, catch_up, after=NOON, now=NOON) == []
    assert due_times(HOURLY, catch_up, after=NOON, now=NOON + HOUR - SECOND) == []
    assert due_times(HOURLY, catch_up, after=NOON, now=NOON - HOUR) == []


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        (CatchUp.LATEST, [NOON]),
        (CatchUp.ALL, [NOON - 2 * HOUR, NOON - HOUR, NOON]),
        (CatchUp.NONE, []),
    ],
)
def test_the_policy_decides_what_becomes_of_missed_times(catch_up: CatchUp, expected: list[datetime]) -> None:
    after, now = NOON - 3 * HOUR, NOON + 30 * 60 * SECOND
    assert due_times(HOURLY, catch_up, after=after, now=now) == expected


def test_late_by_the_tolerance_is_in_time_and_later_is_not() -> None:
    just = NOON + TOLERANCE
    assert due_times(HOURLY, CatchUp.NONE, after=NOON - 3 * HOUR, now=just) == [NOON]
    assert due_times(HOURLY, CatchUp.NONE, after=NOON - 3 * HOUR, now=just + SECOND) == []


def test_an_outage_of_years_is_made_up_for_within_bounds_newest_first_to_count() -> None:
    runs = due_times(HOURLY, CatchUp.ALL, after=NOON - 20_000 * HOUR, now=NOON)
    assert len(runs) == MISSED_LIMIT
    assert runs == [NOON - HOUR * back for back in reversed(range(MISSED_LIMIT))]


@given(
    st.sampled_from(CatchUp),
    st.integers(2, 600),
    st.integers(0, 3_000),
    st.lists(st.integers(0, 300), max_size=6),
)
def test_however_often_a_scheduler_looks_nothing_runs_twice_and_all_runs_everything(
    catch_up: CatchUp, step: int, start: int, pauses: list[int]
) -> None:
    """Looks at any moments: what they run is in order, and the policy "all" leaves nothing out."""
    schedule, decided, ran = every(step), NOON + start * SECOND, list[datetime]()
    begin = decided
    for pause in pauses:
        now = decided + pause * SECOND
        ran += due_times(schedule, catch_up, after=decided, now=now)
        decided = now
    assert ran == sorted(set(ran))
    every_one = due_times(schedule, CatchUp.ALL, after=begin, now=decided)
    assert set(ran) <= set(every_one)
    if catch_up is CatchUp.ALL:
        assert ran == every_one


@pytest.mark.parametrize("name", ["", "Latest", "every", "None"])
def test_a_policy_that_nobody_knows_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(ConfigurationError, match="take 'latest', 'all' or 'none'"):
        policy(name)
