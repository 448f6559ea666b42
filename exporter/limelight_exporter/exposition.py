"""From plain numbers to the text that Prometheus reads. Knows prometheus_client's families; its neighbours do not."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from .catalog import BUCKETS, CATALOG, Metric


class Exposition(Collector):
    """The samples of one scrape; add them in any order, the catalogue's order is served.

    Args:
        buckets: Upper bounds of all histograms, without the one that has no end.
    """

    def __init__(self, buckets: Sequence[float] = BUCKETS) -> None:
        self._bounds = [floatToGoString(bound) for bound in (*buckets, float("inf"))]
        self._families: dict[str, Family] = {}

    def add(self, name: str, labels: Sequence[str], value: float) -> None:
        """Add a counter or a gauge, or (whatever the value) an info.

        Args:
            name: A metric of the catalogue.
            labels: All its label values in the catalogue's order.
            value: In the metric's unit.
        """
        family = self._family(name)
        if isinstance(family, InfoMetricFamily):
            family.add_metric([], dict(zip(CATALOG[name].labels, labels, strict=True)))
        elif isinstance(family, CounterMetricFamily | GaugeMetricFamily):
            family.add_metric(labels, value)

    def add_histogram(self, name: str, labels: Sequence[str], counts: Sequence[int], total: float) -> None:
        """Add a histogram; `counts` are per bucket, not cumulative, the last one beyond the highest bound."""
        family = self._family(name)
        if isinstance(family, HistogramMetricFamily):
            family.add_metric(
                labels, list(zip(self._bounds, itertools.accumulate(counts), strict=True)), total
            )

    def collect(self) -> Iterator[Family]:
        """The families that have samples."""
        return (self._families[name] for name in CATALOG if name in self._families)

    def _family(self, name: str) -> Family:
        if name not in self._families:
            self._families[name] = _family(CATALOG[name])
        return self._families[name]


class Renderer:
    """Renders an exposition together with what the operating system says of this process."""

    def __init__(self) -> None:
        self._process = ProcessCollector(registry=CollectorRegistry())

    def render(self, exposition: Exposition, accept: str) -> tuple[bytes, str]:
        """The body and its content type.

        Args:
            exposition: What was gathered.
            accept: The request's ``Accept`` header; OpenMetrics or Prometheus' own text format is negotiated.
        """
        encode, content_type = choose_encoder(accept)
        return encode(_Both(exposition, self._process)), content_type


class _Both(Collector):
    def __init__(self, *collectors: Collector) -> None:
        self._collectors = collectors

    def collect(self) -> Iterator[Family]:
        return itertools.chain.from_iterable(collector.collect() for collector in self._collectors)


def _family(metric: Metric) -> Family:
    match metric.kind:
        case "counter":
            return CounterMetricFamily(metric.name, metric.help, labels=metric.labels, unit=metric.unit)
        case "histogram":
            return HistogramMetricFamily(metric.name, metric.help, labels=metric.labels, unit=metric.unit)
        case "info":
            return InfoMetricFamily(metric.name.removesuffix("_info"), metric.help)
        case _:
            return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels, unit=metric.unit)
