"""Translate one event into metric operations, in the catalogue's words. Pure: no clock, no Redis, no state.

Two keys decide everything: an event that carries ``outcome`` closes a run, one that carries ``end`` ends a task.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from limelight import events as contract
from limelight.events import Event

from . import catalog
from .attendance import UNKNOWN_ERROR
from .labels import OTHER
from .ops import Add, Declare, Observe, Op

LONGEST_SECONDS: Final = 10 * 366 * 86_400.0
"""A duration beyond ten years is a mistake or an attack; it must not reach a sum."""
MOST_DROPPED: Final = 1_000_000_000

_RESULT: Final = {
    "success": "ok",
    "retry": "ok",
    "canceled": "ok",
    "locked": "ok",
    "rate_limited": "ok",
    "interrupted": "ok",
    "error": "failed",
    "timeout": "failed",
    "result_error": "failed",
}  # `lost` is missing: nobody measured that run
_TASK_COUNTERS: Final = {
    contract.EVENT_ENQUEUED: catalog.ENQUEUED,
    contract.EVENT_RETRYING: catalog.RETRIES,
    contract.EVENT_REDELIVERED: catalog.REDELIVERIES,
    contract.EVENT_SCHEDULING_PERIODIC: catalog.PERIODIC_SCHEDULED,
}


def fold(event: Event) -> Iterator[Op]:
    """Say what one event does to the metrics of its queue.

    Labels are given as they came; whoever applies the operations bounds them.
    """
    status = event.status
    yield Add(catalog.EVENTS, (status if status in contract.STATUSES else OTHER,))
    if counter := _TASK_COUNTERS.get(status):
        yield Add(counter, (_task(event),))
    if event.outcome is not None:
        yield from _closed(event, event.outcome)
    if event.end is not None:
        yield from _ended(event, event.end)
    if status == contract.EVENT_STARTED and event.wait is not None:
        yield _observed(catalog.WAIT, (_task(event),), event.wait)
    elif status in contract.CONSUMER_ERRORS:
        yield Add(catalog.CONSUMER_ERRORS, (status,))
    elif status == contract.EVENT_CHECKING_PERIODIC:
        yield Add(catalog.PERIODIC_CHECKS)
    elif status == contract.EVENT_CONSUMER_STARTED:
        yield from _announced(event)
    if event.dropped:
        yield _dropped(event.dropped)


def sound(seconds: float) -> bool:
    """Whether a number can be a duration: neither negative nor NaN nor beyond ten years."""
    return 0.0 <= seconds <= LONGEST_SECONDS


def _task(event: Event) -> str:
    return event.task or contract.UNKNOWN_TASK


def _observed(metric: str, labels: tuple[str, ...], seconds: float) -> Op:
    return Observe(metric, labels, seconds) if sound(seconds) else Add(catalog.MALFORMED, ("duration",))


def _dropped(count: int) -> Op:
    if 0 < count <= MOST_DROPPED:
        return Add(catalog.EVENTS_LOST, (), count)
    return Add(catalog.MALFORMED, ("dropped",))


def _closed(event: Event, outcome: str) -> Iterator[Op]:
    task = _task(event)
    yield Add(catalog.ATTEMPTS, (task, outcome if outcome in contract.OUTCOMES else OTHER))
    if event.error:
        yield Add(catalog.ERRORS, (task, event.error_type or UNKNOWN_ERROR))
    result = _RESULT.get(outcome)
    if result is not None and event.duration is not None:
        yield _observed(catalog.DURATION, (task, result), event.duration)


def _ended(event: Event, end: str) -> Iterator[Op]:
    task = _task(event)
    yield Add(catalog.COMPLETED, (task, end if end in contract.ENDS else OTHER))
    phases = (event.waited_seconds, event.ran_seconds, event.backed_off_seconds, event.parked_seconds)
    if not all(sound(seconds) for seconds in phases):
        yield Add(catalog.MALFORMED, ("duration",))
        return
    yield Observe(catalog.LATENCY, (task,), sum(phases))
    for phase, seconds in zip(catalog.PHASES, phases, strict=True):
        yield Add(catalog.TIME, (task, phase), seconds)


def _announced(event: Event) -> Iterator[Op]:
    """A consumer names its tasks: all their series exist from now on, at zero."""
    yield Declare(catalog.PERIODIC_CHECKS)
    for status in sorted(contract.CONSUMER_ERRORS):
        yield Declare(catalog.CONSUMER_ERRORS, (status,))
    for task in event.tasks[: catalog.TASK_LIMIT]:
        for metric in (
            catalog.ENQUEUED,
            catalog.RETRIES,
            catalog.REDELIVERIES,
            catalog.WAIT,
            catalog.LATENCY,
        ):
            yield Declare(metric, (task,))
        for outcome in contract.OUTCOMES:
            yield Declare(catalog.ATTEMPTS, (task, outcome))
        for end in contract.ENDS:
            yield Declare(catalog.COMPLETED, (task, end))
        for phase in catalog.PHASES:
            yield Declare(catalog.TIME, (task, phase))
        for result in catalog.RESULTS:
            yield Declare(catalog.DURATION, (task, result))
