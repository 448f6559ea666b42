"""W3C trace context for messages and runs. Pure: knows no OpenTelemetry."""

from __future__ import annotations

import contextvars
import re
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import msgspec

TRACE_STATE_LIMIT: Final = 512
BAGGAGE_LIMIT_BYTES: Final = 1_024

NOTHING: Final[Mapping[str, str]] = {}

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16


class Allowance(msgspec.Struct):
    """How many more tasks may be children of one span, before each begins a trace of its own."""

    left: int

    def take(self, count: int) -> int:
        """Use up to `count` of it; returns how many that were."""
        taken = min(count, self.left)
        self.left -= taken
        return taken


class TraceContext(msgspec.Struct, frozen=True):
    """Where in which trace something happens.

    Attributes:
        trace_id: 32 lower-case hex digits, not all zero.
        span_id: 16 lower-case hex digits, not all zero.
        flags: The W3C trace flags, one byte; bit 0 says that the trace is sampled.
        state: The W3C ``tracestate``, at most 512 characters.
        started_at: Unix seconds when the trace began, as far as we know; None if we do not.
        headers: What else travels along: ``baggage``, and what propagators other than W3C's have written.
        allowance: Of a run: how many more tasks may be its children; None where nobody counts.
    """

    trace_id: str
    span_id: str
    flags: int = 1
    state: str = ""
    started_at: float | None = None
    headers: Mapping[str, str] = {}
    allowance: Allowance | None = None

    @property
    def is_sampled(self) -> bool:
        """Whether the trace is recorded."""
        return bool(self.flags & 1)


current_run: contextvars.ContextVar[TraceContext | None] = contextvars.ContextVar(
    "limelight_current_run", default=None
)
"""The run that this thread (or async task) is executing, or the trace that it continues, if any."""


def new_span_id() -> str:
    """A random span id: 16 hex digits, not all zero."""
    return secrets.token_hex(8) if (span_id := secrets.token_hex(8)) == _NO_SPAN else span_id


def new_trace_id() -> str:
    """A random trace id: 32 hex digits, not all zero."""
    return secrets.token_hex(16) if (trace_id := secrets.token_hex(16)) == _NO_TRACE else trace_id


def new_ids(count: int) -> list[str]:
    """So many span ids and trace ids, by turns; one call of the system for all, which is what an id costs."""
    digits = secrets.token_hex(24 * count)
    ids = [
        digits[at + begin : at + end]
        for at in range(0, len(digits), 48)
        for begin, end in ((0, 16), (16, 48))
    ]
    return new_ids(count) if _NO_SPAN in ids or _NO_TRACE in ids else ids


def trace_id_of(task_id: str) -> str:
    """The id of the trace that a task begins: the digits of its UUID."""
    digits = task_id.replace("-", "")
    return new_trace_id() if digits == _NO_TRACE else digits


def parsed(headers: Mapping[str, str]) -> TraceContext | None:
    """The context that W3C headers (``traceparent``, ``tracestate``, ``baggage``) name; None if they name none.

    Source: https://www.w3.org/TR/trace-context/#traceparent-header
    """
    given = {name.lower(): value.strip() for name, value in headers.items()}
    match = _TRACEPARENT.fullmatch(given.get("traceparent", ""))
    if not match:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    others = {"baggage": given["baggage"]} if given.get("baggage") else {}
    return TraceContext(
        trace_id, span_id, int(flags, 16), shortened(given.get("tracestate", "")), None, others
    )


def traceparent(context: TraceContext) -> str:
    """The W3C header of a context."""
    return f"00-{context.trace_id}-{context.span_id}-{context.flags:02x}"


def shortened(header: str, limit: int = TRACE_STATE_LIMIT) -> str:
    """A ``tracestate`` or ``baggage`` of at most so many bytes: what is too much goes by whole entries from its end."""
    while len(header.encode()) > limit:
        header = header.rpartition(",")[0]
    return header


def allowed_baggage(header: str, allowed: Collection[str]) -> str:
    """Of a ``baggage`` header what may travel: the allowed keys, as many whole entries as 1 kB holds."""
    kept = [one for one in header.split(",") if one.partition("=")[0].strip() in allowed]
    return shortened(",".join(kept), BAGGAGE_LIMIT_BYTES)


@contextmanager
def continue_trace(headers: Mapping[str, str]) -> Iterator[None]:
    """Have what is enqueued inside join the trace that incoming W3C headers name; for processes without OpenTelemetry.

    Where a span of OpenTelemetry is current, that one counts. Headers that name no trace change nothing.

    Args:
        headers: Of an HTTP request, say; names in any case.
    """
    context = parsed(headers)
    token = current_run.set(context or current_run.get())
    try:
        yield
    finally:
        current_run.reset(token)
