"""When periodic tasks are due."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from limelight.crontab import Crontab, crontab
from limelight.errors import ConfigurationError
from limelight.schedule import Schedule

MINUTE = timedelta(minutes=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def due_times(schedule: Schedule, after: str) -> Iterator[datetime]:
    when: datetime | None = utc(after)
    while when is not None and (when := schedule.next_after(when)):
        yield when


def local_times(schedule: Crontab, after: str, count: int) -> list[str]:
    """The next `count` due times after a UTC time, as the schedule's own wall clock and offset."""
    return [f"{due.astimezone(schedule.tz):%d %H:%M %z}" for due in islice(due_times(schedule, after), count)]


# -- Fields --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "* * * * *"),
        ({"minute": 5}, "5 * * * *"),
        ({"minute": "5"}, "5 * * * *"),
        ({"minute": 0}, "0 * * * *"),
        ({"minute": "*/15"}, "0,15,30,45 * * * *"),
        ({"minute": "*/90"}, "0 * * * *"),
        ({"minute": "*/1"}, "* * * * *"),
        ({"minute": "0-59"}, "* * * * *"),
        ({"minute": "50-10/5"}, "0,5,10,50,55 * * * *"),
        ({"minute": "0,30, 45"}, "0,30,45 * * * *"),
        ({"hour": "9-17"}, "* 9,10,11,12,13,14,15,16,17 * * *"),
        ({"hour": "8-18/4"}, "* 8,12,16 * * *"),
        ({"hour": "22-4"}, "* 0,1,2,3,4,22,23 * * *"),
        ({"hour": "22-4/2"}, "* 0,2,4,22 * * *"),
        ({"day": "30-2"}, "* * 1,2,30,31 * *"),
        ({"day": "*/10"}, "* * 1,11,21,31 * *"),
        ({"month": "11-2"}, "* * * 1,2,11,12 *"),
        ({"month": "*/3"}, "* * * 1,4,7,10 *"),
        ({"day_of_week": 0}, "* * * * 0"),
        ({"day_of_week": 7}, "* * * * 0"),
        ({"day_of_week": "5-7"}, "* * * * 0,5,6"),
        ({"day_of_week": "7-2"}, "* * * * 0,1,2"),
        ({"day_of_week": "5-1"}, "* * * * 0,1,5,6"),
        ({"day_of_week": "1-5/2"}, "* * * * 1,3,5"),
        ({"day_of_week": "0-7"}, "* * * * *"),
        ({"day_of_week": "0-6"}, "* * * * *"),
        ({"minute": "0,often", "strict": False}, "0 * * * *"),
    ],
)
def test_a_field_holds_numbers_stars_steps_ranges_and_lists(fields: dict[str, Any], expected: str) -> None:
    assert crontab(**fields).expression == expected


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"minute": 60}, "minute='60' is outside 0 to 59"),
        ({"minute": -1}, "minute=-1 has a piece that cannot be read: '-1'"),
        ({"minute": ""}, "minute='' has a piece that cannot be read: ''"),
        ({"minute": "5,"}, "minute='5,' has a piece that cannot be read: ''"),
        ({"minute": "*/0"}, "minute='*/0' has a step of 0"),
        ({"minute": "5/15"}, "minute='5/15' has a piece"),
        ({"minute": "99999999999999999999"}, "minute='99999999999999999999' has a piece"),
        ({"minute": "\u0665"}, "minute='\u0665' has a piece"),
        ({"minute": True}, "minute=True has a piece"),
        ({"minute": 1.5}, "minute=1.5 is neither a number nor text"),
        ({"minute": None}, "minute=None is neither a number nor text"),
        ({"hour": [1, 2]}, "hour=[1, 2] is neither"),
        ({"hour": "20-24"}, "hour='20-24' is outside 0 to 23"),
        ({"day": 0}, "day='0' is outside 1 to 31"),
        ({"month": 13}, "month='13' is outside 1 to 12"),
        ({"month": "JAN"}, "month='JAN' has a piece"),
        ({"day_of_week": 8}, "day_of_week='8' is outside 0 to 7"),
        ({"day_of_week": "*/2"}, "day_of_week='*/2' counts days across weeks"),
        ({"minute": "often", "strict": False}, "minute='often' matches nothing"),
        ({"minute": "60", "strict": False}, "minute='60' is outside"),
        ({"tz": "Mars/Olympus"}, "tz='Mars/Olympus' is no time zone"),
        ({"tz": "Europe"}, "tz='Europe' is no time zone"),
        ({"tz": "../../etc/passwd"}, "is no time zone"),
        ({"tz": ""}, "tz='' is no time zone"),
        ({"tz": 3}, "tz=3 is no time zone"),
        ({"day": 31, "month": 2}, "no date ever matches day=31, month=2"),
        ({"day": 30, "month": 2, "day_of_week": 1}, "no date ever matches day=30, month=2, day_of_week=1"),
        ({"day": "31", "month": "4,6,9,11"}, "no date ever matches day='31', month='4,6,9,11'"),
    ],
)
def test_what_cannot_be_used_is_refused_and_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        crontab(**fields)
    assert named in str(refused.value)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as refused:
        crontab(minute=60, hour="noon", tz="Nowhere")
    message = str(refused.value)
    assert all(part in message for part in ("minute='60'", "hour='noon'", "tz='Nowhere'"))


def test_hourly_and_daily_are_as_in_huey() -> None:
    assert crontab.hourly() == crontab(minute=0)
    assert crontab.hourly(minute=30, day_of_week="1-5") == crontab(minute=30, day_of_week="1-5")
    assert crontab.hourly(hour="9-17,noon", strict=False) == crontab(minute=0, hour="9-17")
    assert crontab.daily() == crontab(minute=0, hour=0)
    assert crontab.daily(hour=4, tz="Europe/Berlin") == crontab(minute=0, hour=4, tz="Europe/Berlin")


# -- Due times -----------------------------------------------------------------------------------------
def test_day_and_day_of_week_must_both_match() -> None:
    first_mondays = crontab(0, 12, day="1-7", day_of_week=1)
    dates = [due.date().isoformat() for due in islice(due_times(first_mondays, "2024-01-01T13:00"), 3)]
    assert dates == ["2024-02-05", "2024-03-04", "2024-04-01"]


def test_leap_days_are_found_across_many_years() -> None:
    assert crontab(0, 0, 29, 2).next_after(utc("2096-03-01T00:00")) == utc("2104-02-29T00:00")
    assert crontab(0, 0, 29, 2, 1).next_after(utc("2024-03-01T00:00")) == utc("2044-02-29T00:00")


def test_a_plain_function_sees_the_minute_in_the_schedules_own_time() -> None:
    noon = crontab(0, 12, tz="Europe/Berlin")
    assert noon(datetime(2024, 6, 1, 12, 0, 59))
    assert not noon(datetime(2024, 6, 1, 12, 1))
    assert noon(utc("2024-06-01T10:00"))
    assert noon(datetime(2024, 6, 1, 5, 0, tzinfo=timezone(timedelta(hours=-5))))


def test_times_go_in_with_any_offset_and_come_out_in_utc() -> None:
    due = crontab(0, 12, tz="Asia/Kolkata").next_after(datetime(2024, 6, 1, tzinfo=ZoneInfo("Asia/Tokyo")))
    assert (due, due.tzinfo) == (utc("2024-06-01T06:30"), UTC)


def test_the_zone_may_be_a_tzinfo() -> None:
    assert crontab(0, 12, tz=timezone(timedelta(hours=2))).next_after(utc("2024-06-01T00:00")).hour == 10


BERLIN_FORWARD = "2024-03-31T00:20"  # 01:20 +01:00; the gap is 02:00 to 03:00
BERLIN_BACK = "2024-10-26T23:50"  # 01:50 +02:00; 02:00 to 03:00 comes twice
NEW_YORK_FORWARD = "2024-03-10T06:20"  # 01:20 -05:00; the gap is 02:00 to 03:00
NEW_YORK_BACK = "2024-11-03T04:50"  # 00:50 -04:00; 01:00 to 02:00 comes twice


@pytest.mark.parametrize(
    ("zone", "after", "fields", "expected"),
    [
        ("Europe/Berlin", BERLIN_FORWARD, (30, 2), ["31 03:00 +0200", "01 02:30 +0200"]),
        (
            "Europe/Berlin",
            BERLIN_FORWARD,
            ("0-59/20", "1-3"),
            ["31 01:40 +0100", "31 03:00 +0200", "31 03:20 +0200"],
        ),
        (
            "Europe/Berlin",
            BERLIN_FORWARD,
            ("*/20", "1-3"),
            ["31 01:40 +0100", "31 03:00 +0200", "31 03:20 +0200"],
        ),
        ("Europe/Berlin", BERLIN_FORWARD, ("*/20", 2), ["01 02:00 +0200"]),
        ("Europe/Berlin", BERLIN_FORWARD, (30, "*"), ["31 01:30 +0100", "31 03:30 +0200"]),
        ("Europe/Berlin", BERLIN_BACK, (30, 2), ["27 02:30 +0200", "28 02:30 +0100"]),
        ("Europe/Berlin", BERLIN_BACK, (30, "*"), ["27 02:30 +0200", "27 02:30 +0100", "27 03:30 +0100"]),
        (
            "Europe/Berlin",
            BERLIN_BACK,
            ("*/30", 2),
            ["27 02:00 +0200", "27 02:30 +0200", "27 02:00 +0100", "27 02:30 +0100"],
        ),
        ("America/New_York", NEW_YORK_FORWARD, (30, 2), ["10 03:00 -0400", "11 02:30 -0400"]),
        ("America/New_York", NEW_YORK_FORWARD, ("*/20", "1-3"), ["10 01:40 -0500", "10 03:00 -0400"]),
        ("America/New_York", NEW_YORK_BACK, (30, 1), ["03 01:30 -0400", "04 01:30 -0500"]),
        ("America/New_York", NEW_YORK_BACK, (0, "0-2"), ["03 01:00 -0400", "03 02:00 -0500"]),
        (
            "America/New_York",
            NEW_YORK_BACK,
            ("*/30", "1-2"),
            ["03 01:00 -0400", "03 01:30 -0400", "03 01:00 -0500"],
        ),
        ("Africa/Cairo", "2024-04-25T21:50", ("*/30", "1-2"), ["26 01:00 +0300", "26 01:30 +0300"]),
        ("Africa/Cairo", "2024-04-25T21:50", (15, "0"), ["26 01:00 +0300", "27 00:15 +0300"]),
        ("Australia/Lord_Howe", "2024-04-06T14:50", ("*/10", 2), ["07 02:00 +1030", "07 02:10 +1030"]),
        ("Australia/Lord_Howe", "2024-10-05T15:00", (10, 2), ["06 02:30 +1100", "07 02:10 +1100"]),
        ("Pacific/Apia", "2011-12-30T09:00", (0, 12), ["31 00:00 +1400", "31 12:00 +1400"]),
    ],
)
def test_clock_changes_are_met_by_debians_rules(
    zone: str, after: str, fields: tuple[int | str, ...], expected: list[str]
) -> None:
    assert local_times(crontab(*fields, tz=zone), after, len(expected)) == expected


def test_the_second_of_two_equal_hours_is_not_due_again() -> None:
    schedule = crontab("0-59", 2, tz="Europe/Berlin")
    assert schedule.next_after(utc("2024-10-27T00:59")) == utc("2024-10-28T01:00")
    assert schedule.next_after(utc("2024-10-27T01:10")) == utc("2024-10-28T01:00")
    assert not schedule(utc("2024-10-27T01:30"))


def test_many_missed_years_are_crossed_at_once() -> None:
    schedule = crontab(month=1, tz="Europe/Berlin")
    found = schedule.latest_between(utc("1990-01-01T00:00"), utc("2024-12-31T00:00"))
    assert found == utc("2024-01-31T22:59")


def test_latest_between_leaves_out_its_start_and_keeps_its_end() -> None:
    noon, day = crontab(0, 12), timedelta(days=1)
    due = utc("2024-06-01T12:00")
    assert noon.latest_between(due, due + day - MINUTE) is None
    assert noon.latest_between(due - MINUTE, due) == due
    assert noon.latest_between(due, due) is None
    assert noon.latest_between(due, due - day) is None


# -- Against minute by minute --------------------------------------------------------------------------
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Africa/Cairo", "Australia/Lord_Howe", "Asia/Kathmandu")
NEAR_CHANGES = (
    "2024-03-30T12:00", "2024-10-26T12:00", "2024-03-09T12:00", "2024-11-02T12:00", "2024-04-25T12:00",
    "2024-10-31T12:00", "2024-04-06T02:00", "2024-10-05T02:00", "2024-12-31T12:00", "2024-02-28T12:00",
)  # fmt: skip
SPAN = timedelta(hours=40)
EACH_MINUTE_AT_TWO = crontab("*", 2, tz="Europe/Berlin")


def naive_due_minutes(fields: list[Iterable[int]], schedule: Crontab, start: datetime) -> list[datetime]:
    """Every due minute of `SPAN` after `start`, found by looking at each one and at the clock before it."""
    minutes, hours, days, months, weekdays = map(set, fields)

    def fits(wall: datetime) -> bool:
        date_fits = wall.day in days and wall.month in months and wall.isoweekday() % 7 in weekdays
        return date_fits and wall.hour in hours and wall.minute in minutes

    def shown(instant: datetime) -> datetime:
        return instant.astimezone(schedule.tz).replace(tzinfo=None)

    found, before = [], shown(start)
    for number in range(1, SPAN // MINUTE + 1):
        instant = start + number * MINUTE
        wall = shown(instant)
        if schedule.by_elapsed_time:
            due = fits(wall)
        else:
            jumped = range(1, (wall - before) // MINUTE + 1)
            due = not wall.fold and any(fits(before + step * MINUTE) for step in jumped)
        if due:
            found.append(instant)
        before = wall
    return found


@st.composite
def schedules(draw: st.DrawFn) -> tuple[Crontab, list[Iterable[int]]]:
    """A schedule, and the numbers that its fields stand for."""
    texts, numbers = [], []
    for low, high in ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6)):
        everything = range(low, high + 1)
        some = draw(st.none() | st.sets(st.integers(low, high), min_size=1, max_size=5))
        step = draw(st.integers(1, 30)) if high >= 23 and some is None else 1
        texts.append((f"*/{step}" if step > 1 else "*") if some is None else ",".join(map(str, some)))
        numbers.append(everything[::step] if some is None else some)
    try:
        return crontab(*texts, tz=draw(st.sampled_from(ZONES))), numbers
    except ConfigurationError:
        return crontab(*texts[:2]), [*numbers[:2], range(1, 32), range(1, 13), range(7)]


@given(schedules(), st.sampled_from(NEAR_CHANGES), st.integers(0, 600))
@example((EACH_MINUTE_AT_TWO, [range(60), [2], range(32), range(13), range(7)]), NEAR_CHANGES[1], 0)
def test_nothing_is_skipped_and_nothing_is_added(
    drawn: tuple[Crontab, list[Iterable[int]]], start: str, minutes: int
) -> None:
    schedule, fields = drawn
    when = utc(start) + minutes * MINUTE
    expected = naive_due_minutes(fields, schedule, when)
    end = when + SPAN
    due = next_due = schedule.next_after(when)
    for minute in expected[:100]:
        assert next_due == minute
        next_due = schedule.next_after(next_due)
    assert schedule.latest_between(when, end) == (expected[-1] if expected else None)
    assert due > when
    assert schedule(due)
    assert all(schedule(minute) == (minute in expected) for minute in (when + SPAN / 4, when + SPAN / 2))


@given(schedules(), st.datetimes(datetime(1990, 1, 1), datetime(2080, 1, 1), timezones=st.just(UTC)))
def test_the_next_due_time_is_later_on_a_whole_minute_and_matches(
    drawn: tuple[Crontab, list[Iterable[int]]], when: datetime
) -> None:
    schedule, _ = drawn
    due = schedule.next_after(when)
    assert due > when
    assert (due.second, due.microsecond, due.tzinfo) == (0, 0, UTC)
    assert schedule(due)
    assert schedule.latest_between(when, due) == due
