"""Build the span that one event tells of. Pure: every byte comes from the event, so a repeat is identical.

Names and kinds follow OpenTelemetry's messaging conventions (v1.44), with ``messaging.system=limelight``:
``process <task>`` for each closed run, ``enqueue <task>`` for each task or bulk put on a queue, and a zero-length
``revoke``, ``expire``, ``cancel`` or ``dead-letter <task>`` where a task ends without a run of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

from limelight import events as contract
from limelight.events import Event

from .ops import SpanEvent, SpanLink, SpanRecord
from .span_values import LONGEST, SPAN_ID, TRACE_ID, attributes_in, cut, events_in, links_in
from .trace_keep import NOTHING, TraceKeep

SAMPLED: Final = 1
"""Bit 0 of the W3C trace flags."""
NAME_LIMIT: Final = 255

_STATE_LIMIT: Final = 512
_ERRORS: Final = contract.FAILED_OUTCOMES | {"lost"}
_ENDINGS: Final = {
    contract.EVENT_REVOKED: "revoke",
    contract.EVENT_EXPIRED: "expire",
    contract.EVENT_CANCELED: "cancel",
    contract.EVENT_DEAD: "dead-letter",
}
_TYPES: Final = {"PRODUCER": "send", "CONSUMER": "process", "CLIENT": "settle"}


class Traced(Protocol):
    """What decides whether the span of an event is exported."""

    @property
    def trace_id(self) -> str | None: ...  # noqa: D102
    @property
    def span_id(self) -> str | None: ...  # noqa: D102
    @property
    def trace_flags(self) -> int: ...  # noqa: D102
    @property
    def outcome(self) -> str | None: ...  # noqa: D102
    @property
    def duration(self) -> float | None: ...  # noqa: D102


def tells_of_a_span(event: Event) -> bool:
    """Whether a span comes from this event, sampled or not."""
    if event.trace_id is None:
        return False
    if event.status == contract.EVENT_ENQUEUED:
        return event.span_id is not None and event.span_start is not None
    return event.outcome is not None or (event.end is not None and event.status in _ENDINGS)


def goes_out(event: Traced, keep: TraceKeep = NOTHING) -> bool:
    """Whether the span of this event is exported: its trace is sampled, or the rules keep it."""
    return bool(event.trace_flags & SAMPLED) or keep.reason(event.outcome, event.duration) is not None


def exported_span(event: Traced, keep: TraceKeep) -> tuple[str, str] | None:
    """The ids of the span that an event belongs to, if it is one that is exported; else None."""
    trace_id, span_id = event.trace_id, event.span_id
    if trace_id is None or span_id is None or not goes_out(event, keep):
        return None
    return (trace_id, span_id) if TRACE_ID.fullmatch(trace_id) and SPAN_ID.fullmatch(span_id) else None


def span_of(event: Event, keep: TraceKeep = NOTHING) -> SpanRecord | None:
    """The span that this event tells of.

    Returns:
        None where the event's ids or times cannot make a span; ask `tells_of_a_span` and `goes_out` first.
    """
    if event.status == contract.EVENT_ENQUEUED:
        return _span(event, "enqueue", "PRODUCER", event.span_id, event.parent_span_id)
    if event.outcome is not None:
        return _process_span(event, keep)
    operation = _ENDINGS[event.status]
    if event.status == contract.EVENT_DEAD or event.span_id is None:
        # The run, if there was one, has this span id already: the burial is its child.
        return _span(event, operation, "CLIENT", _derived_id(event), event.span_id or event.parent_span_id)
    return _span(event, operation, "CLIENT", event.span_id, event.parent_span_id)


def _process_span(event: Event, keep: TraceKeep) -> SpanRecord | None:
    """The span of a run; of a trace that is not sampled it is all there is: a root, which says why it is there."""
    if event.trace_flags & SAMPLED:
        return _span(event, "process", "CONSUMER", event.span_id, event.parent_span_id)
    because = {"limelight.sampled_by": keep.reason(event.outcome, event.duration)}
    return _span(event, "process", "CONSUMER", event.span_id, None, because)


def _span(
    event: Event,
    operation: str,
    kind: str,
    span_id: str | None,
    parent: str | None,
    more: Mapping[str, Any] | None = None,
) -> SpanRecord | None:
    try:
        start, end = _times(event, zero_length=kind == "CLIENT")
    except (ValueError, OverflowError):
        return None
    if not TRACE_ID.fullmatch(event.trace_id or "") or not SPAN_ID.fullmatch(span_id or ""):
        return None
    own = _users(event) if kind == "CONSUMER" else {}
    parent = parent if SPAN_ID.fullmatch(parent or "") else None
    status, description = _status(event, own) if kind == "CONSUMER" else ("UNSET", "")
    return SpanRecord(
        name=cut(str(own.get("name") or f"{operation} {_task(event)}"), NAME_LIMIT),
        kind=kind,
        trace_id=event.trace_id or "",
        span_id=span_id or "",
        parent_span_id=parent,
        trace_state=(event.trace_state or "")[:_STATE_LIMIT],
        trace_flags=event.trace_flags & 0xFF,
        start=start,
        end=end,
        resource=_resource(event),
        attributes=_attributes(event, operation, kind, own, more or {}),
        events=tuple(_events(event, own, start, end)) if kind == "CONSUMER" else (),
        links=tuple(
            link
            for link in _links(event, own, kind, rootless=parent is None)
            if (link.trace_id, link.span_id)
            != (event.trace_id, parent)  # some stores would turn it into the parent
        ),
        status=status,
        description=description,
        dropped=_dropped(own),
    )


def _task(event: Event) -> str:
    return event.task or contract.UNKNOWN_TASK


def _users(event: Event) -> Mapping[str, Any]:
    """What user code put on the run's span."""
    return event.span or {}


def _dropped(own: Mapping[str, Any]) -> tuple[int, int, int]:
    attributes, events, links = (
        count if isinstance(count := own.get(f"dropped_{what}"), int) and 0 < count < 2**31 else 0
        for what in ("attributes", "events", "links")
    )
    return attributes, events, links


def _status(event: Event, own: Mapping[str, Any]) -> tuple[str, str]:
    """A run that failed is an error whatever its code said; one that did not is what its code said."""
    if event.outcome in _ERRORS:
        return "ERROR", cut(event.error_type or event.outcome or "")
    if own.get("status") == "ERROR":
        return "ERROR", cut(str(own.get("description") or ""))
    return ("OK" if own.get("status") == "OK" else "UNSET"), ""


def _times(event: Event, *, zero_length: bool) -> tuple[int, int]:
    """Start and end in ns: the worker's own clock where it spoke, else Redis' (a lost run's start)."""
    told = _nanoseconds(event.timestamp)
    if zero_length:
        return told, told
    started = told if event.started_at is None else _nanoseconds(event.started_at)
    start = started if event.span_start is None else int(event.span_start)
    end = told if event.span_end is None else int(event.span_end)
    if not 0 <= start <= LONGEST or not 0 <= end <= LONGEST:
        raise ValueError(event.span_start, event.span_end)
    return start, max(start, end)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1_000_000) * 1_000


def _derived_id(event: Event) -> str:
    """A span id that only this event can have, and always has."""
    seed = f"{event.status} {event.trace_id} {event.id} {event.span_id} {event.seq}".encode()
    return hashlib.blake2b(seed, digest_size=8).hexdigest()


def _resource(event: Event) -> dict[str, Any]:
    service = attributes_in(event.service)
    service.setdefault("service.name", event.queue)
    return service | ({"host.name": cut(event.host)} if event.host else {})


def _attributes(
    event: Event, operation: str, kind: str, own: Mapping[str, Any], more: Mapping[str, Any]
) -> dict[str, Any]:
    """Ours, and then those of users that do not take the place of ours."""
    known: dict[str, Any] = {
        "messaging.system": "limelight",
        "messaging.operation.name": operation,
        "messaging.operation.type": _TYPES[kind],
        "messaging.destination.name": event.queue,
        "messaging.message.id": event.id if event.batch <= 1 else None,  # of many, the first is no better
        "messaging.client.id": event.worker or event.emitter or None,
        "messaging.batch.message_count": event.batch if event.batch > 1 else None,
        "limelight.task": _task(event),
        "limelight.priority": event.priority,
        "limelight.execute_time": event.execute_time,
        "limelight.group.id": event.group_id,
        "limelight.group.size": event.group_size or None,
    }
    if kind == "CONSUMER":
        known |= _run_attributes(event)
    if event.end is not None:
        known |= {"limelight.end": event.end, "limelight.backed_off_seconds": event.backed_off_seconds}
    ours = {
        name: cut(value) if isinstance(value, str) else value
        for name, value in (known | dict(more)).items()
        if value is not None
    }
    return ours if kind != "CONSUMER" else {**ours, **_users_attributes(event, own, ours)}


def _run_attributes(event: Event) -> dict[str, Any]:
    return {
        "limelight.run": event.run,
        "limelight.attempt": event.attempt,
        "limelight.max_attempts": event.max_attempts,
        "limelight.retries": event.retries,
        "limelight.retry_delay_seconds": event.retry_delay or None,
        "limelight.outcome": event.outcome,
        "limelight.wait_seconds": event.wait,
        "limelight.worker": event.worker,
        "error.type": (event.error_type or event.outcome) if event.outcome in _ERRORS else None,
    }


def _users_attributes(event: Event, own: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that a declaration names, and what user code set."""
    named = {f"limelight.argument.{name}": value for name, value in event.arguments.items()}
    found = {**attributes_in(own.get("attributes")), **attributes_in(named)}
    return {name: value for name, value in found.items() if name not in ours}


def _events(event: Event, own: Mapping[str, Any], start: int, end: int) -> Iterator[SpanEvent]:
    """When it could run (up to then it was backing off, or delayed), what its code noted, and how it failed."""
    if event.ready_at is not None and 0 < (ready := _nanoseconds(event.ready_at)) < start:
        yield SpanEvent("limelight.ready", ready, {})
    noted = events_in(own.get("events"))
    yield from noted
    if event.outcome in _ERRORS and not any(_is_the_same(event, one) for one in noted):
        yield _exception(event, end)


def _is_the_same(event: Event, noted: SpanEvent) -> bool:
    """Whether user code recorded the very exception that it then raised."""
    told = (noted.attributes.get("exception.type"), noted.attributes.get("exception.message"))
    return noted.name == "exception" and told == (event.error_type, event.error_message)


def _exception(event: Event, at: int) -> SpanEvent:
    attributes = {
        "exception.type": cut(event.error_type or event.outcome or ""),
        "exception.message": cut(event.error_message or ""),
        "exception.stacktrace": cut(event.traceback or "", contract.TRACEBACK_LIMIT_BYTES),
    }
    return SpanEvent("exception", at, {name: value for name, value in attributes.items() if value})


def _links(event: Event, own: Mapping[str, Any], kind: str, *, rootless: bool) -> Iterator[SpanLink]:
    """To the attempt before, to a trace left behind, to where a root stems from; and what user code linked to."""
    if kind != "CLIENT":
        for place, link in enumerate(links_in(event.links)):
            before = kind == "CONSUMER" and event.run > 1 and place == 0
            yield _called(link, "previous_run" if before else "previous_trace")
    if event.origin is not None:
        for link in links_in([event.origin]):
            yield _called(link, "origin")
    if kind == "CONSUMER" and rootless and SPAN_ID.fullmatch(event.parent_span_id or ""):
        yield SpanLink(
            event.trace_id or "", event.parent_span_id or "", {"limelight.link": "unsampled_parent"}
        )
    yield from links_in(own.get("links"))


def _called(link: SpanLink, name: str) -> SpanLink:
    return SpanLink(link.trace_id, link.span_id, {**link.attributes, "limelight.link": name})
