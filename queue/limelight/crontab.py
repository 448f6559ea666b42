"""When a periodic task is due: Huey's ``crontab``, with time zones.

A schedule answers two questions, both in aware UTC: what is the next due time, and which was the latest due
time between two instants. Neither walks minute by minute, so a scheduler may ask about years.

**Fields.** Each takes an int or text: ``5``, ``*``, ``*/15``, ``9-17``, ``8-18/2``, lists of these
(``0,30``), and ranges that wrap around (``hour="22-4"``). Sunday is 0 and also 7. A time is due when **all**
fields match: as in Huey, and unlike cron, ``day`` and ``day_of_week`` are joined by AND
(``day="1-7", day_of_week=1`` is the first Monday).

**Daylight saving**, by Debian cron's rules:

==========================================  =================================  ==============================
schedule                                    hour skipped in spring             hour repeated in autumn
==========================================  =================================  ==============================
minute and hour both named (``30``, ``2``)  its times fall together at the     runs once, the first time
                                            first moment after the gap
minute or hour begins with ``*``            is not there: elapsed time goes    runs in both, elapsed time
                                            on                                 goes on
==========================================  =================================  ==============================
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from .errors import ConfigurationError

_SECOND: Final = timedelta(seconds=1)
_MINUTE: Final = timedelta(minutes=1)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Crontab:
    """A schedule by wall clock; made by ``crontab()``, which checks what this class believes.

    Attributes:
        expression: Minute, hour, day, month and day of week in cron's order, ranges and steps written out.
        tz: The place whose wall clock counts.
        by_elapsed_time: Whether minute or hour began with ``*``, which decides how daylight saving is met.
    """

    expression: str
    tz: tzinfo = UTC
    by_elapsed_time: bool = False

    def __call__(self, when: datetime) -> bool:
        """Say whether this minute is due (Huey's ``validate_datetime``).

        Args:
            when: An aware time, or a naive one by the schedule's own wall clock. Seconds are ignored.
        """
        local = when if when.tzinfo else when.replace(tzinfo=self.tz)
        minute = local.astimezone(UTC).replace(second=0, microsecond=0)
        return self.next_after(minute - _SECOND) == minute

    def next_after(self, when: datetime) -> datetime:
        """Return the first due time strictly later than ``when``.

        Args:
            when: An aware time.

        Returns:
            An aware UTC time on a whole minute. There always is one.
        """
        start = when.astimezone(UTC)
        return self._next_by_elapsed_time(start) if self.by_elapsed_time else self._next_by_wall_clock(start)

    def latest_between(self, after: datetime, until: datetime) -> datetime | None:
        """Return the last due time in ``(after, until]``, or None; cheap however far apart they are."""
        latest = self.next_after(after)
        if latest > until:
            return None
        quiet_from = until  # nothing later than this, up to `until`, is due
        while quiet_from - latest >= _MINUTE:
            middle = latest + (quiet_from - latest) / 2
            due = self.next_after(middle)
            if due <= until:
                latest = due
            else:
                quiet_from = middle
        return latest

    def _next_by_wall_clock(self, start: datetime) -> datetime:
        """Find the next time that the wall clock shows a due time for the first time, or jumps over one."""
        instants = map(self._instant, _matches(self.expression, self._wall(start)))
        return next(instant for instant in instants if instant > start)

    def _next_by_elapsed_time(self, start: datetime) -> datetime:
        """Find the next instant whose wall clock matches, going from one clock change to the next."""
        since, wall = start, self._wall(start)
        while True:
            due = since + (next(_matches(self.expression, wall)) - self._wall(since))
            change = self._clock_change(since, due)
            if change is None:
                return due
            since, wall = change, self._wall(change) - _SECOND

    def _wall(self, instant: datetime) -> datetime:
        return instant.astimezone(self.tz).replace(tzinfo=None, fold=0)

    def _instant(self, wall: datetime) -> datetime:
        """Return when the wall clock first shows ``wall``, or the moment at which it jumps over it."""
        instant = wall.replace(tzinfo=self.tz).astimezone(UTC)
        while self._wall(instant) != wall:
            wall += _MINUTE
            instant = wall.replace(tzinfo=self.tz).astimezone(UTC)
        return instant

    def _offset(self, instant: datetime) -> timedelta | None:
        return instant.astimezone(self.tz).utcoffset()

    def _clock_change(self, since: datetime, until: datetime) -> datetime | None:
        """Return the first moment up to ``until`` with another UTC offset than at ``since``, or None."""
        offset = self._offset(since)
        while since < until:
            ahead = min(since + _DAY, until)
            if self._offset(ahead) != offset:
                seconds = range(int(since.timestamp()), int(ahead.timestamp()))
                unchanged = bisect.bisect_left(
                    seconds, True, key=lambda at: self._offset(datetime.fromtimestamp(at, UTC)) != offset
                )
                return datetime.fromtimestamp(seconds.start + unchanged, UTC)
            since = ahead
        return None


class _CrontabMaker:
    """The type of ``crontab``, so that it can be called and still has ``hourly`` and ``daily``."""

    def __call__(
        self,
        minute: int | str = "*",
        hour: int | str = "*",
        day: int | str = "*",
        month: int | str = "*",
        day_of_week: int | str = "*",
        strict: bool = True,
        *,
        tz: str | tzinfo | None = None,
    ) -> Crontab:
        """Make a schedule; the module's text says what fields may hold and how clock changes are met.

        Args:
            minute: 0 to 59.
            hour: 0 to 23.
            day: Day of the month, 1 to 31.
            month: 1 to 12.
            day_of_week: 0 (Sunday) to 6, and 7 for Sunday too; ``*/n`` is refused, as in Huey.
            strict: False leaves out the pieces of a list that cannot be read, which is what Huey does unless
                told otherwise. Numbers out of range, and fields with nothing left, are refused all the same.
            tz: IANA name (``Europe/Berlin``) or ``tzinfo``; UTC if None.

        Raises:
            ConfigurationError: A field or the zone cannot be used (all faults are named), or the schedule can
                never be due, as on 31 February.
        """
        given = {"minute": minute, "hour": hour, "day": day, "month": month, "day_of_week": day_of_week}
        faults: list[str] = []
        fields = [_field_text(name, value, strict=strict, faults=faults) for name, value in given.items()]
        place = _zone(tz, faults)
        if faults:
            raise ConfigurationError("crontab cannot be used: " + "; ".join(faults))
        expression = " ".join(fields)
        if not _ever_matches(expression):
            dates = f"day={day!r}, month={month!r}, day_of_week={day_of_week!r}"
            raise ConfigurationError(f"crontab cannot be used: no date ever matches {dates}")
        return Crontab(expression, place, f"{minute}".startswith("*") or f"{hour}".startswith("*"))

    def hourly(
        self,
        minute: int | str = 0,
        hour: int | str = "*",
        day: int | str = "*",
        month: int | str = "*",
        day_of_week: int | str = "*",
        strict: bool = True,
        *,
        tz: str | tzinfo | None = None,
    ) -> Crontab:
        """Make a schedule that is due once an hour, on the hour unless ``minute`` says otherwise."""
        return self(minute, hour, day, month, day_of_week, strict, tz=tz)

    def daily(
        self,
        minute: int | str = 0,
        hour: int | str = 0,
        day: int | str = "*",
        month: int | str = "*",
        day_of_week: int | str = "*",
        strict: bool = True,
        *,
        tz: str | tzinfo | None = None,
    ) -> Crontab:
        """Make a schedule that is due once a day, at midnight unless ``minute`` or ``hour`` say otherwise."""
        return self(minute, hour, day, month, day_of_week, strict, tz=tz)


crontab: Final = _CrontabMaker()
"""``crontab(minute="*", hour="*", day="*", month="*", day_of_week="*", tz=None)`` makes a schedule."""

_RANGES: Final = {
    "minute": range(60),
    "hour": range(24),
    "day": range(1, 32),
    "month": range(1, 13),
    "day_of_week": range(8),  # 7 is read as 0
}
_PIECE: Final = re.compile(
    r"(?P<one>\d{1,4})|(?:\*|(?P<low>\d{1,4})-(?P<high>\d{1,4}))(?:/(?P<step>\d{1,4}))?", re.ASCII
)


def _field_text(name: str, value: object, *, strict: bool, faults: list[str]) -> str:
    """Return one field in cron's words, written out; add to ``faults`` what is wrong with it."""
    if not isinstance(value, int | str):
        faults.append(f"{name}={value!r} is neither a number nor text")
        return ""
    members: set[int] = set()
    for piece in str(value).split(","):
        found = _PIECE.fullmatch(piece.strip())
        if found:
            members |= _members(name, found, faults)
        elif strict:
            faults.append(f"{name}={value!r} has a piece that cannot be read: {piece!r}")
    if not members and not faults:
        faults.append(f"{name}={value!r} matches nothing")
    everything = len(_RANGES[name]) - (name == "day_of_week")  # where Sunday counts twice
    return "*" if len(members) == everything else ",".join(map(str, sorted(members)))


def _members(name: str, piece: re.Match[str], faults: list[str]) -> set[int]:
    """Return the numbers that one piece of a field names, or add to ``faults``."""
    whole, step = _RANGES[name], int(piece["step"] or 1)
    low, high = int(piece["one"] or piece["low"] or whole[0]), int(piece["one"] or piece["high"] or whole[-1])
    if low not in whole or high not in whole:
        faults.append(f"{name}={piece[0]!r} is outside {whole[0]} to {whole[-1]}")
        return set()
    if step == 0:
        faults.append(f"{name}={piece[0]!r} has a step of 0")
        return set()
    if name != "day_of_week":
        return set(_span(whole, low, high)[::step])
    if piece["step"] and piece["low"] is None:
        faults.append(f"{name}={piece[0]!r} counts days across weeks: name the days, or a range with a step")
    return {day % 7 for day in _span(range(7), low, high)[::step]}


def _span(cycle: range, low: int, high: int) -> list[int]:
    """Return low to high, going round at the end of the cycle if high comes first."""
    if low <= high:
        return list(range(low, high + 1))
    return [*range(low, cycle.stop), *range(cycle.start, high + 1)]


def _zone(tz: str | tzinfo | None, faults: list[str]) -> tzinfo:
    """Return the zone, or add to ``faults``."""
    name = getattr(tz, "zone", tz)  # pytz's zones are wrong when attached to a time, their names are not
    if name is None or isinstance(name, tzinfo):
        return name or UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, TypeError, OSError):
        faults.append(f"tz={tz!r} is no time zone: give an IANA name such as 'Europe/Berlin', or a tzinfo")
        return UTC


def _matches(expression: str, wall: datetime) -> Iterator[datetime]:
    """Yield the wall clock times after ``wall`` that match, all naive.

    cronsim is shown no time zone: its own handling of clock changes errs where they happen at midnight
    (Cairo) or by half an hour (Lord Howe).
    """
    times = CronSim(expression, wall)
    times.day_and = True  # Huey's rule; cron's depends on which field begins with a star
    return times


def _ever_matches(expression: str) -> bool:
    """Say whether any date of a whole leap year cycle matches (cronsim gives up after 50 years)."""
    try:
        return next(_matches(expression, datetime(2000, 1, 1)), None) is not None
    except CronSimError:
        return False
