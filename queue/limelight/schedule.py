"""What makes a task periodic: anything that knows its due times.

Besides `crontab` there is ``every(seconds=10)``, a plain function that is asked minute by minute, and whatever
else has the two methods of `Schedule`. All speak of aware UTC, so that any number of consumers, wherever they
run, find the same due times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Protocol, runtime_checkable

from .crontab import crontab
from .errors import ConfigurationError

_SECOND: Final = timedelta(seconds=1)
_MINUTE: Final = timedelta(minutes=1)
_LOOK_BACK: Final = timedelta(hours=24)
_LOOK_AHEAD: Final = timedelta(days=366)
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


@runtime_checkable
class Schedule(Protocol):
    """What a periodic task needs to know about its times; all of them aware, answers in UTC."""

    def next_after(self, when: datetime) -> datetime | None:
        """Return the first due time strictly later than ``when``, or None if there is none in sight."""

    def latest_between(self, after: datetime, until: datetime) -> datetime | None:
        """Return the last due time in ``(after, until]``, or None."""


@dataclass(frozen=True, slots=True)
class Every:
    """A schedule by elapsed time: due whenever the Unix time is a multiple of its seconds.

    It starts with no consumer, so however many there are and whenever they start, they agree.

    Attributes:
        seconds: From one due time to the next.
    """

    seconds: int

    def next_after(self, when: datetime) -> datetime:
        """Return the first due time strictly later than ``when``."""
        return self._at((when - _EPOCH) // self._step + 1)

    def latest_between(self, after: datetime, until: datetime) -> datetime | None:
        """Return the last due time in ``(after, until]``, or None."""
        latest = self._at((until - _EPOCH) // self._step)
        return latest if latest > after else None

    @property
    def _step(self) -> timedelta:
        return timedelta(seconds=self.seconds)

    def _at(self, number: int) -> datetime:
        return _EPOCH + number * self._step


def every(seconds: int | timedelta) -> Every:
    """Make a schedule that is due at each whole multiple of some seconds, counted from 1970 in UTC.

    ``every(10)`` is due at 12:00:00, 12:00:10, …; for places on a wall clock there is `crontab`.

    Args:
        seconds: Whole seconds from 1 to 366 days, or a timedelta of as much.

    Raises:
        ConfigurationError: It is anything else.
    """
    step = seconds if isinstance(seconds, timedelta) else timedelta(seconds=_whole(seconds))
    if step % _SECOND or not _SECOND <= step <= _LOOK_AHEAD:
        raise ConfigurationError(f"every({seconds!r}): give whole seconds from 1 to 366 days")
    return Every(step // _SECOND)


def _whole(seconds: object) -> int:
    return seconds if type(seconds) is int and 0 < seconds <= _LOOK_AHEAD // _SECOND else 0


@dataclass(frozen=True, slots=True)
class MinuteCheck:
    """A plain function as a schedule, asked once for each whole minute, in aware UTC.

    It looks back 24 hours and ahead 366 days at most: a function can only be tried, not solved.

    Attributes:
        is_due: Says whether a minute is due.
    """

    is_due: Callable[[datetime], bool]

    def next_after(self, when: datetime) -> datetime | None:
        """Return the first due minute strictly later than ``when``, or None within 366 days."""
        minute = _whole_minute(when) + _MINUTE
        return self._first(minute, _MINUTE, _LOOK_AHEAD // _MINUTE)

    def latest_between(self, after: datetime, until: datetime) -> datetime | None:
        """Return the last due minute in ``(after, until]``, or None; looks back 24 hours from ``until``."""
        newest = _whole_minute(until)
        oldest = max(_whole_minute(after) + _MINUTE, newest - _LOOK_BACK)
        return self._first(newest, -_MINUTE, (newest - oldest) // _MINUTE + 1)

    def _first(self, start: datetime, step: timedelta, count: int) -> datetime | None:
        minutes = (start + number * step for number in range(count))
        return next((minute for minute in minutes if self.is_due(minute)), None)


def validated(schedule: object) -> Schedule:
    """Return a schedule for what was given to ``periodic_task``.

    Args:
        schedule: A ``Crontab``, anything else with the methods of ``Schedule``, or a function that takes an
            aware UTC minute and says whether it is due.

    Raises:
        ConfigurationError: It is none of these.
    """
    if schedule is crontab or schedule is every:
        raise ConfigurationError(
            "a periodic task needs a schedule: write crontab(...) or every(...), with its parentheses"
        )
    if isinstance(schedule, Schedule):
        return schedule
    if callable(schedule):
        return MinuteCheck(schedule)
    raise ConfigurationError(
        f"{schedule!r} is no schedule: give crontab(...), every(...), or a function from a datetime to a bool"
    )


def is_due(schedule: Schedule, when: datetime) -> bool:
    """Say whether anything is due within one minute (Huey's ``validate_datetime``).

    Args:
        schedule: Which.
        when: Any time in the minute: aware, or naive by the schedule's own wall clock (UTC if it has none).
    """
    place = getattr(schedule, "tz", UTC)
    local = when if when.tzinfo else when.replace(tzinfo=place if isinstance(place, tzinfo) else UTC)
    minute = _whole_minute(local)
    return schedule.latest_between(minute - _SECOND, minute + _MINUTE - _SECOND) is not None


def _whole_minute(when: datetime) -> datetime:
    return when.astimezone(UTC).replace(second=0, microsecond=0)
