"""`crontab` against two kept libraries: croniter, whose arithmetic is another than ours, and cronsim with zones.

croniter is asked with its OR of day and weekday switched off, cronsim likewise. Around clock changes libraries
differ on purpose; cronsim follows the same rules as we do (Debian cron's), where the change is the usual one
hour at night. Elsewhere it errs, which is why we do not use its zones; test_crontab.py looks at each minute there.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter
from cronsim import CronSim
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from limelight.crontab import Crontab, crontab
from limelight.errors import ConfigurationError

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
INSTANTS = st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Sydney", "Africa/Cairo")


@st.composite
def pieces(draw: st.DrawFn, low: int, high: int) -> str:
    """One piece of a field: a number, a range, a range with a step, a star with a step.

    No range of one number: both libraries take ``0-0`` for everything.
    """
    first = draw(st.integers(low, high - 1))
    last = draw(st.integers(first + 1, high))
    step = draw(st.integers(1, last - first))
    forms = [str(draw(st.integers(low, high))), f"{first}-{last}", f"{first}-{last}/{step}"]
    return draw(st.sampled_from(forms if high == 6 else [*forms, f"*/{step}"]))


@st.composite
def expressions(draw: st.DrawFn) -> list[str]:
    """Five fields that both `crontab` and cron's notation understand alike, and that some day fits."""
    fields = []
    for low, high in BOUNDS:
        listed = st.lists(pieces(low, high), min_size=1, max_size=3).map(",".join)
        fields.append(draw(st.just("*") | listed))
    try:
        crontab(*fields)
    except ConfigurationError:
        assume(False)
    return fields


def following(schedule: Crontab, when: datetime, count: int) -> list[datetime]:
    """The next `count` due times."""
    found = []
    for _ in range(count):
        when = schedule.next_after(when)
        found.append(when)
    return found


@settings(deadline=None)
@given(expressions(), INSTANTS)
def test_croniter_finds_the_same_times_in_utc_forwards_and_backwards(
    fields: list[str], when: datetime
) -> None:
    schedule = crontab(*fields)
    try:
        oracle = croniter(" ".join(fields), when, day_or=False, max_years_between_matches=50)
        expected = [oracle.get_next(datetime) for _ in range(4)]
        back = croniter(" ".join(fields), expected[-1], day_or=False, max_years_between_matches=50)
    except CroniterBadDateError:
        assume(False)
    assert following(schedule, when, 4) == expected
    found, until = [], expected[-1] - timedelta(microseconds=1)
    for _ in range(3):
        latest = schedule.latest_between(when, until)
        assert latest is not None
        found.append(latest)
        until = latest - timedelta(microseconds=1)
    assert found == [back.get_prev(datetime) for _ in range(3)]


def changes_clock(place: ZoneInfo, since: datetime, until: datetime) -> bool:
    """Whether a clock there is put forward or back within the time."""
    days = range((until - since) // DAY + 2)
    return len({(since + day * DAY).astimezone(place).utcoffset() for day in days}) > 1


@settings(deadline=None)
@given(expressions(), INSTANTS, st.sampled_from(ZONES))
def test_croniter_finds_the_same_times_by_the_clock_of_a_place(
    fields: list[str], when: datetime, zone: str
) -> None:
    due = crontab(*fields, tz=zone).next_after(when)
    place = ZoneInfo(zone)
    assume(due - when < 400 * DAY)
    assume(not changes_clock(place, when - DAY, due + DAY))
    oracle = croniter(" ".join(fields), when.astimezone(place).replace(tzinfo=None), day_or=False)
    assert oracle.get_next(datetime) == due.astimezone(place).replace(tzinfo=None)


CHANGES = ("2024-03-31", "2024-10-27", "2025-03-30", "2026-10-25")
"""When Berlin's clocks change."""


@settings(deadline=None)
@given(expressions(), st.sampled_from(CHANGES), st.integers(0, 2_880))
def test_cronsim_finds_the_same_times_on_the_days_on_which_berlins_clocks_change(
    fields: list[str], date: str, minutes: int
) -> None:
    minute, hour, *_ = fields
    when = datetime.fromisoformat(date).replace(tzinfo=UTC) - DAY + minutes * MINUTE
    place = ZoneInfo("Europe/Berlin")
    times = CronSim(f"{minute} {hour} * * *", when.astimezone(place))
    times.day_and = True
    expected = [due.astimezone(UTC) for due in islice(times, 30)]
    assert following(crontab(minute, hour, tz="Europe/Berlin"), when, 30) == expected
