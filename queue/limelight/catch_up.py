"""What becomes of due times that passed while nobody ran. Pure: the clock is an argument.

A scheduler that looks knows up to which moment the due times of a task are decided, and what time it is now by
Redis' clock. What lies between is due, and mostly that is one time. After an outage it may be many; then the
task's policy decides.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from .errors import ConfigurationError
from .schedule import Schedule

TOLERANCE: Final = timedelta(seconds=60)
"""A due time that is noticed this late at most was not missed: a consumer restarts in less."""

MISSED_LIMIT: Final = 1_000
"""So many missed due times are made up for at once at most, the newest ones."""

_MICROSECOND: Final = timedelta(microseconds=1)


class CatchUp(StrEnum):
    """The policy of a periodic task.

    LATEST: one run, for the latest missed due time.
    ALL: one run for each missed due time, oldest first, for the newest ``MISSED_LIMIT`` of them.
    NONE: no run, unless the latest is at most ``TOLERANCE`` late.
    """

    LATEST = "latest"
    ALL = "all"
    NONE = "none"


def policy(name: str) -> CatchUp:
    """Return the policy of that name; raises ConfigurationError."""
    try:
        return CatchUp(name)
    except ValueError:
        raise ConfigurationError(
            f"catch_up={name!r} is not known: take 'latest', 'all' or 'none' (docs/periodic-tasks.md)"
        ) from None


def due_times(schedule: Schedule, catch_up: CatchUp, *, after: datetime, now: datetime) -> list[datetime]:
    """Say which due times in ``(after, now]`` are to be run, oldest first.

    Args:
        schedule: Of the task.
        catch_up: Its policy.
        after: Up to when its due times are decided; aware.
        now: Redis' clock; aware.
    """
    latest = schedule.latest_between(after, now)
    if latest is None:
        return []
    match catch_up:
        case CatchUp.LATEST:
            return [latest]
        case CatchUp.NONE:
            return [latest] if now - latest <= TOLERANCE else []
        case CatchUp.ALL:
            return _newest(schedule, after, latest)


def _newest(schedule: Schedule, after: datetime, latest: datetime) -> list[datetime]:
    """The due times up to `latest`, found backwards, so that a year of missed minutes costs no more than a day."""
    found = [latest]
    while len(found) < MISSED_LIMIT:
        before = schedule.latest_between(after, found[-1] - _MICROSECOND)
        if before is None:
            break
        found.append(before)
    return found[::-1]
