"""The life of a task: the states, the ways between them, and what becomes of a finished run. Pure.

The Lua scripts walk this table; a test crosses every cell against a real Redis, and docs/architecture.md
prints it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from . import events
from .retry import STEADY, Backoff


class State(StrEnum):
    """Where a task is. GONE: it has ended and its record is deleted."""

    DELAYED = "delayed"
    SCHEDULED = "scheduled"
    READY = "ready"
    RESERVED = "reserved"
    RUNNING = "running"
    DEAD = "dead"
    GONE = "gone"


NEXT: Final[Mapping[tuple[State, str], State]] = {
    (State.DELAYED, "schedule"): State.SCHEDULED,
    (State.DELAYED, "schedule late"): State.READY,
    (State.DELAYED, "cancel"): State.GONE,
    (State.SCHEDULED, "promote"): State.READY,
    (State.SCHEDULED, "cancel"): State.GONE,
    (State.READY, "reserve"): State.RESERVED,
    (State.READY, "cancel"): State.GONE,
    (State.RESERVED, "start"): State.RUNNING,
    (State.RESERVED, "revoked at start"): State.GONE,
    (State.RESERVED, "expired at start"): State.GONE,
    (State.RESERVED, "release"): State.READY,
    (State.RESERVED, "reap"): State.READY,
    (State.RESERVED, "bury"): State.DEAD,
    (State.RUNNING, "end"): State.GONE,
    (State.RUNNING, "retry"): State.READY,
    (State.RUNNING, "retry later"): State.SCHEDULED,
    (State.RUNNING, "dead"): State.DEAD,
    (State.RUNNING, "back"): State.READY,
    (State.RUNNING, "reap"): State.READY,
    (State.RUNNING, "reap past the limit"): State.DEAD,
    (State.DEAD, "requeue"): State.READY,
    (State.DEAD, "purge"): State.GONE,
}


class Fate(StrEnum):
    """What becomes of a task when one of its runs closes."""

    END = "end"
    RETRY = "retry"
    DEAD = "dead"
    BACK = "back"


# -- How a run went --------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Returned:
    """The task's function returned."""


@dataclass(frozen=True, slots=True)
class Raised:
    """The task's function raised. `final`: no retry could help, such as a body that cannot be read."""

    final: bool = False


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The run took longer than its task may."""


@dataclass(frozen=True, slots=True)
class ResultRefused:
    """The function returned, but its result cannot be stored."""


@dataclass(frozen=True, slots=True)
class AskedRetry:
    """The task asked to be run again. `delay_seconds`: None for the task's own delay."""

    delay_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Canceled:
    """The task gave up without failing.

    `retry`: True: it is to run again, for which one more attempt is granted if none remains; False: never again;
    None: again while retries remain.
    """

    retry: bool | None = False


@dataclass(frozen=True, slots=True)
class Locked:
    """A lock that the task needs is somebody else's."""


@dataclass(frozen=True, slots=True)
class RateLimited:
    """A rate that the task keeps to is used up.

    Attributes:
        room_in_seconds: When there is room again.
        retry: It is to run again then, whatever retries it has.
    """

    room_in_seconds: float
    retry: bool


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The worker was told to stop before the run ended."""


Outcome = (
    Returned | Raised | TimedOut | ResultRefused | AskedRetry | Canceled | Locked | RateLimited | Interrupted
)


@dataclass(frozen=True, slots=True)
class Retries:
    """What a task may still do when a run closes: retries left, delay before the next, and how delays grow."""

    left: int
    delay_seconds: float
    backoff: Backoff = STEADY


@dataclass(frozen=True, slots=True)
class Decision:
    """What to tell and what to do when a run closes.

    Attributes:
        status: Status of the closing event.
        outcome: How the run went, one of ``events.OUTCOMES``.
        fate: What becomes of the task.
        end: How the task ended, one of ``events.ENDS``; "" if it goes on.
        delay_seconds: Time until the retry.
        next_delay_seconds: ``retry_delay`` of the retry after this one.
        granted: The retry comes on top of those that remain.
        parked: The time until the retry is no back-off after a failure: the task waits for its turn.
    """

    status: str
    outcome: str
    fate: Fate
    end: str = ""
    delay_seconds: float = 0.0
    next_delay_seconds: float = 0.0
    granted: bool = False
    parked: bool = False


def settle(outcome: Outcome, retries: Retries, chance: float = 0.0) -> Decision:
    """Say what must happen when a run closes; touch nothing, ask no clock.

    Args:
        outcome: How the run went.
        retries: What the task may still do.
        chance: In [0, 1), for delays that are to be spread.
    """
    match outcome:
        case Returned():
            return Decision(events.EVENT_FINISHED, "success", Fate.END, end="success")
        case ResultRefused():
            return Decision(events.EVENT_ERROR_STORING_RESULT, "result_error", Fate.END, end="result_error")
        case Interrupted():
            return Decision(
                events.EVENT_INTERRUPTED, "interrupted", Fate.BACK, next_delay_seconds=retries.delay_seconds
            )
        case AskedRetry(delay_seconds=asked):
            again = _again(events.EVENT_RETRYING, "retry", retries, chance, granted=True)
            return (
                again
                if asked is None
                else replace(again, delay_seconds=asked, next_delay_seconds=retries.delay_seconds)
            )
        case Locked() | RateLimited():
            return _without_its_turn(outcome, retries, chance)
        case Canceled(retry=wanted):
            return _canceled(wanted, retries, chance)
        case TimedOut():
            return _failed(events.EVENT_TIMEOUT, "timeout", retries, chance)
        case Raised(final=final):
            left = replace(retries, left=0) if final else retries
            return _failed(events.EVENT_ERROR_TASK, "error", left, chance)


def _failed(status: str, outcome: str, retries: Retries, chance: float) -> Decision:
    if retries.left > 0:
        return _again(status, outcome, retries, chance)
    return Decision(status, outcome, Fate.DEAD, end="dead")


def _again(status: str, outcome: str, retries: Retries, chance: float, *, granted: bool = False) -> Decision:
    """A retry after the task's own delay, which grows and spreads; `granted`: on top of those that are left."""
    own, backoff = retries.delay_seconds, retries.backoff
    return Decision(
        status,
        outcome,
        Fate.RETRY,
        delay_seconds=backoff.delay(own, chance),
        next_delay_seconds=backoff.next_delay(own),
        granted=granted,
    )


def _canceled(wanted: bool | None, retries: Retries, chance: float) -> Decision:
    if wanted is False or (wanted is None and retries.left <= 0):
        return Decision(events.EVENT_CANCELED, "canceled", Fate.END, end="canceled")
    return _again(events.EVENT_CANCELED, "canceled", retries, chance, granted=retries.left <= 0)


def _without_its_turn(outcome: Locked | RateLimited, retries: Retries, chance: float) -> Decision:
    """The task could not do its work now, and that is no failure: it waits for its turn, or ends."""
    if isinstance(outcome, Locked):
        status, how, granted, at_least = events.EVENT_LOCKED, "locked", False, 0.0
    else:
        status, how, granted = events.EVENT_RATE_LIMITED, "rate_limited", outcome.retry
        at_least = outcome.room_in_seconds if not retries.delay_seconds else 0.0
    if not granted and retries.left <= 0:
        return Decision(status, how, Fate.END, end=how)
    again = _again(status, how, retries, chance, granted=granted)
    return replace(again, delay_seconds=max(at_least, again.delay_seconds), parked=True)
