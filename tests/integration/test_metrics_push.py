"""Metrics pushed by OTLP: a scrape's numbers, cumulative since the true start, and harmless when they fail."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from exporters import Scraped
from opentelemetry.proto.metrics.v1 import metrics_pb2
from otlp import Answer, OtlpReceiver, attributes_of
from servers import wait_until
from stream_writer import StreamWriter, finished, run_span
from traced import PROTOCOLS, exporter, forget_variables

from limelight.errors import ConfigurationError
from limelight_exporter.exporter import Exporter
from limelight_exporter.metrics_push import push_settings

BEGAN = 1_700_000_000.25
BEGAN_NS = 1_700_000_000_250_000_000


@pytest.fixture(autouse=True)
def pushing(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_variables(monkeypatch)
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "300")


@pytest.fixture(params=PROTOCOLS)
def running(
    request: pytest.FixtureRequest,
    redis_url: str,
    otlp_receiver: OtlpReceiver,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Exporter]:
    """An exporter of one queue that pushes, over both protocols in turn."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", request.param)
    tell(StreamWriter(redis_url))
    with exporter(redis_url, otlp_receiver, request.param) as made:
        yield made


def tell(writer: StreamWriter) -> None:
    """Ten tasks that were enqueued, begun and finished, and a run that failed."""
    writer.tell("enqueued", task="first", timestamp=BEGAN)
    writer.finish_tasks(10, **run_span("00f067aa0ba902b7"))
    failed = {"outcome": "error", "error": True, "error_type": "ValueError", "end": None}
    writer.tell("error-task", **(finished() | failed))


def received(receiver: OtlpReceiver) -> dict[str, metrics_pb2.Metric]:
    """Name → the metric as it was pushed last."""
    return {
        metric.name: metric
        for request in receiver.metrics
        for resource in request.resource_metrics
        for metric in resource.scope_metrics[0].metrics
    }


def points(metric: metrics_pb2.Metric) -> list[tuple[dict[str, Any], Any]]:
    """Attributes and point of each series."""
    data = getattr(metric, metric.WhichOneof("data") or "")
    return [(attributes_of(point.attributes), point) for point in data.data_points]


def wait_for_pushes(receiver: OtlpReceiver) -> dict[str, metrics_pb2.Metric]:
    """Wait until all that was told is in what was pushed."""

    def complete() -> bool:
        attempts = received(receiver).get("limelight_task_attempts_total")
        return attempts is not None and sum(point.as_double for _, point in points(attempts)) == 11

    wait_until(complete, 10, "all attempts pushed")
    return received(receiver)


def test_what_is_pushed_is_what_is_scraped(running: Exporter, otlp_receiver: OtlpReceiver) -> None:
    pushed, scraped = wait_for_pushes(otlp_receiver), Scraped(running.url)
    for name, metric in pushed.items():
        if metric.WhichOneof("data") == "sum" and name.startswith("limelight_task"):
            for labels, point in points(metric):
                assert scraped.value(name, **labels) == point.as_double, name
    ((labels, point),) = [
        pair for pair in points(pushed["limelight_task_duration_seconds"]) if pair[0]["result"] == "ok"
    ]
    assert (labels["queue"], labels["task"]) == ("mail", "send")
    assert (point.count, round(point.sum, 6)) == (10, 0.2)
    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
    assert point.exemplars[0].span_id.hex() == "00f067aa0ba902b7"
    assert pushed["limelight_redis_up"].WhichOneof("data") == "gauge"


def test_sums_are_cumulative_since_the_first_event_that_was_counted(
    running: Exporter, otlp_receiver: OtlpReceiver
) -> None:
    pushed = wait_for_pushes(otlp_receiver)
    attempts = pushed["limelight_task_attempts_total"].sum
    assert attempts.is_monotonic
    assert attempts.aggregation_temporality == metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE
    for name in ("limelight_task_attempts_total", "limelight_task_duration_seconds"):
        assert {point.start_time_unix_nano for _, point in points(pushed[name])} == {BEGAN_NS}
    (own,) = {
        point.start_time_unix_nano for _, point in points(pushed["limelight_exporter_spans_exported_total"])
    }
    assert abs(own / 1e9 - time.time()) < 60


def test_the_conventions_names_stand_beside_ours(running: Exporter, otlp_receiver: OtlpReceiver) -> None:
    pushed = wait_for_pushes(otlp_receiver)
    duration = pushed["messaging.process.duration"]
    assert duration.unit == "s"
    by_error = {attributes.get("error.type"): (attributes, point) for attributes, point in points(duration)}
    assert {error: point.count for error, (_, point) in by_error.items()} == {None: 10, "_OTHER": 1}
    assert by_error[None][0] == {
        "messaging.system": "limelight",
        "messaging.operation.name": "process",
        "messaging.destination.name": "mail",
        "limelight.task": "send",
    }
    sent = {
        one["limelight.task"]: point.as_double
        for one, point in points(pushed["messaging.client.sent.messages"])
    }
    assert sent == {"first": 1, "send": 10}
    ((_, consumed),) = points(pushed["messaging.client.consumed.messages"])
    assert consumed.as_double == 10


def test_the_start_survives_a_restart(redis_url: str, otlp_receiver: OtlpReceiver) -> None:
    tell(StreamWriter(redis_url))
    for _ in range(2):
        with exporter(redis_url, otlp_receiver):
            pushed = wait_for_pushes(otlp_receiver)
        otlp_receiver.clear()
    starts = {point.start_time_unix_nano for _, point in points(pushed["limelight_task_attempts_total"])}
    assert starts == {BEGAN_NS}


def test_a_push_that_fails_is_counted_and_holds_up_nothing(
    running: Exporter, otlp_receiver: OtlpReceiver
) -> None:
    wait_for_pushes(otlp_receiver)
    otlp_receiver.answer(Answer(status=503))

    def pushes(*codes: str) -> float:
        scraped = Scraped(running.url)
        return sum(scraped.value("limelight_exporter_metric_pushes_total", code=code) or 0 for code in codes)

    wait_until(lambda: pushes("503", "UNAVAILABLE") >= 2, 10, "two pushes that failed")
    assert Scraped(running.url).value("limelight_exporter_queue_current", queue="mail") == 1
    otlp_receiver.clear()
    otlp_receiver.answer(Answer(rejected=3))
    wait_until(lambda: pushes("rejected") >= 1, 10, "a push that was taken in part")
    wait_for_pushes(otlp_receiver)


def test_nothing_is_pushed_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert push_settings("http://c:4318", {}) is None
    variables = {"OTEL_METRICS_EXPORTER": "otlp"}
    delta = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"}
    with pytest.raises(ConfigurationError, match="cumulative"):
        push_settings(None, variables | delta)
    with pytest.raises(ConfigurationError, match="OTEL_METRIC_EXPORT_INTERVAL=often"):
        push_settings(None, variables | {"OTEL_METRIC_EXPORT_INTERVAL": "often"})
