"""A task as Redis holds it: the answers of ``lua/look.lua`` as plain values. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from limelight.lifecycle import State

T = TypeVar("T")


class Reason(msgspec.Struct, frozen=True):
    """Why a task was buried, as far as it was kept."""

    error_type: str = ""
    error_message: str = ""
    traceback: str | None = None


class Place(msgspec.Struct, frozen=True):
    """Where a task ran last."""

    host: str | None = None
    pid: int | None = None
    worker: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the record of a task says. Times are Unix seconds by Redis' clock, None where there is none.

    Attributes:
        name: Friendly task name.
        run: How often it was started.
        attempt, max_attempts: Of its present life.
        retries, retry_delay: What remains, and seconds before the next.
        due: When it may run, if it was enqueued or put back for later.
        priority: Higher runs first.
        redeliveries, max_redeliveries: How many lost workers it survived, and may survive.
        enqueued_at, ready_at, started_at: When that happened last.
        place: Where it ran last.
        trace_id: Of the trace that it belongs to.
        revoked_until: When its revoked mark ends, infinity for one that holds for good.
        deadline: When the lease of the worker that holds it is over.
        body: The message; empty unless it was asked for.
    """

    name: str
    run: int
    attempt: int
    max_attempts: int
    retries: int
    retry_delay: float
    due: float | None
    priority: int
    redeliveries: int
    max_redeliveries: int
    enqueued_at: float
    ready_at: float
    started_at: float | None
    place: Place
    trace_id: str
    revoked_until: float | None
    deadline: float | None
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One task as Redis holds it.

    Attributes:
        id: UUID text.
        state: Where it is; None where its bytes are no record and it is no dead letter.
        size: Bytes of its record.
        buried_us: When it was buried, Unix µs; None for what is no dead letter.
        reason: Why it was buried.
        record: None where its bytes are no record.
    """

    id: str
    state: State | None
    size: int
    buried_us: int | None
    reason: Reason
    record: Record | None


_reason: Final = msgspec.json.Decoder(Reason).decode
_place: Final = msgspec.json.Decoder(Place).decode


def stored(task_id: str, reply: list[Any] | None) -> Stored | None:
    """One answer of ``lua/look.lua``; None where nothing is held of the task."""
    if reply is None:
        return None
    state, buried, reason, size, *rest = reply
    record = _readable(rest)
    where = State(state.decode()) if record else None
    return Stored(
        id=task_id,
        state=State.DEAD if buried else where,
        size=int(size),
        buried_us=int(float(buried)) if buried else None,
        reason=_members(reason, _reason) or Reason(),
        record=record,
    )


def _readable(reply: list[Any]) -> Record | None:
    """None for bytes that are no record, or one that lacks something."""
    try:
        return _record(reply) if reply else None
    except (ValueError, TypeError, AttributeError):
        return None


def _record(reply: list[Any]) -> Record:
    name, run, attempt, max_attempts, retries, retry_delay, due, priority, *rest = reply
    redeliveries, max_redeliveries, enqueued, ready, started, where, trace_id, revoked, deadline, body = rest
    return Record(
        name=name.decode("utf-8", "replace"),
        run=int(run),
        attempt=int(attempt),
        max_attempts=int(max_attempts),
        retries=int(retries),
        retry_delay=float(retry_delay),
        due=_seconds(due),
        priority=int(priority),
        redeliveries=int(redeliveries),
        max_redeliveries=int(max_redeliveries),
        enqueued_at=int(enqueued) / 1e6,
        ready_at=int(ready) / 1e6,
        started_at=_seconds(started),
        place=_members(where, _place) or Place(),
        trace_id=trace_id.decode("utf-8", "replace"),
        revoked_until=_revoked_until(revoked),
        deadline=_seconds(deadline),
        body=body,
    )


def _seconds(micros: bytes) -> float | None:
    return (float(micros) / 1e6 or None) if micros else None


def _revoked_until(mark: bytes) -> float | None:
    if not mark:
        return None
    return float("inf") if mark == b"0" else float(mark) / 1e6


def _members(fragment: bytes, decode: Callable[[bytes], T]) -> T | None:
    """What a fragment of an event says; None where it is none."""
    try:
        return decode(b"{" + fragment[1:] + b"}") if fragment else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
