"""From plain numbers to the text that Prometheus reads.

The text is written here: prometheus_client makes an object of every sample, and takes twenty times as long. It
negotiates the format, tells of this process, and reads our text in the tests.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.utils import floatToGoString

from .catalog import BUCKETS, CATALOG, Metric
from .cells import Exemplar

_OPENMETRICS: Final = "application/openmetrics-text"
_LINES_AT_ONCE: Final = 500
_NO_EXEMPLARS: Final[Mapping[int, Exemplar]] = {}


class Row(NamedTuple):
    """One sample of a counter, a gauge or an info."""

    labels: Sequence[str]
    value: float
    exemplar: Exemplar | None = None


class Distribution(NamedTuple):
    """One label set of a histogram; `counts` per bucket, not cumulative."""

    labels: Sequence[str]
    counts: Sequence[int]
    total: float
    exemplars: Mapping[int, Exemplar]


class Exposition:
    """The samples of one scrape; add them in any order, the catalogue's order is served.

    Attributes:
        buckets: Upper bounds of all histograms, without the one that has no end.
        began: Queue → when counting its events began, Unix seconds; 0 if nobody knows.

    Args:
        buckets: Upper bounds of all histograms, without the one that has no end.
    """

    def __init__(self, buckets: Sequence[float] = BUCKETS) -> None:
        self.buckets = tuple(buckets)
        self._bounds = tuple(floatToGoString(bound) for bound in (*buckets, math.inf))
        self._rows: dict[str, list[Row]] = {}
        self.began: dict[str, float] = {}
        self._distributions: dict[str, list[Distribution]] = {}

    def add(self, name: str, labels: Sequence[str], value: float, exemplar: Exemplar | None = None) -> None:
        """Add a counter or a gauge, or (whatever the value) an info.

        Args:
            name: A metric of the catalogue.
            labels: All its label values in the catalogue's order.
            value: In the metric's unit.
            exemplar: A span that stands for the last increase of a counter.
        """
        self._rows.setdefault(name, []).append(Row(labels, value, exemplar))

    def add_histogram(
        self,
        name: str,
        labels: Sequence[str],
        counts: Sequence[int],
        total: float,
        exemplars: Mapping[int, Exemplar] = _NO_EXEMPLARS,
    ) -> None:
        """Add a histogram.

        Args:
            name: A metric of the catalogue.
            labels: All its label values in the catalogue's order.
            counts: Per bucket, not cumulative, the last one beyond the highest bound.
            total: Sum of all values.
            exemplars: Bucket → a span that stands for its values.
        """
        rows = self._distributions.setdefault(name, [])
        rows.append(Distribution(labels, counts, total, exemplars))

    def families(self) -> Iterator[tuple[Metric, Sequence[Row], Sequence[Distribution]]]:
        """What was added, in the catalogue's order: samples of a metric, or label sets of a histogram."""
        for name, metric in CATALOG.items():
            if name in self._rows or name in self._distributions:
                yield metric, self._rows.get(name, ()), self._distributions.get(name, ())

    def lines(self, *, openmetrics: bool, now: float) -> Iterator[str]:
        """The text, a family's head or one label set at a time.

        Args:
            openmetrics: False: Prometheus' own text format, which has no exemplars.
            now: Unix seconds; no exemplar is later.
        """
        latest = now if openmetrics else None
        for name, metric in CATALOG.items():
            if name in self._rows:
                yield _head(metric, openmetrics=openmetrics)
                for row in self._rows[name]:
                    yield _row(metric, row, latest)
            elif name in self._distributions:
                yield _head(metric, openmetrics=openmetrics)
                for distribution in self._distributions[name]:
                    yield from _distribution(metric, distribution, self._bounds, latest)


class Renderer:
    """Renders an exposition together with what the operating system says of this process.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._process = ProcessCollector(registry=CollectorRegistry())

    def render(self, exposition: Exposition, accept: str) -> tuple[bytes, str]:
        """The body and its content type.

        Args:
            exposition: What was gathered.
            accept: The request's ``Accept`` header; OpenMetrics or Prometheus' own text format is negotiated.
        """
        encode, content_type = choose_encoder(accept)
        lines = exposition.lines(openmetrics=content_type.startswith(_OPENMETRICS), now=self._clock())
        return b"".join((*_chunks(lines), encode(self._process))), content_type


def _chunks(lines: Iterator[str]) -> Iterator[bytes]:
    """The text in pieces of a millisecond; between them whoever folds may go on at once."""
    while chunk := "".join(itertools.islice(lines, _LINES_AT_ONCE)):
        yield chunk.encode()
        time.sleep(0)


def _head(metric: Metric, *, openmetrics: bool) -> str:
    name, kind = metric.name, metric.kind
    if not openmetrics:
        kind = "gauge" if kind == "info" else kind
        return f"# HELP {name} {metric.help}\n# TYPE {name} {kind}\n"
    family = name.removesuffix("_total" if kind == "counter" else "_info" if kind == "info" else "")
    unit = f"# UNIT {family} {metric.unit}\n" if metric.unit else ""
    return f"# HELP {family} {metric.help}\n# TYPE {family} {kind}\n{unit}"


def _row(metric: Metric, row: Row, latest: float | None) -> str:
    labels = _labels(metric.labels, row.labels)
    value = "1.0" if metric.kind == "info" else _number(row.value)
    return (
        f"{metric.name}{{{labels}}} {value}{_exemplar(row.exemplar, latest)}\n"
        if labels
        else (f"{metric.name} {value}\n")
    )


def _distribution(
    metric: Metric, row: Distribution, bounds: Sequence[str], latest: float | None
) -> Iterator[str]:
    name, labels = metric.name, _labels(metric.labels, row.labels)
    bucket = f'{name}_bucket{{{labels},le="'
    count = 0
    for at, (bound, cumulated) in enumerate(zip(bounds, itertools.accumulate(row.counts), strict=True)):
        count = cumulated
        yield f'{bucket}{bound}"}} {count}.0{_exemplar(row.exemplars.get(at), latest)}\n'
    yield f"{name}_count{{{labels}}} {count}.0\n{name}_sum{{{labels}}} {_number(row.total)}\n"


def _exemplar(exemplar: Exemplar | None, latest: float | None) -> str:
    """Prometheus takes none that is older than the one before, so one from the future would bar all that follow."""
    if exemplar is None or latest is None:
        return ""
    at = min(exemplar.timestamp, latest)
    ids = f'{{trace_id="{exemplar.trace_id}",span_id="{exemplar.span_id}"}}'
    return f" # {ids} {_number(exemplar.value)} {at:.3f}"


def _labels(names: Sequence[str], values: Sequence[str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return repr(float(value)) if math.isfinite(value) else str(floatToGoString(value))
