"""An exposition as OTLP's protobuf messages: our metrics, and beside them those that the messaging conventions know.

All sums and histograms are cumulative, and start when counting began: a queue's with the first event that was ever
counted, the exporter's own with its process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    HistogramDataPoint,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric as MetricMessage

from limelight_exporter import catalog
from limelight_exporter.catalog import KEPT_PER_QUEUE, Metric, Section
from limelight_exporter.cells import Exemplar
from limelight_exporter.exposition import Distribution, Exposition, Row

from .values import put_attributes

REQUEST_POINTS: Final = 2_000
"""Data points of one request: below the 4 MiB that a collector takes over gRPC."""
_UNITS: Final = {"seconds": "s", "bytes": "By", "ratio": "1"}
_NS: Final = 1_000_000_000
_TRACED: Final = {"messaging.system": "limelight"}


@dataclass(frozen=True, slots=True)
class Moment:
    """When an exposition was gathered, and since when things were counted; Unix nanoseconds.

    Attributes:
        now: Of the exposition.
        process: Start of this process.
        queues: Queue → when counting its events began, 0 where nobody knows.
    """

    now: int
    process: int
    queues: Mapping[str, int]

    def start(self, metric: Metric, labels: Sequence[str]) -> int:
        """Since when a series counts."""
        of_queue = metric.section is Section.EVENTS or metric.name in KEPT_PER_QUEUE
        return self.queues.get(labels[0], 0) if of_queue and labels else self.process


def moment_of(exposition: Exposition, now: float, process: float) -> Moment:
    """The times that belong to an exposition; Unix seconds are given."""
    queues = {queue: round(began * 1e6) * 1_000 for queue, began in exposition.began.items()}
    return Moment(round(now * 1e6) * 1_000, round(process * 1e6) * 1_000, queues)


def requests_of(exposition: Exposition, moment: Moment, resource: Mapping[str, Any]) -> Iterator[bytes]:
    """Requests that together hold the whole exposition, each small enough for any collector."""
    part: list[MetricMessage] = []
    points = 0
    for message, size in _messages(exposition, moment):
        if part and points + size > REQUEST_POINTS:
            yield _request(part, resource)
            part, points = [], 0
        part.append(message)
        points += size
    if part:
        yield _request(part, resource)


def _request(metrics: Sequence[MetricMessage], resource: Mapping[str, Any]) -> bytes:
    request = ExportMetricsServiceRequest(
        resource_metrics=[
            ResourceMetrics(
                scope_metrics=[ScopeMetrics(scope=InstrumentationScope(name="limelight"), metrics=metrics)]
            )
        ]
    )
    put_attributes(request.resource_metrics[0].resource.attributes, resource)
    body: bytes = request.SerializeToString()
    return body


def _messages(exposition: Exposition, moment: Moment) -> Iterator[tuple[MetricMessage, int]]:
    """Each metric, in parts that fit into a request, with its number of points."""
    for metric, rows, distributions in exposition.families():
        for start in range(0, max(len(rows), len(distributions)), REQUEST_POINTS):
            some, several = rows[start:][:REQUEST_POINTS], distributions[start:][:REQUEST_POINTS]
            if several:
                yield _histogram(metric, several, exposition.buckets, moment), len(several)
            else:
                yield _numbers(metric, some, moment), len(some)
            if (also := _conventional(metric, some, several, exposition.buckets, moment)) is not None:
                yield also, len(some) + len(several)


def _numbers(metric: Metric, rows: Sequence[Row], moment: Moment) -> MetricMessage:
    made = MetricMessage(name=metric.name, description=metric.help, unit=_UNITS.get(metric.unit, ""))
    for row in rows:
        attributes = dict(zip(metric.labels, row.labels, strict=True))
        if metric.kind == "counter":
            _put_sum(made, metric, row, attributes, moment)
        else:
            value = 1.0 if metric.kind == "info" else float(row.value)
            put_attributes(
                made.gauge.data_points.add(time_unix_nano=moment.now, as_double=value).attributes, attributes
            )
    return made


def _put_sum(
    made: MetricMessage, metric: Metric, row: Row, attributes: Mapping[str, Any], moment: Moment
) -> None:
    made.sum.is_monotonic = True
    made.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    point = made.sum.data_points.add(
        start_time_unix_nano=moment.start(metric, row.labels),
        time_unix_nano=moment.now,
        as_double=float(row.value),
    )
    put_attributes(point.attributes, attributes)
    if row.exemplar is not None:
        _put_exemplar(point, row.exemplar, moment)


def _histogram(
    metric: Metric, rows: Sequence[Distribution], buckets: Sequence[float], moment: Moment
) -> MetricMessage:
    made = MetricMessage(name=metric.name, description=metric.help, unit=_UNITS.get(metric.unit, ""))
    for row in rows:
        attributes = dict(zip(metric.labels, row.labels, strict=True))
        _put_distribution(made, metric, row, attributes, buckets, moment)
    return made


def _put_distribution(
    made: MetricMessage,
    metric: Metric,
    row: Distribution,
    attributes: Mapping[str, Any],
    buckets: Sequence[float],
    moment: Moment,
) -> None:
    made.histogram.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    point = made.histogram.data_points.add(
        start_time_unix_nano=moment.start(metric, row.labels),
        time_unix_nano=moment.now,
        count=sum(row.counts),
        sum=row.total,
        bucket_counts=row.counts,
        explicit_bounds=buckets,
    )
    put_attributes(point.attributes, attributes)
    for exemplar in row.exemplars.values():
        _put_exemplar(point, exemplar, moment)


def _put_exemplar(point: NumberDataPoint | HistogramDataPoint, exemplar: Exemplar, moment: Moment) -> None:
    point.exemplars.add(
        time_unix_nano=min(moment.now, round(exemplar.timestamp * 1e6) * 1_000),
        as_double=exemplar.value,
        trace_id=bytes.fromhex(exemplar.trace_id),
        span_id=bytes.fromhex(exemplar.span_id),
    )


# -- By the names of the messaging conventions (v1.44) -------------------------------------------------
def _conventional(
    metric: Metric,
    rows: Sequence[Row],
    distributions: Sequence[Distribution],
    buckets: Sequence[float],
    moment: Moment,
) -> MetricMessage | None:
    """The same numbers under the name that the conventions have for them; None if they have none."""
    if metric.name == catalog.DURATION:
        made = MetricMessage(name="messaging.process.duration", unit="s", description=metric.help)
        for one in distributions:
            _put_distribution(made, metric, one, _run(one.labels), buckets, moment)
        return made
    if metric.name == catalog.ENQUEUED:
        made = MetricMessage(name="messaging.client.sent.messages", unit="{message}", description=metric.help)
        for row in rows:
            _put_sum(
                made,
                metric,
                row,
                _where(row.labels[0], "enqueue") | {"limelight.task": row.labels[1]},
                moment,
            )
        return made
    if metric.name == catalog.EVENTS and (started := [row for row in rows if row.labels[1] == "started"]):
        made = MetricMessage(
            name="messaging.client.consumed.messages", unit="{message}", description="Runs of tasks begun."
        )
        for row in started:
            _put_sum(made, metric, row, _where(row.labels[0], "process"), moment)
        return made
    return None


def _where(queue: str, operation: str) -> dict[str, Any]:
    return {**_TRACED, "messaging.operation.name": operation, "messaging.destination.name": queue}


def _run(labels: Sequence[str]) -> dict[str, Any]:
    queue, task, result = labels
    failed = {"error.type": "_OTHER"} if result == "failed" else {}
    return _where(queue, "process") | {"limelight.task": task} | failed
