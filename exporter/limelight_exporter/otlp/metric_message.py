"""An exposition as OTLP requests, by OpenTelemetry's SDK and the encoder of its exporters.

Our metrics, and beside them those that the messaging conventions know. All sums and histograms are cumulative, and
start when counting began: a queue's with the first event that was ever counted, the exporter's own with its process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import Exemplar as SdkExemplar
from opentelemetry.sdk.metrics import export as sdk
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from limelight_exporter import catalog
from limelight_exporter.catalog import KEPT_PER_QUEUE, Metric, Section
from limelight_exporter.cells import Exemplar
from limelight_exporter.exposition import Distribution, Exposition, Row

REQUEST_POINTS: Final = 2_000
"""Data points of one request: below the 4 MiB that a collector takes over gRPC."""
_SCOPE: Final = InstrumentationScope("limelight")
_UNITS: Final = {"seconds": "s", "bytes": "By", "ratio": "1"}
_UNKNOWN: Final[Any] = None
"""The encoder leaves it out, though the SDK's type knows only numbers."""
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


def requests_of(
    exposition: Exposition, now: float, process: float, resource: Mapping[str, Any]
) -> Iterator[bytes]:
    """Requests that together hold the whole exposition, each small enough for any collector.

    Args:
        exposition: What was gathered.
        now: When it was, Unix seconds.
        process: When this process began, Unix seconds.
        resource: Attributes of this process.
    """
    sender = Resource(resource)  # not Resource.create(), which would read variables again and add to them
    part: list[sdk.Metric] = []
    points = 0
    for metric in _metrics(exposition, _moment(exposition, now, process)):
        size = len(metric.data.data_points)
        if part and points + size > REQUEST_POINTS:
            yield _request(part, sender)
            part, points = [], 0
        part.append(metric)
        points += size
    if part:
        yield _request(part, sender)


def _request(metrics: Sequence[sdk.Metric], resource: Resource) -> bytes:
    scope = sdk.ScopeMetrics(_SCOPE, metrics, schema_url="")
    data = sdk.MetricsData([sdk.ResourceMetrics(resource, [scope], schema_url="")])
    return encode_metrics(data).SerializeToString()


def _moment(exposition: Exposition, now: float, process: float) -> Moment:
    queues = {queue: _nanoseconds(began) for queue, began in exposition.began.items()}
    return Moment(_nanoseconds(now), _nanoseconds(process), queues)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e6) * 1_000


def _metrics(exposition: Exposition, moment: Moment) -> Iterator[sdk.Metric]:
    """Each metric, in parts that fit into a request."""
    for metric, rows, distributions in exposition.families():
        for start in range(0, max(len(rows), len(distributions)), REQUEST_POINTS):
            some, several = rows[start:][:REQUEST_POINTS], distributions[start:][:REQUEST_POINTS]
            data = (
                _histogram(metric, several, exposition.buckets, moment)
                if several
                else _numbers(metric, some, moment)
            )
            yield sdk.Metric(metric.name, metric.help, _UNITS.get(metric.unit, ""), data)
            if (also := _conventional(metric, some, several, exposition.buckets, moment)) is not None:
                yield also


def _labels(metric: Metric, labels: Sequence[str]) -> dict[str, Any]:
    return dict(zip(metric.labels, labels, strict=True))


def _numbers(metric: Metric, rows: Sequence[Row], moment: Moment) -> sdk.Sum | sdk.Gauge:
    if metric.kind == "counter":
        return _sum([_count(metric, row, _labels(metric, row.labels), moment) for row in rows])
    return sdk.Gauge(
        [
            sdk.NumberDataPoint(
                attributes=_labels(metric, row.labels),
                start_time_unix_nano=0,
                time_unix_nano=moment.now,
                value=1.0 if metric.kind == "info" else float(row.value),
            )
            for row in rows
        ]
    )


def _sum(points: Sequence[sdk.NumberDataPoint]) -> sdk.Sum:
    return sdk.Sum(points, sdk.AggregationTemporality.CUMULATIVE, is_monotonic=True)


def _count(metric: Metric, row: Row, attributes: Mapping[str, Any], moment: Moment) -> sdk.NumberDataPoint:
    return sdk.NumberDataPoint(
        attributes=attributes,
        start_time_unix_nano=moment.start(metric, row.labels),
        time_unix_nano=moment.now,
        value=float(row.value),
        exemplars=[_exemplar(row.exemplar, moment)] if row.exemplar is not None else [],
    )


def _histogram(
    metric: Metric, rows: Sequence[Distribution], buckets: Sequence[float], moment: Moment
) -> sdk.Histogram:
    points = [_distribution(metric, row, _labels(metric, row.labels), buckets, moment) for row in rows]
    return sdk.Histogram(points, sdk.AggregationTemporality.CUMULATIVE)


def _distribution(
    metric: Metric,
    row: Distribution,
    attributes: Mapping[str, Any],
    buckets: Sequence[float],
    moment: Moment,
) -> sdk.HistogramDataPoint:
    return sdk.HistogramDataPoint(
        attributes=attributes,
        start_time_unix_nano=moment.start(metric, row.labels),
        time_unix_nano=moment.now,
        count=sum(row.counts),
        sum=row.total,
        bucket_counts=row.counts,
        explicit_bounds=buckets,
        min=_UNKNOWN,
        max=_UNKNOWN,
        exemplars=[_exemplar(exemplar, moment) for exemplar in row.exemplars.values()],
    )


def _exemplar(exemplar: Exemplar, moment: Moment) -> SdkExemplar:
    return SdkExemplar(
        filtered_attributes={},
        value=float(exemplar.value),
        time_unix_nano=min(moment.now, _nanoseconds(exemplar.timestamp)),
        span_id=int(exemplar.span_id, 16),
        trace_id=int(exemplar.trace_id, 16),
    )


# -- By the names of the messaging conventions (v1.44) -------------------------------------------------
def _conventional(
    metric: Metric,
    rows: Sequence[Row],
    distributions: Sequence[Distribution],
    buckets: Sequence[float],
    moment: Moment,
) -> sdk.Metric | None:
    """The same numbers under the name that the conventions have for them; None if they have none."""
    if metric.name == catalog.DURATION:
        runs = [_distribution(metric, one, _run(one.labels), buckets, moment) for one in distributions]
        histogram = sdk.Histogram(runs, sdk.AggregationTemporality.CUMULATIVE)
        return sdk.Metric("messaging.process.duration", metric.help, "s", histogram)
    if metric.name == catalog.ENQUEUED:
        sent = [_count(metric, row, _sent(row.labels), moment) for row in rows]
        return sdk.Metric("messaging.client.sent.messages", metric.help, "{message}", _sum(sent))
    if metric.name == catalog.EVENTS and (started := [row for row in rows if row.labels[1] == "started"]):
        begun = [_count(metric, row, _where(row.labels[0], "process"), moment) for row in started]
        return sdk.Metric(
            "messaging.client.consumed.messages", "Runs of tasks begun.", "{message}", _sum(begun)
        )
    return None


def _where(queue: str, operation: str) -> dict[str, Any]:
    return {**_TRACED, "messaging.operation.name": operation, "messaging.destination.name": queue}


def _sent(labels: Sequence[str]) -> dict[str, Any]:
    queue, task = labels
    return _where(queue, "enqueue") | {"limelight.task": task}


def _run(labels: Sequence[str]) -> dict[str, Any]:
    queue, task, result = labels
    failed = {"error.type": "_OTHER"} if result == "failed" else {}
    return _where(queue, "process") | {"limelight.task": task} | failed
