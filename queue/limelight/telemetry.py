"""The one file of the queue that knows OpenTelemetry: its API, never the SDK. Imported only where the API is installed.

The worker chooses the ids of a run's span; here that span is made current, so that the user's own spans nest under it,
logs name it, and what is set on it is recorded. The exporter sends it, from the event that closes the run.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from contextvars import Token
from typing import Any, Final

from opentelemetry import baggage, context, propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, StatusCode, TraceFlags, TraceState

from .emitter import cut, failure
from .recording import STACK_BYTES, Recording
from .tracecontext import BAGGAGE_LIMIT_BYTES, TraceContext, shortened, traceparent

_OURS: Final = frozenset({"traceparent", "tracestate", "baggage"})
_OTHERS_LIMIT_BYTES: Final = 1_024
_to_header: Final = W3CBaggagePropagator()
_known: dict[str, Any] = {}


class RunSpan(Span):
    """The span of a run while its code runs.

    Args:
        span_context: Its ids.
        recording: Takes what is set on it.
    """

    def __init__(self, span_context: SpanContext, recording: Recording) -> None:
        self._context = span_context
        self._recording = recording

    def get_span_context(self) -> SpanContext:
        """The ids of the run."""
        return self._context

    def is_recording(self) -> bool:
        """Whether the run goes on."""
        return self._recording.is_open

    def set_attribute(self, key: str, value: Any) -> None:
        """Tell an attribute with the run."""
        self._recording.attribute(key, value)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Tell several."""
        for key, value in attributes.items():
            self._recording.attribute(key, value)

    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None
    ) -> None:
        """Tell an event."""
        self._recording.event(name, attributes or {}, timestamp or time.time_ns())

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        """Tell a link."""
        if context.is_valid:
            ids = format(context.trace_id, "032x"), format(context.span_id, "016x")
            self._recording.link(*ids, attributes or {})

    def update_name(self, name: str) -> None:
        """Have the span called otherwise."""
        self._recording.rename(name)

    def set_status(self, status: Any, description: str | None = None) -> None:
        """Tell a status; that of a run that fails is ERROR whatever it is."""
        code = status if isinstance(status, StatusCode) else status.status_code
        self._recording.status(code.name, description or getattr(status, "description", None) or "")

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Tell an exception that the code has handled."""
        privacy = self._recording.privacy
        keys = failure(exception, privacy.traceback(exception), privacy)
        told = {
            "exception.type": keys["error_type"],
            "exception.message": keys["error_message"],
            "exception.stacktrace": cut(keys["traceback"] or "", STACK_BYTES),
            "exception.escaped": str(escaped),
        }
        self.add_event("exception", {**told, **(attributes or {})}, timestamp)

    def end(self, end_time: int | None = None) -> None:
        """Nothing: the worker ends it."""


def enter(run: TraceContext, recording: Recording | None) -> Token[Context]:
    """Make a run's span and the caller's baggage current; to be undone by `leave`, in the same thread or task.

    Args:
        run: Its context.
        recording: Takes what is set on it; None: nothing is recorded.
    """
    state = TraceState.from_header([run.state]) if run.state else None
    flags = TraceFlags(run.flags)
    ids = SpanContext(int(run.trace_id, 16), int(run.span_id, 16), False, flags, state)
    span: Span = NonRecordingSpan(ids) if recording is None else RunSpan(ids, recording)
    return context.attach(trace.set_span_in_context(span, _received(run)))


def leave(token: Token[Context]) -> None:
    """Undo `enter`."""
    context.detach(token)


def _received(run: TraceContext) -> Context:
    """What travelled with the message, through the propagators that are configured."""
    if not run.headers:
        return Context()
    headers = {**run.headers, "traceparent": traceparent(run), "tracestate": run.state}
    return propagate.extract(headers, context=Context())


def departure(allowed: Collection[str]) -> tuple[TraceContext | None, dict[str, str]]:
    """The current span and what else travels with a message, as the configured propagators would send them.

    Args:
        allowed: Keys of baggage that may travel.
    """
    here = context.get_current()
    bags = baggage.get_all(here)
    if not bags and _sends_w3c():
        return _span_of(here), {}
    for name in bags:
        if name not in allowed:
            here = baggage.remove_baggage(name, here)
    if not _sends_w3c():
        return _through_others(here)
    headers: dict[str, str] = {}
    _to_header.inject(headers, here)
    return _span_of(here), _baggage(headers)


def _through_others(here: Context) -> tuple[TraceContext | None, dict[str, str]]:
    headers: dict[str, str] = {}
    propagate.inject(headers, here)
    parent = _span_of(propagate.extract(headers, context=Context()))
    others = {name: value for name, value in headers.items() if name.lower() not in _OURS}
    if sum(len(name) + len(value.encode()) for name, value in others.items()) > _OTHERS_LIMIT_BYTES:
        others = {}
    return parent, _baggage(headers) | others


def _baggage(headers: Mapping[str, str]) -> dict[str, str]:
    header = shortened(headers.get("baggage", ""), BAGGAGE_LIMIT_BYTES)
    return {"baggage": header} if header else {}


def _sends_w3c() -> bool:
    """Whether the propagators are OpenTelemetry's default, which need not be asked each time."""
    textmap = propagate.get_global_textmap()
    if _known.get("textmap") is not textmap:
        _known.update(textmap=textmap, is_w3c=set(textmap.fields) == _OURS)
    return bool(_known["is_w3c"])


def _span_of(here: Context) -> TraceContext | None:
    ids = trace.get_current_span(here).get_span_context()
    if not ids.is_valid:
        return None
    return TraceContext(
        format(ids.trace_id, "032x"),
        format(ids.span_id, "016x"),
        int(ids.trace_flags),
        shortened(ids.trace_state.to_header()),
    )
