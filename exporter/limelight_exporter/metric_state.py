"""The counters and histograms of one queue: updated by operations, saved and restored without losing a digit."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterable
from typing import Final

import msgspec

from . import catalog
from .catalog import CATALOG, KEPT_PER_QUEUE, Section
from .config_file import DEFAULTS, FileSettings
from .exposition import Exposition
from .labels import LENGTH_LIMIT, Bounded
from .ops import Add, Declare, Observe, Op

_Labels = tuple[str, ...]

_COUNTERS: Final = tuple(
    metric.name
    for metric in CATALOG.values()
    if metric.kind == "counter" and (metric.section is Section.EVENTS or metric.name in KEPT_PER_QUEUE)
)
_HISTOGRAMS: Final = tuple(metric.name for metric in CATALOG.values() if metric.kind == "histogram")
_BORN_AT_ZERO: Final = (catalog.EVENTS_LOST, catalog.ROLLBACKS)


class SavedHistogram(msgspec.Struct, frozen=True, array_like=True):
    """One label set of a histogram: labels, counts per bucket (not cumulative), sum."""

    labels: _Labels
    counts: list[int]
    total: float


class SavedState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a queue's state holds, as it is saved.

    Attributes:
        buckets: The bounds that the counts belong to.
        tasks: Task names that have a series of their own.
        error_types: Likewise error types.
    """

    counters: dict[str, list[tuple[_Labels, int | float]]]
    histograms: dict[str, list[SavedHistogram]]
    buckets: tuple[float, ...]
    tasks: list[str]
    error_types: list[str]


class _Histogram:
    __slots__ = ("counts", "total")

    def __init__(self, counts: Iterable[int], total: float = 0.0) -> None:
        self.counts = list(counts)
        self.total = total


class QueueState:
    """Metrics of one queue. One thread applies, any thread may collect.

    Args:
        queue: Its name; the first label of every series.
        saved: What to go on from; metrics that are no longer, and histograms of other buckets, are left behind.
        chosen: Buckets and limits.
        born: Counters without labels that exist from the start.
    """

    def __init__(
        self,
        queue: str,
        saved: SavedState | None = None,
        chosen: FileSettings = DEFAULTS,
        born: Iterable[str] = _BORN_AT_ZERO,
    ) -> None:
        self._queue = queue
        self._buckets = chosen.buckets
        self._lock = threading.Lock()
        self._bounds = {
            "task": Bounded(chosen.limits.tasks, saved.tasks if saved else ()),
            "error_type": Bounded(chosen.limits.error_types, saved.error_types if saved else ()),
        }
        self._counters: dict[str, dict[_Labels, float]] = {name: {} for name in _COUNTERS}
        self._histograms: dict[str, dict[_Labels, _Histogram]] = {name: {} for name in _HISTOGRAMS}
        for name in born:
            self._counters[name][()] = 0
        if saved is not None:
            self._restore(saved)

    def apply(self, ops: Iterable[Op]) -> None:
        """Apply operations; either all of them are seen by a collect, or none."""
        with self._lock:
            for op in ops:
                if isinstance(op, Add):
                    cells = self._counters[op.metric]
                    labels = op.labels if op.labels in cells else self._bounded(op.metric, op.labels)
                    cells[labels] = cells.get(labels, 0) + op.amount
                elif isinstance(op, Observe):
                    histogram = self._histogram(op.metric, op.labels)
                    histogram.counts[bisect.bisect_left(self._buckets, op.value)] += 1
                    histogram.total += op.value
                else:
                    self._declare(op)

    def collect(self, exposition: Exposition, *, current: bool) -> None:
        """Add this queue's series to a scrape.

        Args:
            exposition: Takes them.
            current: False leaves out what comes from events, so that no old number is served.
        """
        with self._lock:
            counters = {name: list(cells.items()) for name, cells in self._counters.items()}
            histograms = [
                (name, labels, list(cell.counts), cell.total)
                for name, cells in self._histograms.items()
                for labels, cell in cells.items()
            ]
        for name, values in counters.items():
            if current or name in KEPT_PER_QUEUE:
                for labels, value in values:
                    exposition.add(name, (self._queue, *labels), value)
        for name, labels, counts, total in histograms if current else ():
            exposition.add_histogram(name, (self._queue, *labels), counts, total)

    def save(self) -> SavedState:
        """A copy of everything; only the thread that applies may ask for it."""
        return SavedState(
            counters={name: list(cells.items()) for name, cells in self._counters.items()},
            histograms={
                name: [
                    SavedHistogram(labels, list(cell.counts), cell.total) for labels, cell in cells.items()
                ]
                for name, cells in self._histograms.items()
            },
            buckets=self._buckets,
            tasks=self._bounds["task"].values,
            error_types=self._bounds["error_type"].values,
        )

    @property
    def series(self) -> int:
        """Label sets that are kept."""
        with self._lock:
            return sum(map(len, self._counters.values())) + sum(map(len, self._histograms.values()))

    def _restore(self, saved: SavedState) -> None:
        for name in self._counters.keys() & saved.counters.keys():
            self._counters[name].update(saved.counters[name])
        if saved.buckets == self._buckets:
            for name in self._histograms.keys() & saved.histograms.keys():
                for cell in saved.histograms[name]:
                    self._histograms[name][cell.labels] = _Histogram(cell.counts, cell.total)

    def _histogram(self, metric: str, labels: _Labels) -> _Histogram:
        cells = self._histograms[metric]
        if labels not in cells:
            labels = self._bounded(metric, labels)
        return cells.get(labels) or cells.setdefault(labels, _Histogram([0] * (len(self._buckets) + 1)))

    def _declare(self, op: Declare) -> None:
        if op.metric in self._histograms:
            self._histogram(op.metric, op.labels)
        else:
            self._counters[op.metric].setdefault(self._bounded(op.metric, op.labels), 0)

    def _bounded(self, metric: str, labels: _Labels) -> _Labels:
        """The labels as they may be kept; what had to be renamed is counted."""
        names = CATALOG[metric].labels[1:]
        kept = tuple(
            self._bounds[name](value) if name in self._bounds else value[:LENGTH_LIMIT]
            for name, value in zip(names, labels, strict=True)
        )
        if kept != tuple(value[:LENGTH_LIMIT] for value in labels):
            overflow = self._counters[catalog.OVERFLOW]
            overflow[(metric,)] = overflow.get((metric,), 0) + 1
        return kept
