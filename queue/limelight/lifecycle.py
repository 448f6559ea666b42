"""The life of a task: the states, the ways between them, and what becomes of a finished run. Pure.

The Lua scripts walk this table; a test crosses every cell against a real Redis, and docs/architecture.md
prints it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from . import events
from .retry import after_retry


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
    (State.SCHEDULED, "promote"): State.READY,
    (State.READY, "reserve"): State.RESERVED,
    (State.RESERVED, "start"): State.RUNNING,
    (State.RESERVED, "revoked at start"): State.GONE,
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
    """The task gave up without failing. `retry`: it wants another run, if retries remain."""

    retry: bool = False


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The worker was told to stop before the run ended."""


Outcome = Returned | Raised | TimedOut | ResultRefused | AskedRetry | Canceled | Interrupted


@dataclass(frozen=True, slots=True)
class Retries:
    """What a task may still do when a run closes: retries left, delay before the next, its multiplier."""

    left: int
    delay_seconds: float
    backoff: float


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
    """

    status: str
    outcome: str
    fate: Fate
    end: str = ""
    delay_seconds: float = 0.0
    next_delay_seconds: float = 0.0


def settle(outcome: Outcome, retries: Retries) -> Decision:
    """Say what must happen when a run closes; touch nothing, ask no clock."""
    after = after_retry(retries.delay_seconds, retries.backoff)
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
            delay = retries.delay_seconds if asked is None else asked
            return Decision(
                events.EVENT_RETRYING,
                "retry",
                Fate.RETRY,
                delay_seconds=delay,
                next_delay_seconds=retries.delay_seconds,
            )
        case Canceled(retry=True) if retries.left > 0:
            return Decision(
                events.EVENT_CANCELED,
                "canceled",
                Fate.RETRY,
                delay_seconds=retries.delay_seconds,
                next_delay_seconds=after,
            )
        case Canceled():
            return Decision(events.EVENT_CANCELED, "canceled", Fate.END, end="canceled")
        case Raised(final=False) | TimedOut() if retries.left > 0:
            return Decision(
                *_failed(outcome), Fate.RETRY, delay_seconds=retries.delay_seconds, next_delay_seconds=after
            )
        case Raised() | TimedOut():
            return Decision(*_failed(outcome), Fate.DEAD, end="dead")


def _failed(outcome: Raised | TimedOut) -> tuple[str, str]:
    """Status and outcome of a run that failed."""
    if isinstance(outcome, TimedOut):
        return events.EVENT_TIMEOUT, "timeout"
    return events.EVENT_ERROR_TASK, "error"
