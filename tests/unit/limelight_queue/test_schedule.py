"""What makes a task periodic besides `crontab`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limelight.crontab import crontab
from limelight.errors import ConfigurationError
from limelight.schedule import Every, MinuteCheck, Schedule, every, is_due, validated

MICROSECOND, MINUTE = timedelta(microseconds=1), timedelta(minutes=1)
INSTANTS = st.datetimes(datetime(1960, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def due_times(schedule: Schedule, after: str) -> Iterator[datetime]:
    when: datetime | None = utc(after)
    while when is not None and (when := schedule.next_after(when)):
        yield when


# -- every ---------------------------------------------------------------------------------------------
def test_every_is_due_at_multiples_of_its_seconds_whoever_asks_and_when() -> None:
    found = list(islice(due_times(every(20), "2026-03-01T11:59:45.5"), 3))
    assert found == [utc("2026-03-01T12:00"), utc("2026-03-01T12:00:20"), utc("2026-03-01T12:00:40")]
    assert list(islice(due_times(every(86_400), "2026-03-01T11:00"), 1)) == [utc("2026-03-02T00:00")]


def test_every_takes_a_timedelta() -> None:
    assert every(timedelta(minutes=1.5)) == every(90) == Every(90)


@given(st.integers(1, 366 * 86_400), INSTANTS, INSTANTS)
def test_no_due_time_lies_between_two_neighbours(seconds: int, when: datetime, other: datetime) -> None:
    schedule = every(seconds)
    due = schedule.next_after(when)
    step = timedelta(seconds=seconds)
    assert when < due <= when + step
    assert due.timestamp() % seconds == 0
    assert schedule.latest_between(due - step, due - MICROSECOND) is None
    assert schedule.latest_between(when, due) == due
    latest = schedule.latest_between(other, when)
    assert latest == (due - step if due - step > other else None)


@pytest.mark.parametrize(
    "wrong",
    [0, -1, 0.5, 1.0, True, "10", None, 366 * 86_400 + 1, 10**400, timedelta(0), timedelta(seconds=1.5)],
)
def test_what_is_no_whole_number_of_seconds_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"every\(.*whole seconds from 1 to 366 days"):
        every(wrong)


# -- Functions and others ------------------------------------------------------------------------------
def test_a_plain_function_becomes_a_schedule_that_is_asked_minute_by_minute() -> None:
    schedule = validated(lambda now: now.hour == 3 and now.minute in (10, 40))
    start, end = utc("2024-06-01T00:00:30"), utc("2024-06-01T03:40")
    assert list(islice(due_times(schedule, "2024-06-01T03:10"), 2)) == [end, utc("2024-06-02T03:10")]
    assert schedule.latest_between(start, end) == end
    assert schedule.latest_between(start, end - MINUTE) == utc("2024-06-01T03:10")
    assert schedule.latest_between(end, end) is None


def test_a_plain_function_is_asked_in_aware_utc_on_whole_minutes() -> None:
    asked: list[datetime] = []
    schedule = validated(lambda now: bool(asked.append(now)) or True)
    schedule.next_after(datetime(2024, 6, 1, 12, 0, 30, 5, tzinfo=ZoneInfo("Asia/Kolkata")))
    assert asked == [utc("2024-06-01T06:31")]
    assert asked[0].tzinfo is UTC


def test_a_function_that_never_says_yes_is_given_up() -> None:
    asked: list[datetime] = []
    schedule = MinuteCheck(lambda now: bool(asked.append(now)))
    now = utc("2024-06-01T00:00")
    assert schedule.latest_between(now - timedelta(days=30), now) is None
    assert asked[-1] == now - timedelta(hours=24)
    asked.clear()
    assert schedule.next_after(now) is None
    assert asked[-1] == now + timedelta(days=366)


def test_a_schedule_is_taken_as_it_is() -> None:
    noon = crontab(0, 12)
    assert validated(noon) is noon


@pytest.mark.parametrize("wrong", [crontab, every, "0 12 * * *", None, 5])
def test_what_is_no_schedule_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigurationError, match="schedule"):
        validated(wrong)


# -- Asked by a person ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("schedule", "when", "expected"),
    [
        (crontab(30, 12, tz="Europe/Berlin"), datetime(2026, 6, 1, 12, 30, 59, 999_999), True),
        (crontab(30, 12, tz="Europe/Berlin"), datetime(2026, 6, 1, 10, 30), False),
        (crontab(30, 12, tz="Europe/Berlin"), utc("2026-06-01T10:30:59.999999"), True),
        (crontab(30, 12, tz="Europe/Berlin"), utc("2026-06-01T10:31"), False),
        (crontab(30, 12), datetime(2026, 6, 1, 7, 30, tzinfo=timezone(timedelta(hours=-5))), True),
        (every(90), utc("2026-06-01T00:01:01"), True),
        (every(90), utc("2026-06-01T00:02"), False),
        (MinuteCheck(lambda now: now.minute == 7), datetime(2026, 6, 1, 7, 7, 30), True),
        (MinuteCheck(lambda now: now.minute == 7), datetime(2026, 6, 1, 7, 8), False),
    ],
)
def test_a_minute_is_due_when_a_due_time_lies_in_it(
    schedule: Schedule, when: datetime, expected: bool
) -> None:
    assert is_due(schedule, when) is expected
