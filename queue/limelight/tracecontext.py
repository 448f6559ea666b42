"""W3C trace context for messages and runs, without needing OpenTelemetry.

A message carries the context of its enqueue span; a run is a child of that span. Where
``opentelemetry-api`` is in use by the application, its current span becomes the parent of what is enqueued.
"""

from __future__ import annotations

import contextvars
import secrets
import sys
from dataclasses import dataclass
from typing import Final

_TRACE_STATE_LIMIT: Final = 512


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Where in which trace something happens.

    Attributes:
        trace_id: 32 lower-case hex digits, not all zero.
        span_id: 16 lower-case hex digits, not all zero.
        flags: The W3C trace flags, one byte; bit 0 says that the trace is sampled.
        state: The W3C ``tracestate`` as it came, at most 512 characters.
        started_at: Unix seconds when the trace began, as far as we know; None if we do not.
    """

    trace_id: str
    span_id: str
    flags: int = 1
    state: str = ""
    started_at: float | None = None


current_run: contextvars.ContextVar[TraceContext | None] = contextvars.ContextVar(
    "limelight_current_run", default=None
)
"""The run that this thread (or async task) is executing, if any."""


def new_span_id() -> str:
    """A random span id: 16 hex digits, not all zero."""
    return secrets.token_hex(8) if (span_id := secrets.token_hex(8)) == "0" * 16 else span_id


def new_trace_id() -> str:
    """A random trace id: 32 hex digits, not all zero."""
    return secrets.token_hex(16) if (trace_id := secrets.token_hex(16)) == "0" * 32 else trace_id


def parent_of_enqueue() -> TraceContext | None:
    """The context in which a task is being enqueued: the application's current span, else the current run."""
    return _opentelemetry_span() or current_run.get()


def _opentelemetry_span() -> TraceContext | None:
    api = sys.modules.get("opentelemetry.trace")  # never imported by us: no cost where it is not in use
    if api is None:
        return None
    context = api.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return TraceContext(
        format(context.trace_id, "032x"),
        format(context.span_id, "016x"),
        int(context.trace_flags),
        context.trace_state.to_header()[:_TRACE_STATE_LIMIT],
    )
