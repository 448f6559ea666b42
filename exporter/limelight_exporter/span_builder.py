"""Makes the SDK's spans from records, with chosen ids and times.

It uses the SDK's public API, so that the span limits of the ``OTEL_*`` variables hold.
"""

from __future__ import annotations

import contextvars
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
)

from .ops import SpanRecord

_PROVIDERS: Final = 256


class SpanBuilder:
    """Builds SDK spans with chosen ids and times. One provider per resource; the least used are forgotten."""

    def __init__(self) -> None:
        self._ids, self._done = _PresetIds(), _Collected()
        self._tracers: OrderedDict[str, Tracer] = OrderedDict()

    def build(self, record: SpanRecord) -> ReadableSpan | None:
        """The span of a record; None where the SDK cannot make one."""
        trace_id, span_id = int(record.trace_id, 16), int(record.span_id, 16)
        links = [Link(_remote(int(link.trace_id, 16), int(link.span_id, 16))) for link in record.links]
        parent = trace.INVALID_SPAN
        if record.parent_span_id:
            state = TraceState.from_header([record.trace_state]) if record.trace_state else None
            parent = NonRecordingSpan(_remote(trace_id, int(record.parent_span_id, 16), state))
        with_ids = self._ids.chosen.set((trace_id, span_id))
        try:
            span = self._tracer(record.resource).start_span(
                record.name,
                context=trace.set_span_in_context(parent),
                kind=SpanKind[record.kind],
                attributes=record.attributes,
                links=links,
                start_time=record.start,
            )
        finally:
            self._ids.chosen.reset(with_ids)
        for event in record.events:
            span.add_event(event.name, event.attributes, timestamp=event.at)
        if record.error is not None:
            span.set_status(Status(StatusCode.ERROR, record.error))
        span.end(end_time=record.end)
        return self._done.take()

    def _tracer(self, resource: Mapping[str, Any]) -> Tracer:
        key = repr(sorted(resource.items()))
        if key not in self._tracers:
            # Resource() and not Resource.create(): that one would add a random id of this process.
            provider = TracerProvider(
                sampler=ALWAYS_ON,
                id_generator=self._ids,
                resource=Resource(dict(resource)),
                shutdown_on_exit=False,
            )
            provider.add_span_processor(self._done)
            self._tracers[key] = provider.get_tracer("limelight")
            if len(self._tracers) > _PROVIDERS:
                self._tracers.popitem(last=False)
        self._tracers.move_to_end(key)
        return self._tracers[key]


def _remote(trace_id: int, span_id: int, state: TraceState | None = None) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(1), trace_state=state)


class _PresetIds(IdGenerator):
    def __init__(self) -> None:
        self.chosen: contextvars.ContextVar[tuple[int, int] | None] = contextvars.ContextVar(
            "ids", default=None
        )
        self._random = RandomIdGenerator()

    def generate_trace_id(self) -> int:
        chosen = self.chosen.get()
        return chosen[0] if chosen else self._random.generate_trace_id()

    def generate_span_id(self) -> int:
        chosen = self.chosen.get()
        return chosen[1] if chosen else self._random.generate_span_id()


class _Collected(SpanProcessor):
    def __init__(self) -> None:
        self._span: ReadableSpan | None = None

    def on_end(self, span: ReadableSpan) -> None:
        self._span = span

    def take(self) -> ReadableSpan | None:
        span, self._span = self._span, None
        return span
