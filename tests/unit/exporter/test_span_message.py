"""What is put into a record arrives at a collector."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from otlp import attributes_of
from stream_writer import event, run_span

from limelight.errors import ConfigurationError
from limelight.events import decode
from limelight_exporter.ops import SpanEvent, SpanLink, SpanRecord
from limelight_exporter.otlp.limits import SpanLimits, limits_of
from limelight_exporter.otlp.span_message import SCHEMA_URL, SpanEncoder
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


def arrived(request: ExportTraceServiceRequest) -> list[SpanRecord]:
    """What a collector reads of it, as records."""
    return [
        read(span, attributes_of(resource.resource.attributes))
        for resource in request.resource_spans
        for span in resource.scope_spans[0].spans
    ]


def read(span: Span, resource: dict[str, Any]) -> SpanRecord:
    return SpanRecord(
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex() or None,
        trace_state=span.trace_state,
        trace_flags=span.flags & 0xFF,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        resource=resource,
        attributes=attributes_of(span.attributes),
        events=tuple(
            SpanEvent(one.name, one.time_unix_nano, attributes_of(one.attributes)) for one in span.events
        ),
        links=tuple(
            SpanLink(one.trace_id.hex(), one.span_id.hex(), attributes_of(one.attributes))
            for one in span.links
        ),
        status=Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
        description=span.status.message,
        dropped=(span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count),
    )


def encoded(*records: SpanRecord, limits: SpanLimits = DEFAULTS) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest.FromString(SpanEncoder(limits).request(records))


def only(**limits: Any) -> Span:
    return encoded(record(), limits=SpanLimits(**limits)).resource_spans[0].scope_spans[0].spans[0]


TEXT = st.text(max_size=6)
NANOSECONDS = st.integers(0, 2**63 - 1)
VALUES = (
    TEXT
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.lists(TEXT, max_size=3)
    | st.lists(st.booleans(), max_size=3)
)
ATTRIBUTES = st.dictionaries(st.text(min_size=1, max_size=6), VALUES, max_size=4)


def ids(digits: int) -> st.SearchStrategy[str]:
    return st.integers(1, 16**digits - 1).map(lambda number: f"{number:0{digits}x}")


RECORDS = st.builds(
    SpanRecord,
    name=TEXT,
    kind=st.sampled_from(["PRODUCER", "CONSUMER", "CLIENT"]),
    trace_id=ids(32),
    span_id=ids(16),
    parent_span_id=st.none() | ids(16),
    trace_state=st.sampled_from(["", "a=1", "a=1, b=2", "not W3C's"]),
    trace_flags=st.integers(0, 255),
    start=NANOSECONDS,
    end=NANOSECONDS,
    resource=ATTRIBUTES,
    attributes=ATTRIBUTES,
    events=st.lists(st.builds(SpanEvent, TEXT, NANOSECONDS, ATTRIBUTES), max_size=3).map(tuple),
    links=st.lists(st.builds(SpanLink, ids(32), ids(16), ATTRIBUTES), max_size=3).map(tuple),
    status=st.just("ERROR"),
    description=TEXT,
    dropped=st.tuples(*[st.integers(0, 2**31 - 1)] * 3),
)


@given(RECORDS)
def test_all_that_a_record_holds_arrives(whole: SpanRecord) -> None:
    assert arrived(encoded(whole)) == [whole]


def test_all_that_an_event_tells_of_a_span_arrives() -> None:
    wanted = record(trace_state="vendor=1", trace_flags=3)
    assert (wanted.links[1].attributes, len(wanted.events), wanted.status) == ({"why": "cart"}, 2, "ERROR")
    assert arrived(encoded(wanted)) == [wanted]


@pytest.mark.parametrize("status", ["OK", "UNSET"])
def test_what_did_not_fail_has_its_status_and_no_description(status: str) -> None:
    (span,) = arrived(encoded(structs.replace(record(), status=status, description="")))
    assert (span.status, span.description) == (status, "")


def test_a_parent_and_links_are_told_to_be_elsewhere() -> None:
    child, root = arrived_flags(record()), arrived_flags(structs.replace(record(), parent_span_id=None))
    assert child == (0x301, [0x300, 0x300])
    assert root == (0x101, [0x300, 0x300])


def arrived_flags(wanted: SpanRecord) -> tuple[int, list[int]]:
    (span,) = encoded(wanted).resource_spans[0].scope_spans[0].spans
    return span.flags, [link.flags for link in span.links]


def test_scope_and_schema_are_named() -> None:
    (scope,) = encoded(record()).resource_spans[0].scope_spans
    assert (scope.scope.name, scope.schema_url) == ("limelight", SCHEMA_URL)


def test_resources_are_those_of_the_application_and_nothing_of_this_process() -> None:
    (resource,) = encoded(record()).resource_spans
    assert attributes_of(resource.resource.attributes) == record().resource


def test_a_span_of_each_of_two_traces_keeps_its_own_context() -> None:
    one = record(trace_flags=1, trace_state="a=1")
    other = structs.replace(one, trace_id="9" * 32, trace_flags=3, trace_state="b=2")
    assert arrived(encoded(one, other)) == [one, other], "though their span ids are the same"


def test_spans_of_one_resource_go_together() -> None:
    shop, other = record(), record(service={"service.name": "mailer"})
    request = encoded(shop, other, shop)
    names = [one.resource.attributes[0].value.string_value for one in request.resource_spans]
    assert names == ["shop", "mailer"]
    assert [len(one.scope_spans[0].spans) for one in request.resource_spans] == [2, 1]


def test_another_process_gives_the_same_bytes() -> None:
    records = [record(service={"service.name": f"app{number % 300}"}) for number in range(600)]
    assert SpanEncoder(DEFAULTS).request(records) == SpanEncoder(DEFAULTS).request(records)


def test_limits_leave_out_and_count() -> None:
    span = only(attributes=3, events=1, links=0, length=2)
    assert len(span.attributes) == 3
    assert span.dropped_attributes_count == len(record().attributes) - 3
    assert (len(span.events), span.dropped_events_count) == (1, len(record().events) - 1)
    assert (len(span.links), span.dropped_links_count) == (0, 2)
    assert span.attributes[0].value.string_value == "li"
    assert only(event_attributes=0).events[0].dropped_attributes_count == 1


def test_every_text_is_cut_to_the_length_that_is_asked_for() -> None:
    span = only(length=2)
    places = [span.attributes, *(one.attributes for one in (*span.events, *span.links))]
    texts = [
        text
        for values in map(attributes_of, places)
        for value in values.values()
        for text in (value if isinstance(value, list) else [value])
        if isinstance(text, str)
    ]
    assert {len(text) for text in texts} == {1, 2}


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
