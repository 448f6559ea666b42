"""Build the span that one event tells of. Pure: every byte comes from the event, so a repeat is identical.

Names and kinds follow OpenTelemetry's messaging conventions (v1.44), with ``messaging.system=limelight``:
``process <task>`` for each closed run, ``enqueue <task>`` for each task put on a queue, and a zero-length
``revoke``, ``expire``, ``cancel`` or ``dead-letter <task>`` where a task ends without a run of its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from limelight import events as contract
from limelight.events import Event

from .ops import SpanEvent, SpanLink, SpanRecord

SAMPLED: Final = 1
"""Bit 0 of the W3C trace flags."""

_TRACE_ID: Final = re.compile(r"(?!0{32})[0-9a-f]{32}")
_SPAN_ID: Final = re.compile(r"(?!0{16})[0-9a-f]{16}")
_LONGEST: Final = 2**63 - 1
_SPAN_OVERHEAD_BYTES: Final = 1_000
_ERRORS: Final = contract.FAILED_OUTCOMES | {"lost"}
_ENDINGS: Final = {
    contract.EVENT_REVOKED: "revoke",
    contract.EVENT_EXPIRED: "expire",
    contract.EVENT_CANCELED: "cancel",
    contract.EVENT_DEAD: "dead-letter",
}


def tells_of_a_span(event: Event) -> bool:
    """Whether a span comes from this event, sampled or not."""
    if event.trace_id is None:
        return False
    if event.status == contract.EVENT_ENQUEUED:
        return event.span_id is not None and event.span_start is not None
    return event.outcome is not None or (event.end is not None and event.status in _ENDINGS)


def sampled(event: Event) -> bool:
    """Whether the trace of this event is recorded."""
    return bool(event.trace_flags & SAMPLED)


def exported_span(trace_id: str | None, span_id: str | None, trace_flags: int) -> tuple[str, str] | None:
    """The ids of a span, if it is one that is exported; else None."""
    if not trace_flags & SAMPLED or trace_id is None or span_id is None:
        return None
    return (trace_id, span_id) if _TRACE_ID.fullmatch(trace_id) and _SPAN_ID.fullmatch(span_id) else None


def span_of(event: Event) -> SpanRecord | None:
    """The span that this event tells of.

    Returns:
        None where the event's ids or times cannot make a span; ask `tells_of_a_span` first.
    """
    if event.status == contract.EVENT_ENQUEUED:
        return _span(event, "enqueue", "PRODUCER", event.span_id, event.parent_span_id)
    if event.outcome is not None:
        return _span(event, "process", "CONSUMER", event.span_id, event.parent_span_id)
    operation = _ENDINGS[event.status]
    if event.status == contract.EVENT_DEAD or event.span_id is None:
        # The run, if there was one, has this span id already: the burial is its child.
        return _span(event, operation, "CLIENT", _derived_id(event), event.span_id or event.parent_span_id)
    return _span(event, operation, "CLIENT", event.span_id, event.parent_span_id)


def _span(
    event: Event, operation: str, kind: str, span_id: str | None, parent: str | None
) -> SpanRecord | None:
    try:
        start, end = _times(event, zero_length=kind == "CLIENT")
    except (ValueError, OverflowError):
        return None
    if not _TRACE_ID.fullmatch(event.trace_id or "") or not _SPAN_ID.fullmatch(span_id or ""):
        return None
    failed = kind == "CONSUMER" and event.outcome in _ERRORS
    return SpanRecord(
        name=f"{operation} {event.task or contract.UNKNOWN_TASK}",
        kind=kind,
        trace_id=event.trace_id or "",
        span_id=span_id or "",
        parent_span_id=parent if _SPAN_ID.fullmatch(parent or "") else None,
        trace_state=event.trace_state or "",
        start=start,
        end=end,
        resource=_resource(event),
        attributes=_attributes(event, operation, kind),
        events=(_exception(event, end),) if failed else (),
        links=() if kind == "CLIENT" else _links(event),
        error=(event.error_type or event.outcome) if failed else None,
        size=_SPAN_OVERHEAD_BYTES + len(event.traceback or "") + len(event.error_message or ""),
    )


def _times(event: Event, *, zero_length: bool) -> tuple[int, int]:
    """Start and end in ns: the worker's own clock where it spoke, else Redis' (a lost run's start)."""
    told = _nanoseconds(event.timestamp)
    if zero_length:
        return told, told
    started = told if event.started_at is None else _nanoseconds(event.started_at)
    start = started if event.span_start is None else int(event.span_start)
    end = told if event.span_end is None else int(event.span_end)
    if not 0 <= start <= _LONGEST or not 0 <= end <= _LONGEST:
        raise ValueError(event.span_start, event.span_end)
    return start, max(start, end)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1_000_000) * 1_000


def _derived_id(event: Event) -> str:
    """A span id that only this event can have, and always has."""
    seed = f"{event.status} {event.trace_id} {event.id} {event.span_id} {event.seq}".encode()
    return hashlib.blake2b(seed, digest_size=8).hexdigest()


def _resource(event: Event) -> dict[str, Any]:
    service = _plain(event.service or {})
    service.setdefault("service.name", event.queue)
    return service | ({"host.name": event.host} if event.host else {})


def _attributes(event: Event, operation: str, kind: str) -> dict[str, Any]:
    own = _plain((event.span or {}).get("attributes") or {})
    known: dict[str, Any] = {
        "messaging.system": "limelight",
        "messaging.operation.name": operation,
        "messaging.operation.type": {"PRODUCER": "send", "CONSUMER": "process", "CLIENT": "settle"}[kind],
        "messaging.destination.name": event.queue,
        "messaging.message.id": event.id,
        "messaging.client.id": event.worker or event.emitter or None,
        "messaging.batch.message_count": event.batch if event.batch > 1 else None,
        "limelight.task": event.task or contract.UNKNOWN_TASK,
        "limelight.priority": event.priority,
        "limelight.execute_time": event.execute_time,
    }
    if kind == "CONSUMER":
        known |= _run_attributes(event)
    if event.end is not None:
        known |= {"limelight.end": event.end, "limelight.backed_off_seconds": event.backed_off_seconds}
    return own | {name: value for name, value in known.items() if value is not None}


def _run_attributes(event: Event) -> dict[str, Any]:
    return {
        "limelight.run": event.run,
        "limelight.attempt": event.attempt,
        "limelight.max_attempts": event.max_attempts,
        "limelight.retries": event.retries,
        "limelight.outcome": event.outcome,
        "limelight.wait_seconds": event.wait,
        "limelight.worker": event.worker,
        "error.type": (event.error_type or event.outcome) if event.outcome in _ERRORS else None,
    }


def _exception(event: Event, at: int) -> SpanEvent:
    attributes = {
        "exception.type": event.error_type or event.outcome or "",
        "exception.message": event.error_message or "",
        "exception.stacktrace": event.traceback or "",
    }
    return SpanEvent("exception", at, {name: value for name, value in attributes.items() if value})


def _links(event: Event) -> tuple[SpanLink, ...]:
    pairs = ((str(link.get("trace_id")), str(link.get("span_id"))) for link in event.links)
    return tuple(
        SpanLink(trace_id, span_id)
        for trace_id, span_id in pairs
        if _TRACE_ID.fullmatch(trace_id) and _SPAN_ID.fullmatch(span_id)
    )


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes that OTLP can carry; an integer beyond 64 bits would make the whole batch unreadable."""
    return {
        name: _carried(value) for name, value in values.items() if isinstance(value, str | bool | int | float)
    }


def _carried(value: str | float) -> str | float:
    return str(value) if isinstance(value, int) and abs(value) > _LONGEST else value
