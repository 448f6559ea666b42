"""What scripts are given and what they answer, as words of Redis' protocol. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from limelight.emitter import fragment
from limelight.storage.base import Handed, Lease, Parcel, Reservation

_decode_span: Final = msgspec.json.Decoder(dict[str, str]).decode


def micros(seconds: float) -> str:
    """Whole microseconds as text."""
    return str(round(seconds * 1e6))


def number(seconds: float) -> str:
    """A number as JSON has it, without an exponent or a needless fraction."""
    text = format(seconds, ".6f").rstrip("0").rstrip(".")
    return text or "0"


def item(parcel: Parcel) -> tuple[Any, ...]:
    """The 17 arguments of one task; see ``lua/_enqueue.lua``."""
    state = fragment({"trace_state": parcel.trace_state or None})
    span = fragment(
        {
            "trace_id": parcel.trace_id,
            "span_id": parcel.span_id,
            "trace_flags": parcel.trace_flags,
            "span_start": str(parcel.span_start_ns),
        }
    )
    return (
        parcel.id,
        parcel.name,
        fragment({"id": parcel.id, "task": parcel.name}),
        parcel.body,
        parcel.retries,
        number(parcel.retry_delay),
        "" if parcel.execute_at is None else micros(parcel.execute_at),
        "" if parcel.delay is None else micros(parcel.delay),
        parcel.priority,
        parcel.max_redeliveries,
        parcel.trace_id,
        parcel.span_id,
        parcel.trace_flags,
        state,
        micros(parcel.traced_at),
        f"{parcel.span_start_ns // 1000:016d}{span}{state}{parcel.where}",
        parcel.periodic,
    )


def reservation(reply: list[Any]) -> Reservation:
    """The answer of ``lua/reserve.lua``."""
    delayed, ready, *tasks = reply
    return Reservation(tuple(handed(task) for task in tasks), int(delayed), int(ready))


def handed(reply: list[Any]) -> Handed:
    """One task as ``lua/_start.lua`` hands it over."""
    task_id, token, verdict, name, run, attempt, retries, delay, redeliveries, span, *rest = reply
    flags, traced, started, body = rest
    ids = _decode_span(span) if span else {}
    return Handed(
        lease=Lease(task_id.decode(), token.decode()),
        started=verdict == b"started",
        name=name.decode(),
        run=int(run),
        attempt=int(attempt),
        retries=int(retries),
        retry_delay=float(delay),
        redeliveries=int(redeliveries),
        trace_id=ids.get("trace_id", ""),
        span_id=ids.get("span_id", ""),
        trace_flags=int(flags),
        traced_at=int(traced) / 1e6,
        started_at=int(started) / 1e6,
        body=body,
    )
