from __future__ import annotations

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from limelight_exporter import catalog
from limelight_exporter.exposition import Exposition
from limelight_exporter.otlp.metric_message import REQUEST_POINTS, requests_of


def test_a_large_exposition_goes_in_parts_that_a_collector_takes() -> None:
    exposition, tasks = Exposition(), 5_000
    for number in range(tasks):
        labels = ("mail", f"task-with-a-name-of-some-length-{number}", "ok")
        exposition.add_histogram(catalog.DURATION, labels, [1] * (len(exposition.buckets) + 1), 1.0)
        exposition.add(catalog.ENQUEUED, labels[:2], 1)
    requests = list(requests_of(exposition, 2.0, 1.0, {"service.name": "e"}))
    assert max(map(len, requests)) < 4_000_000
    found: dict[str, int] = {}
    for request in map(ExportMetricsServiceRequest.FromString, requests):
        (resource,) = request.resource_metrics
        counts = {
            metric.name: len(metric.histogram.data_points) + len(metric.sum.data_points)
            for metric in resource.scope_metrics[0].metrics
        }
        assert sum(counts.values()) <= REQUEST_POINTS
        found = {name: found.get(name, 0) + counts.get(name, 0) for name in found | counts}
    assert found == dict.fromkeys(
        (
            *(catalog.DURATION, "messaging.process.duration"),
            *(catalog.ENQUEUED, "messaging.client.sent.messages"),
        ),
        tasks,
    )


def test_a_start_that_nobody_wrote_down_is_told_as_unknown() -> None:
    exposition = Exposition()
    exposition.began["mail"] = 0.0
    exposition.add(catalog.RETRIES, ("mail", "send"), 3)
    (request,) = requests_of(exposition, 2.0, 1.0, {})
    (metric,) = ExportMetricsServiceRequest.FromString(request).resource_metrics[0].scope_metrics[0].metrics
    (point,) = metric.sum.data_points
    assert (point.start_time_unix_nano, point.time_unix_nano) == (0, 2_000_000_000)
