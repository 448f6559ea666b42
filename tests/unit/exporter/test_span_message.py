"""Our encoding, held against the SDK's of the same span."""

from __future__ import annotations

import contextvars
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from stream_writer import event, run_span

from limelight.errors import ConfigurationError
from limelight.events import decode
from limelight_exporter.ops import SpanRecord
from limelight_exporter.otlp.span_message import SpanEncoder, SpanLimits, limits_of
from limelight_exporter.spans import span_of

DEFAULTS = SpanLimits()
RICH = {
    **run_span("00f067aa0ba902b7"),
    "task": "send",
    "run": 2,
    "attempt": 2,
    "wait": 0.25,
    "outcome": "error",
    "error": True,
    "error_type": "shop.Declined",
    "error_message": "no – ∞",
    "traceback": "Traceback…",
    "links": [{"trace_id": "1" * 32, "span_id": "2" * 16}],
    "span": {
        "attributes": {"text": "ä", "number": -3, "part": 0.5, "yes": True, "many": ["x", "y"], "none": []},
        "events": [{"name": "paid", "at": "1700000000010000000", "attributes": {"cents": 5}}],
        "links": [{"trace_id": "3" * 32, "span_id": "4" * 16, "attributes": {"why": "cart"}}],
    },
}


def record(**keys: Any) -> SpanRecord:
    made = span_of(decode(json.dumps(event("error-task", **{**RICH, **keys}))))
    assert made is not None
    return made


class Chosen(IdGenerator):
    ids = contextvars.ContextVar("ids", default=(0, 0))

    def generate_trace_id(self) -> int:
        return self.ids.get()[0]

    def generate_span_id(self) -> int:
        return self.ids.get()[1]


class Collected(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


def by_the_sdk(wanted: SpanRecord) -> ExportTraceServiceRequest:
    """The same span, built and encoded by OpenTelemetry's SDK."""
    collected, flags = Collected(), TraceFlags(wanted.trace_flags)
    provider = TracerProvider(
        resource=Resource(wanted.resource), id_generator=Chosen(), shutdown_on_exit=False
    )
    provider.add_span_processor(collected)
    trace_id = int(wanted.trace_id, 16)
    Chosen.ids.set((trace_id, int(wanted.span_id, 16)))
    parent = SpanContext(trace_id, int(wanted.parent_span_id or "0", 16), is_remote=True, trace_flags=flags)
    links = [
        Link(SpanContext(int(link.trace_id, 16), int(link.span_id, 16), is_remote=True), link.attributes)
        for link in wanted.links
    ]
    span = provider.get_tracer("limelight").start_span(
        wanted.name,
        trace.set_span_in_context(NonRecordingSpan(parent)),
        SpanKind[wanted.kind],
        wanted.attributes,
        links,
        wanted.start,
    )
    for one in wanted.events:
        span.add_event(one.name, one.attributes, one.at)
    span.set_status(Status(StatusCode.ERROR, wanted.description))
    span.end(wanted.end)
    return encode_spans(collected.spans)


def comparable(request: ExportTraceServiceRequest) -> ExportTraceServiceRequest:
    """Without what the SDK leaves out: the schema, the W3C flags; and without what it says of links."""
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            scope.schema_url = ""
            for span in scope.spans:
                span.flags &= ~0xFF
                for link in span.links:
                    link.flags = 0
    return request


def encoded(*records: SpanRecord, limits: SpanLimits = DEFAULTS) -> ExportTraceServiceRequest:
    encoder = SpanEncoder(limits)
    batch = [(one, encoder.span(one)) for one in records]
    return ExportTraceServiceRequest.FromString(encoder.request(batch))


def only(**limits: Any) -> Span:
    return encoded(record(), limits=SpanLimits(**limits)).resource_spans[0].scope_spans[0].spans[0]


def test_a_span_with_everything_is_encoded_as_the_sdk_would() -> None:
    assert comparable(encoded(record())) == comparable(by_the_sdk(record()))


def test_spans_of_one_resource_go_together() -> None:
    shop, other = record(), record(service={"service.name": "mailer"})
    request = encoded(shop, other, shop)
    names = [one.resource.attributes[0].value.string_value for one in request.resource_spans]
    assert names == ["shop", "mailer"]
    assert [len(one.scope_spans[0].spans) for one in request.resource_spans] == [2, 1]


def test_another_process_gives_the_same_bytes() -> None:
    records = [record(service={"service.name": f"app{number % 300}"}) for number in range(600)]
    again = SpanEncoder(SpanLimits())
    assert encoded(*records).SerializeToString() == again.request([(one, again.span(one)) for one in records])


def test_limits_leave_out_and_count() -> None:
    span = only(attributes=3, events=1, links=0, length=2)
    assert len(span.attributes) == 3
    assert span.dropped_attributes_count == len(record().attributes) - 3
    assert (len(span.events), span.dropped_events_count) == (1, len(record().events) - 1)
    assert (len(span.links), span.dropped_links_count) == (0, 2)
    assert span.attributes[0].value.string_value == "li"
    assert only(event_attributes=0).events[0].dropped_attributes_count == 1


def test_what_was_dropped_before_is_counted_too() -> None:
    users = {**RICH["span"], "dropped_attributes": 7, "dropped_links": 1, "dropped_events": -1}
    span = encoded(record(span=users)).resource_spans[0].scope_spans[0].spans[0]
    assert (span.dropped_attributes_count, span.dropped_links_count, span.dropped_events_count) == (7, 1, 0)


def test_limits_come_from_the_standard_variables() -> None:
    assert limits_of({}) == SpanLimits()
    variables = {
        "OTEL_ATTRIBUTE_COUNT_LIMIT": "10",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "20",
        "OTEL_SPAN_EVENT_COUNT_LIMIT": "30",
        "OTEL_SPAN_LINK_COUNT_LIMIT": "40",
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "50",
    }
    assert limits_of(variables) == SpanLimits(20, 30, 40, 10, 10, 50)
    with pytest.raises(ConfigurationError, match="OTEL_SPAN_LINK_COUNT_LIMIT=many"):
        limits_of({"OTEL_SPAN_LINK_COUNT_LIMIT": "many"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FLOOD = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("name", "attributes", "events", "links", "status", "description"), JSON)
)


@given(FLOOD)
def test_whatever_an_event_claims_of_a_span_can_be_encoded(users: dict[str, Any]) -> None:
    raw = json.dumps(event("error-task", **{**RICH, "span": users}))
    try:
        told = decode(raw)
    except ValueError:  # a number beyond what JSON readers take
        return
    made = span_of(told)
    assert made is not None
    assert encoded(made).ByteSize() > 0
