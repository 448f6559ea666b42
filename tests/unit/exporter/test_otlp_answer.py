from __future__ import annotations

from datetime import UTC, datetime

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from limelight_exporter.otlp.answer import (
    Verdict,
    partial_success,
    retry_after,
    verdict_on_code,
    verdict_on_status,
)
from limelight_exporter.otlp.settings import Signal


@pytest.mark.parametrize(
    ("verdict", "statuses"),
    [
        (Verdict.TAKEN, [200, 202, 204]),
        (Verdict.LATER, [100, 301, 302, 401, 403, 404, 405, 415, 429, 502, 503, 504]),
        (Verdict.UNREADABLE, [400, 413, 422]),
        (Verdict.BROKEN, [500, 501, 505]),
    ],
)
def test_what_follows_from_an_http_status(verdict: Verdict, statuses: list[int]) -> None:
    assert {verdict_on_status(status) for status in statuses} == {verdict}


@pytest.mark.parametrize(
    ("code", "details", "verdict"),
    [
        ("INVALID_ARGUMENT", "", Verdict.UNREADABLE),
        ("RESOURCE_EXHAUSTED", "grpc: received message larger than max (5 vs. 4)", Verdict.UNREADABLE),
        ("RESOURCE_EXHAUSTED", "slow down", Verdict.LATER),
        ("UNAVAILABLE", "", Verdict.LATER),
        ("UNAUTHENTICATED", "", Verdict.LATER),
        ("INTERNAL", "", Verdict.BROKEN),
    ],
)
def test_what_follows_from_a_grpc_status(code: str, details: str, verdict: Verdict) -> None:
    assert verdict_on_code(code, details) is verdict


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0), ("0", 0.0), ("-3", 0.0), ("99999", 300.0), ("nan", None), ("soon", None), ("", None), (None, None),
        ("Mon, 23 Nov 2026 00:00:30 GMT", 30.0), ("Sun, 22 Nov 2026 00:00:00 GMT", 0.0),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, datetime(2026, 11, 23, tzinfo=UTC)) == seconds


def test_partial_success_is_read_from_protobuf_and_json() -> None:
    spans, points = ExportTraceServiceResponse(), ExportMetricsServiceResponse()
    spans.partial_success.rejected_spans, spans.partial_success.error_message = 3, "too old"
    points.partial_success.rejected_data_points = 4
    assert partial_success(Signal.TRACES, spans.SerializeToString(), is_json=False) == (3, "too old")
    assert partial_success(Signal.METRICS, points.SerializeToString(), is_json=False) == (4, "")
    said = b'{"partialSuccess": {"rejectedSpans": "5", "errorMessage": "no"}}'
    assert partial_success(Signal.TRACES, said, is_json=True) == (5, "no")
    said = b'{"partialSuccess": {"rejectedDataPoints": 6}}'
    assert partial_success(Signal.METRICS, said, is_json=True) == (6, "")


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b'{"partialSuccess": null}', b"\xff\xff", b"OK"]
)
@pytest.mark.parametrize("is_json", [True, False])
def test_a_body_that_says_nothing_rejects_nothing(body: bytes, is_json: bool) -> None:
    assert partial_success(Signal.TRACES, body, is_json=is_json) == (0, "")
