"""What tests of the way to a collector share: an exporter in this process, runs to tell of, what it counted."""

from __future__ import annotations

from typing import Any, Final

import pytest
from exporters import Scraped
from otlp import OtlpReceiver
from stream_writer import StreamWriter, finished, run_span

from limelight_exporter.config import Settings
from limelight_exporter.exporter import Exporter

VARIABLES: Final = (
    *("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_HEADERS"),
    *("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_SDK_DISABLED", "OTEL_RESOURCE_ATTRIBUTES"),
)
PROTOCOLS: Final = ("http/protobuf", "grpc")


def forget_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever OTEL_* variables the developer has set are not meant for tests; and nobody waits long in them."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("limelight_exporter.trace_pipeline.LONGEST_BACK_OFF_SECONDS", 0.1)


def exporter(
    redis_url: str, receiver: OtlpReceiver, protocol: str = "http/protobuf", **more: Any
) -> Exporter:
    """An exporter that sends its spans to a receiver."""
    endpoint = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint
    return Exporter(Settings(redis_url=redis_url, port=0, otlp_endpoint=endpoint, **more))


def tell_runs(writer: StreamWriter, count: int, first: int = 1, **keys: Any) -> None:
    """Tell of finished runs whose span ids are numbers."""
    runs = ({**finished(), **run_span(f"{number:016x}"), **keys} for number in range(first, first + count))
    writer.tell_all([("finished", run) for run in runs])


def dropped(running: Exporter, reason: str) -> float | None:
    """How many spans were dropped for a reason."""
    return Scraped(running.url).value("limelight_exporter_spans_dropped_total", reason=reason)


def exported(running: Exporter) -> float | None:
    """How many spans were taken."""
    return Scraped(running.url).value("limelight_exporter_spans_exported_total")


def failures(running: Exporter, code: str) -> float:
    """How many requests went wrong with a code."""
    return Scraped(running.url).value("limelight_exporter_span_export_failures_total", code=code) or 0


def leads(running: Exporter, queue: str = "mail") -> float | None:
    """Whether an exporter sends the spans of a queue."""
    return Scraped(running.url).value("limelight_exporter_is_span_leader", queue=queue)


def saved_seq(writer: StreamWriter) -> int:
    """Up to where the spans of a queue were sent, as saved."""
    cursor: Any = writer.client.hget(writer.keys.cursors, "traces:default")
    return int(cursor.split()[1]) if cursor else 0
