"""The OTLP receiver that trace tests rely on, tried with OpenTelemetry's own exporters."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, format_span_id, format_trace_id
from otlp import Answer, OtlpReceiver
from servers import wait_until

Connect = Callable[[OtlpReceiver], SpanExporter]


def by_grpc(receiver: OtlpReceiver) -> SpanExporter:
    return GrpcExporter(endpoint=receiver.grpc_endpoint, timeout=1.0)


def by_http(receiver: OtlpReceiver) -> SpanExporter:
    return HttpExporter(endpoint=receiver.http_traces_endpoint, timeout=1.0, compression=Compression.Gzip)


EITHER = pytest.mark.parametrize(("connect", "protocol"), [(by_grpc, "grpc"), (by_http, "http/protobuf")])


def two_spans() -> tuple[ReadableSpan, ReadableSpan]:
    """A parent and its child, which has everything that a span can have."""
    provider = TracerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
    tracer = provider.get_tracer("tests")
    with tracer.start_as_current_span("enqueue", kind=SpanKind.PRODUCER) as parent:
        child = tracer.start_span(
            "process",
            kind=SpanKind.CONSUMER,
            start_time=1_000,
            links=[Link(parent.get_span_context(), {"why": "retry"})],
        )
    child.set_attributes({"text": "a", "number": 3, "part": 0.5, "yes": True, "many": ["x", "y"]})
    child.add_event("exception", {"exception.type": "ValueError"}, timestamp=1_500)
    child.set_status(Status(StatusCode.ERROR, "went wrong"))
    child.end(end_time=2_000)
    assert isinstance(parent, ReadableSpan)
    assert isinstance(child, ReadableSpan)
    return parent, child


@EITHER
def test_a_span_arrives_as_it_was_sent(otlp_receiver: OtlpReceiver, connect: Connect, protocol: str) -> None:
    parent, child = two_spans()
    assert connect(otlp_receiver).export([parent, child]) is SpanExportResult.SUCCESS
    root, process = otlp_receiver.wait_for_spans(2)
    assert (root.name, root.kind, root.parent_id, root.status) == ("enqueue", "PRODUCER", "", "UNSET")
    assert process.trace_id == root.trace_id == format_trace_id(parent.get_span_context().trace_id)
    assert process.parent_id == root.span_id == format_span_id(parent.get_span_context().span_id)
    assert (process.kind, process.start_ns, process.end_ns) == ("CONSUMER", 1_000, 2_000)
    assert (process.status, process.status_message) == ("ERROR", "went wrong")
    assert process.attributes == {"text": "a", "number": 3, "part": 0.5, "yes": True, "many": ["x", "y"]}
    assert [(event.name, event.ns, event.attributes) for event in process.events] == [
        ("exception", 1_500, {"exception.type": "ValueError"})
    ]
    assert [(link.span_id, link.attributes) for link in process.links] == [(root.span_id, {"why": "retry"})]
    assert (process.resource["service.name"], process.scope, process.protocol) == ("shop", "tests", protocol)
    assert otlp_receiver.requests == [protocol]


@EITHER
@pytest.mark.parametrize(
    "answer",
    [Answer(400), Answer(503), Answer(429, retry_after=1), Answer(close=True), Answer(delay_seconds=1.5)],
)
def test_a_refusal_fails_the_export(
    otlp_receiver: OtlpReceiver, connect: Connect, protocol: str, answer: Answer
) -> None:
    otlp_receiver.answer(answer)
    assert connect(otlp_receiver).export(two_spans()) is SpanExportResult.FAILURE
    assert otlp_receiver.requests
    assert bool(otlp_receiver.spans) == bool(answer.delay_seconds)


@EITHER
def test_partial_success_keeps_the_others(
    otlp_receiver: OtlpReceiver, connect: Connect, protocol: str
) -> None:
    otlp_receiver.answer_next(Answer(rejected=1))
    exporter = connect(otlp_receiver)
    assert exporter.export(two_spans()) is SpanExportResult.SUCCESS
    assert [span.name for span in otlp_receiver.spans] == ["process"]
    assert exporter.export(two_spans()) is SpanExportResult.SUCCESS
    assert len(otlp_receiver.spans) == 3


@EITHER
def test_a_collector_that_was_down_comes_back_where_it_was(
    otlp_receiver: OtlpReceiver, connect: Connect, protocol: str
) -> None:
    connect(otlp_receiver).export(two_spans())
    otlp_receiver.stop()
    assert connect(otlp_receiver).export(two_spans()) is SpanExportResult.FAILURE
    otlp_receiver.start()
    wait_until(
        lambda: connect(otlp_receiver).export(two_spans()) is SpanExportResult.SUCCESS, 20, "its return"
    )
    assert len(otlp_receiver.spans) == 4


def test_a_kept_connection_ends_with_the_collector(otlp_receiver: OtlpReceiver) -> None:
    exporter = by_http(otlp_receiver)
    exporter.export(two_spans())
    otlp_receiver.stop()
    assert exporter.export(two_spans()) is SpanExportResult.FAILURE
