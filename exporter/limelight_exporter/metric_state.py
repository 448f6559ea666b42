"""The counters and histograms of one queue: updated by operations, saved and restored without losing a digit."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from limelight import events as contract
from limelight.events import Event

from . import catalog
from .attendance import Attendance, SavedAttendance, names_any
from .catalog import BUCKETS, CATALOG, KEPT_PER_QUEUE, Section
from .exposition import Exposition
from .labels import LENGTH_LIMIT, OTHER, Bounded
from .ops import Add, Declare, Observe, Op

_Labels = tuple[str, ...]

_COUNTERS: Final = tuple(
    metric.name
    for metric in CATALOG.values()
    if metric.kind == "counter" and (metric.section is Section.EVENTS or metric.name in KEPT_PER_QUEUE)
)
_HISTOGRAMS: Final = tuple(metric.name for metric in CATALOG.values() if metric.kind == "histogram")
_BORN_AT_ZERO: Final = (
    *((name, ()) for name in (catalog.EVENTS_LOST, catalog.ROLLBACKS, catalog.SET_ASIDE)),
    *((catalog.MALFORMED, (reason,)) for reason in catalog.MALFORMED_REASONS),
    *((catalog.EVENTS, (status,)) for status in sorted(contract.STATUSES)),
)


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
        heard: When each was last heard of.
    """

    counters: dict[str, list[tuple[_Labels, int | float]]]
    histograms: dict[str, list[SavedHistogram]]
    buckets: tuple[float, ...]
    tasks: list[str]
    error_types: list[str]
    heard: SavedAttendance = SavedAttendance()


class _Histogram:
    __slots__ = ("counts", "total")

    def __init__(self, counts: Iterable[int] = (0,) * (len(BUCKETS) + 1), total: float = 0.0) -> None:
        self.counts = list(counts)
        self.total = total


class QueueState:
    """Metrics of one queue. One thread applies, any thread may collect.

    Args:
        queue: Its name; the first label of every series.
        saved: What to go on from; metrics that the catalogue no longer has are left behind.
    """

    def __init__(self, queue: str, saved: SavedState | None = None) -> None:
        self._queue = queue
        self._lock = threading.Lock()
        self._bounds = {
            "task": Bounded(catalog.TASK_LIMIT, saved.tasks if saved else ()),
            "error_type": Bounded(catalog.ERROR_TYPE_LIMIT, saved.error_types if saved else ()),
        }
        self._counters: dict[str, dict[_Labels, float]] = {name: {} for name in _COUNTERS}
        self._histograms: dict[str, dict[_Labels, _Histogram]] = {name: {} for name in _HISTOGRAMS}
        for name, labels in _BORN_AT_ZERO:
            self._counters[name][labels] = 0
        self._attendance = Attendance(saved.heard if saved else SavedAttendance())
        self._served: dict[tuple[str, _Labels], float] = {}
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
                    histogram.counts[bisect.bisect_left(BUCKETS, op.value)] += 1
                    histogram.total += op.value
                else:
                    self._declare(op)

    def begin_hour(self, hour: int) -> None:
        """The events that follow are of this hour. Where places are wanting, whoever is gone leaves theirs.

        That happens between the same two events in every exporter, so all of them go on to agree.
        """
        with self._lock:
            if hour > self._attendance.hour:
                self._attendance.begin(hour)
                for label, gone in self._attendance.gone.items():
                    if gone and (self._bounds[label].is_full or self._is_full()):
                        self._forget(label, gone)

    def hear(self, events: Iterable[Event]) -> None:
        """Note who is named in events of the hour that has begun, after they were applied."""
        with self._lock:
            self._attendance.hear(events, self._bounds["task"], self._bounds["error_type"])

    def follow(self, former: QueueState) -> None:
        """Take another state's place in a running exporter: what was served about losses does not fall."""
        self._served = dict(former._served)
        for name in KEPT_PER_QUEUE:
            for labels, value in former._counters[name].items():
                self._served[name, labels] = max(value, self._served.get((name, labels), 0))

    def collect(self, exposition: Exposition, *, current: bool) -> None:
        """Add this queue's series to a scrape, without those of tasks and error types that are gone.

        Args:
            exposition: Takes them.
            current: False leaves out what comes from events, so that no old number is served.
        """
        with self._lock:
            gone = {label: values for label, values in self._attendance.gone.items() if values}
            counters = {
                name: [
                    (labels, value)
                    for labels, value in cells.items()
                    if not names_any(gone, CATALOG[name].labels[1:], labels)
                ]
                for name, cells in self._counters.items()
            }
            histograms = [
                (name, labels, list(cell.counts), cell.total)
                for name, cells in self._histograms.items()
                for labels, cell in cells.items()
                if not names_any(gone, CATALOG[name].labels[1:], labels)
            ]
        for name, values in counters.items():
            if current or name in KEPT_PER_QUEUE:
                for labels, value in values:
                    shown = max(value, self._served.get((name, labels), 0))
                    exposition.add(name, (self._queue, *labels), shown)
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
            buckets=BUCKETS,
            tasks=self._bounds["task"].values,
            error_types=self._bounds["error_type"].values,
            heard=self._attendance.save(),
        )

    @property
    def series(self) -> int:
        """Label sets that are kept."""
        with self._lock:
            return self._size()

    def _size(self) -> int:
        return sum(map(len, self._counters.values())) + sum(map(len, self._histograms.values()))

    def _is_full(self) -> bool:
        return self._size() >= catalog.SERIES_LIMIT

    def _forget(self, label: str, values: frozenset[str]) -> None:
        families: tuple[tuple[str, dict[_Labels, Any]], ...] = (
            *self._counters.items(),
            *self._histograms.items(),
        )
        for name, cells in families:
            for labels in [
                labels for labels in cells if names_any({label: values}, CATALOG[name].labels[1:], labels)
            ]:
                del cells[labels]
        self._bounds[label].release(values)
        self._attendance.forget(label, values)

    def _restore(self, saved: SavedState) -> None:
        for name in self._counters.keys() & saved.counters.keys():
            self._counters[name].update(saved.counters[name])
        if saved.buckets == BUCKETS:
            for name in self._histograms.keys() & saved.histograms.keys():
                for cell in saved.histograms[name]:
                    self._histograms[name][cell.labels] = _Histogram(cell.counts, cell.total)

    def _histogram(self, metric: str, labels: _Labels) -> _Histogram:
        cells = self._histograms[metric]
        if labels not in cells:
            labels = self._bounded(metric, labels)
        return cells.get(labels) or cells.setdefault(labels, _Histogram())

    def _declare(self, op: Declare) -> None:
        if op.metric in self._histograms:
            self._histogram(op.metric, op.labels)
        else:
            self._counters[op.metric].setdefault(self._bounded(op.metric, op.labels), 0)

    def _bounded(self, metric: str, labels: _Labels) -> _Labels:
        """The labels as they may be kept; what had to be renamed is counted."""
        names = CATALOG[metric].labels[1:]
        cells = self._counters.get(metric) or self._histograms.get(metric) or {}
        cut = tuple(value[:LENGTH_LIMIT] for value in labels)
        full = cut not in cells and self._is_full()
        kept = tuple(
            value if name not in self._bounds else OTHER if full else self._bounds[name](value)
            for name, value in zip(names, cut, strict=True)
        )
        if kept != cut:
            overflow = self._counters[catalog.OVERFLOW]
            overflow[(metric,)] = overflow.get((metric,), 0) + 1
        return kept
