"""The counters and histograms of one queue: updated by operations, saved and restored without losing a digit."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from limelight import events as contract
from limelight.slo import Objective

from . import catalog
from .catalog import BUCKETS, CATALOG, KEPT_PER_QUEUE, Section
from .cells import MICROS, Counter, Histogram
from .exposition import Exposition
from .fold import Kind, MetricEvent, Objectives, declared, fold, remarks
from .labels import LENGTH_LIMIT, Bounded
from .ops import Add, Declare, Judge, Observe, Op, Spend
from .recipe import Reading, Recipe

_Labels = tuple[str, ...]
_Key = tuple[str, str | None, str | None, str | None, bool, str | None]
"""The fields of a `Kind`."""

_COUNTERS: Final = tuple(
    metric.name
    for metric in CATALOG.values()
    if metric.kind == "counter" and (metric.section is Section.EVENTS or metric.name in KEPT_PER_QUEUE)
)
_HISTOGRAMS: Final = tuple(metric.name for metric in CATALOG.values() if metric.kind == "histogram")
_BORN_AT_ZERO: Final[tuple[tuple[str, _Labels], ...]] = (
    (catalog.EVENTS_LOST, ()),
    (catalog.ROLLBACKS, ()),
    (catalog.MALFORMED, ("duration",)),
)
_OF_SECONDS: Final = frozenset(name for name in _COUNTERS if CATALOG[name].unit == "seconds")
_MOST_RECIPES: Final = 10_000


class SavedHistogram(msgspec.Struct, frozen=True, array_like=True):
    """One label set of a histogram: labels, counts per bucket (not cumulative), sum in µs."""

    labels: _Labels
    counts: list[int]
    micros: int


class SavedState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a queue's state holds, as it is saved; seconds are in µs.

    Attributes:
        buckets: The bounds that the counts belong to.
        tasks: Task names that have a series of their own.
        error_types: Likewise error types.
        objectives: Task → what it is held to.
    """

    counters: dict[str, list[tuple[_Labels, int]]]
    histograms: dict[str, list[SavedHistogram]]
    buckets: tuple[float, ...]
    tasks: list[str]
    error_types: list[str]
    objectives: dict[str, dict[str, Objective]]


class QueueState:
    """Metrics of one queue. One thread applies, any thread may collect.

    Args:
        queue: Its name; the first label of every series.
        saved: What to go on from; metrics that the catalogue no longer has are left behind.
        exemplars: Whether histograms and failures point at spans.
    """

    def __init__(self, queue: str, saved: SavedState | None = None, *, exemplars: bool = False) -> None:
        self._queue = queue
        self._exemplars = exemplars
        self._lock = threading.Lock()
        self._bounds = {
            "task": Bounded(catalog.TASK_LIMIT, saved.tasks if saved else ()),
            "error_type": Bounded(catalog.ERROR_TYPE_LIMIT, saved.error_types if saved else ()),
        }
        self._counters: dict[str, dict[_Labels, Counter]] = {name: {} for name in _COUNTERS}
        self._histograms: dict[str, dict[_Labels, Histogram]] = {name: {} for name in _HISTOGRAMS}
        self._objectives: dict[str, dict[str, Objective]] = {}
        self._recipes: dict[_Key, Recipe] = {}
        for name, labels in _BORN_AT_ZERO:
            self._counter(name, labels)
        if saved is not None:
            self._restore(saved)

    def fold(self, events: Sequence[MetricEvent], ops: Iterable[Op] = ()) -> None:
        """Fold events in stream order, after `ops`; a collect sees all of it, or nothing.

        Args:
            events: Of this queue.
            ops: What is to be counted beside them, `Add` and `Declare`.
        """
        with self._lock:
            for op in ops:
                self._carry_out(op)
            groups: defaultdict[_Key, list[MetricEvent]] = defaultdict(list)
            for event in events:
                if event.dropped or event.status == contract.EVENT_CONSUMER_STARTED:
                    # Whose series exist first depends on the order, so none of it may pass the other.
                    self._fold_groups(groups)
                    groups.clear()
                    self._remark(event)
                # A plain tuple: a Kind takes three times as long to make, and this is done for every event.
                key = (event.status, event.task, event.outcome, event.end, event.error, event.error_type)
                groups[key].append(event)
            self._fold_groups(groups)

    def collect(self, exposition: Exposition, *, current: bool) -> None:
        """Add this queue's series to a scrape.

        Args:
            exposition: Takes them.
            current: False leaves out what comes from events, so that no old number is served.
        """
        with self._lock:
            counters = [
                (name, labels, cell.value, cell.exemplar)
                for name, cells in self._counters.items()
                if current or name in KEPT_PER_QUEUE
                for labels, cell in cells.items()
            ]
            histograms = [
                (name, labels, list(cell.counts), cell.micros, dict(cell.exemplars))
                for name, cells in self._histograms.items()
                if current
                for labels, cell in cells.items()
            ]
            objectives = dict(self._objectives) if current else {}
        for name, labels, value, exemplar in counters:
            shown = value / MICROS if name in _OF_SECONDS else value
            exposition.add(name, (self._queue, *labels), shown, exemplar)
        for name, labels, counts, total, exemplars in histograms:
            exposition.add_histogram(name, (self._queue, *labels), counts, total / MICROS, exemplars)
        for task, held_to in objectives.items():
            self._collect_objectives(exposition, task, held_to)

    def _collect_objectives(self, exposition: Exposition, task: str, held_to: Objectives) -> None:
        for name, objective in held_to.items():
            labels = (self._queue, task, name)
            exposition.add(catalog.SLO_TARGET, labels, objective.target)
            if objective.threshold_seconds is not None:
                exposition.add(catalog.SLO_THRESHOLD, labels, objective.threshold_seconds)

    def save(self) -> SavedState:
        """A copy of everything; only the thread that applies may ask for it."""
        return SavedState(
            counters={
                name: [(labels, cell.value) for labels, cell in cells.items()]
                for name, cells in self._counters.items()
            },
            histograms={
                name: [
                    SavedHistogram(labels, list(cell.counts), cell.micros) for labels, cell in cells.items()
                ]
                for name, cells in self._histograms.items()
            },
            buckets=BUCKETS,
            tasks=self._bounds["task"].values,
            error_types=self._bounds["error_type"].values,
            objectives=dict(self._objectives),
        )

    @property
    def series(self) -> int:
        """Label sets that are kept."""
        with self._lock:
            return sum(map(len, self._counters.values())) + sum(map(len, self._histograms.values()))

    def _restore(self, saved: SavedState) -> None:
        for name in self._counters.keys() & saved.counters.keys():
            for labels, value in saved.counters[name]:
                self._counters[name][labels] = Counter(value)
        if saved.buckets == BUCKETS:
            for name in self._histograms.keys() & saved.histograms.keys():
                for cell in saved.histograms[name]:
                    self._histograms[name][cell.labels] = Histogram(cell.counts, cell.micros)
        self._objectives = dict(saved.objectives)

    # -- Folding ----------------------------------------------------------------------------------------
    def _fold_groups(self, groups: Mapping[_Key, Sequence[MetricEvent]]) -> None:
        for key, events in groups.items():
            recipe = self._recipes.get(key)
            if recipe is None:
                if len(self._recipes) >= _MOST_RECIPES:
                    self._recipes.clear()
                recipe = self._recipes[key] = self._recipe(Kind(*key))
            recipe.apply(events)

    def _remark(self, event: MetricEvent) -> None:
        for op in remarks(event):
            self._carry_out(op)
        if event.status == contract.EVENT_CONSUMER_STARTED:
            self._declare_objectives(event)

    def _declare_objectives(self, event: MetricEvent) -> None:
        """The consumer that started last says what its tasks are held to."""
        for task in event.tasks:
            (kept,) = self._bounded(catalog.ENQUEUED, (task,))
            objectives = declared(event, task)
            if objectives and kept == task:
                self._objectives[task] = dict(objectives)
            else:
                self._objectives.pop(task, None)
        self._recipes.clear()

    def _carry_out(self, op: Op) -> None:
        if isinstance(op, Add):
            for counter in self._raised(op.metric, op.labels):
                counter.value += op.amount
        elif isinstance(op, Declare) and op.metric in self._histograms:
            self._histogram(op.metric, op.labels)
        else:
            self._counter(op.metric, op.labels)

    def _recipe(self, kind: Kind) -> Recipe:
        recipe = Recipe(self._counter(catalog.MALFORMED, ("duration",)), self._exemplars)
        for op in fold(kind, self._objectives.get(kind.label, {})):
            if isinstance(op, Add):
                counter, *overflow = self._raised(op.metric, op.labels)
                recipe.counters += [counter, *overflow]
                if op.metric == catalog.ERRORS:
                    recipe.failures.append(counter)
            elif isinstance(op, Observe | Spend | Judge):
                self._note(recipe.readings.setdefault(op.measure, Reading()), op)
                if isinstance(op, Observe | Spend):
                    recipe.counters += self._overflow(op.metric, op.labels)
        return recipe

    def _note(self, reading: Reading, op: Observe | Spend | Judge) -> None:
        if isinstance(op, Observe):
            reading.histograms.append(self._histogram(op.metric, op.labels))
        elif isinstance(op, Spend):
            reading.spent.append(self._counter(op.metric, op.labels))
        else:
            good, bad = (self._counter(op.metric, (*op.labels, verdict)) for verdict in catalog.VERDICTS)
            reading.judges.append((round(op.threshold_seconds * MICROS), good, bad))

    def _raised(self, metric: str, labels: _Labels) -> Sequence[Counter]:
        """The counter, and what else is raised with it."""
        return [self._counter(metric, labels), *self._overflow(metric, labels)]

    def _overflow(self, metric: str, labels: _Labels) -> Sequence[Counter]:
        """What counts that these labels had to be renamed."""
        if self._bounded(metric, labels) == tuple(label[:LENGTH_LIMIT] for label in labels):
            return ()
        return [self._counter(catalog.OVERFLOW, (metric,))]

    def _counter(self, metric: str, labels: _Labels) -> Counter:
        labels = self._bounded(metric, labels)
        cells = self._counters[metric]
        return cells.get(labels) or cells.setdefault(labels, Counter())

    def _histogram(self, metric: str, labels: _Labels) -> Histogram:
        labels = self._bounded(metric, labels)
        cells = self._histograms[metric]
        return cells.get(labels) or cells.setdefault(labels, Histogram())

    def _bounded(self, metric: str, labels: _Labels) -> _Labels:
        """The labels as they may be kept."""
        names = CATALOG[metric].labels[1:]
        return tuple(
            self._bounds[name](value) if name in self._bounds else value[:LENGTH_LIMIT]
            for name, value in zip(names, labels, strict=True)
        )
