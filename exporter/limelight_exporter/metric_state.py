"""The counters and histograms of one queue: updated by operations, saved and restored without losing a digit."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from limelight import events as contract
from limelight.slo import Objective

from . import catalog
from .attendance import UNKNOWN_ERROR, Attendance, SavedAttendance, names_any
from .catalog import CATALOG, KEPT_PER_QUEUE, Section
from .cells import MICROS, Counter, Histogram, in_micros
from .config_file import DEFAULTS, FileSettings
from .exposition import Exposition
from .fold import Kind, Objectives, Told, declared, fold, remarks
from .labels import LENGTH_LIMIT, OTHER, Bounded
from .ops import Add, Declare, Judge, Observe, Op, Spend
from .recipe import Reading, Recipe
from .trace_keep import TraceKeep

_Labels = tuple[str, ...]
_Seen = TypeVar("_Seen")
_Key = tuple[str, str | None, str | None, str | None, bool, str | None]
"""The fields of a `Kind`."""

_COUNTERS: Final = tuple(
    metric.name
    for metric in CATALOG.values()
    if metric.kind == "counter" and (metric.section is Section.EVENTS or metric.name in KEPT_PER_QUEUE)
)
_HISTOGRAMS: Final = tuple(metric.name for metric in CATALOG.values() if metric.kind == "histogram")
_BORN_AT_ZERO: Final[tuple[tuple[str, _Labels], ...]] = (
    *((name, ()) for name in (catalog.EVENTS_LOST, catalog.ROLLBACKS, catalog.SET_ASIDE)),
    *((catalog.MALFORMED, (reason,)) for reason in catalog.MALFORMED_REASONS),
    *((catalog.EVENTS, (status,)) for status in sorted(contract.STATUSES)),
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
        heard: When each task and error type was last heard of.
        began: When counting began, Unix seconds: None before the first event, 0 where nobody wrote it down.
    """

    counters: dict[str, list[tuple[_Labels, int]]]
    histograms: dict[str, list[SavedHistogram]]
    buckets: tuple[float, ...]
    tasks: list[str]
    error_types: list[str]
    objectives: dict[str, dict[str, Objective]]
    heard: SavedAttendance = SavedAttendance()
    began: float | None = 0.0


class QueueState:
    """Metrics of one queue. One thread applies, any thread may collect.

    Args:
        queue: Its name; the first label of every series.
        saved: What to go on from; metrics that are no longer, and histograms of other buckets, are left behind.
        chosen: Buckets and limits.
        exemplars: Which spans are exported beside the sampled ones; metrics point at those. None: at none.
    """

    def __init__(
        self,
        queue: str,
        saved: SavedState | None = None,
        chosen: FileSettings = DEFAULTS,
        *,
        exemplars: TraceKeep | None = None,
    ) -> None:
        self._queue = queue
        self._buckets, self._limits = chosen.buckets, chosen.limits
        self._bounds_in_micros = in_micros(chosen.buckets)
        self._exemplars = exemplars
        self._lock = threading.Lock()
        self._bounds = {
            "task": Bounded(chosen.limits.tasks, saved.tasks if saved else ()),
            "error_type": Bounded(chosen.limits.error_types, saved.error_types if saved else ()),
        }
        self._counters: dict[str, dict[_Labels, Counter]] = {name: {} for name in _COUNTERS}
        self._histograms: dict[str, dict[_Labels, Histogram]] = {name: {} for name in _HISTOGRAMS}
        self._objectives: dict[str, dict[str, Objective]] = {}
        self._recipes: dict[_Key, Recipe] = {}
        self._attendance = Attendance(saved.heard if saved else SavedAttendance())
        self._served: dict[tuple[str, _Labels], int] = {}
        self._began = saved.began if saved else None
        for name, labels in _BORN_AT_ZERO:
            self._counter(name, labels)
        if saved is not None:
            self._restore(saved)

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

    def fold(self, events: Sequence[Told], ops: Iterable[Op] = ()) -> None:
        """Fold events in stream order, after `ops`; a collect sees all of it, or nothing.

        Args:
            events: Of this queue, and of the hour that has begun.
            ops: What is to be counted beside them, `Add` and `Declare`.
        """
        with self._lock:
            for op in ops:
                self._carry_out(op)
            groups: defaultdict[_Key, list[Told]] = defaultdict(list)
            if self._began is None and events:
                self._began = events[0].timestamp
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

    def follow(self, former: QueueState) -> None:
        """Take another state's place in a running exporter: what was served about losses does not fall."""
        self._served = dict(former._served)
        for name in KEPT_PER_QUEUE:
            for labels, cell in former._counters[name].items():
                self._served[name, labels] = max(cell.value, self._served.get((name, labels), 0))

    def collect(self, exposition: Exposition, *, current: bool) -> None:
        """Add this queue's series to a scrape, without those of tasks and error types that are gone.

        Args:
            exposition: Takes them.
            current: False leaves out what comes from events, so that no old number is served.
        """
        with self._lock:
            gone = {label: values for label, values in self._attendance.gone.items() if values}
            counters = [
                (name, labels, cell.value, cell.exemplar)
                for name, cells in self._counters.items()
                if current or name in KEPT_PER_QUEUE
                for labels, cell in cells.items()
                if not gone or not _names_any(gone, name, labels)
            ]
            histograms = [
                (name, labels, list(cell.counts), cell.micros, dict(cell.exemplars))
                for name, cells in self._histograms.items()
                if current
                for labels, cell in cells.items()
                if not gone or not _names_any(gone, name, labels)
            ]
            absent = gone.get("task", frozenset())
            objectives = {
                task: held for task, held in self._objectives.items() if current and task not in absent
            }
        if self._began is not None:
            exposition.began[self._queue] = self._began
        for name, labels, value, exemplar in counters:
            most = max(value, self._served.get((name, labels), 0))
            shown = most / MICROS if name in _OF_SECONDS else most
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

    @property
    def longest_wait(self) -> float | None:
        """The most seconds that a task of this queue may wait, of those that say how long; None if none does."""
        held = [one["wait"].threshold_seconds for one in self._objectives.values() if "wait" in one]
        return max((seconds for seconds in held if seconds is not None), default=None)

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
            buckets=self._buckets,
            tasks=self._bounds["task"].values,
            error_types=self._bounds["error_type"].values,
            objectives=dict(self._objectives),
            heard=self._attendance.save(),
            began=self._began,
        )

    def look(
        self,
        eye: Callable[
            [Mapping[str, Mapping[_Labels, Counter]], Mapping[str, Mapping[_Labels, Histogram]]], _Seen
        ],
    ) -> _Seen:
        """What a function makes of all counters and histograms, by metric and labels, while nobody folds."""
        with self._lock:
            return eye(self._counters, self._histograms)

    @property
    def series(self) -> int:
        """Label sets that are kept."""
        with self._lock:
            return self._size()

    @property
    def kinds(self) -> int:
        """How many kinds of events were met lately; only the thread that applies may ask."""
        return len(self._recipes)

    def _size(self) -> int:
        return sum(map(len, self._counters.values())) + sum(map(len, self._histograms.values()))

    def _is_full(self) -> bool:
        return self._size() >= self._limits.series

    def _forget(self, label: str, values: frozenset[str]) -> None:
        families: tuple[tuple[str, dict[_Labels, Any]], ...] = (
            *self._counters.items(),
            *self._histograms.items(),
        )
        for name, cells in families:
            for labels in [labels for labels in cells if _names_any({label: values}, name, labels)]:
                del cells[labels]
        if label == "task":
            self._objectives = {task: held for task, held in self._objectives.items() if task not in values}
        self._recipes.clear()  # they would count into the cells that are gone
        self._bounds[label].release(values)
        self._attendance.forget(label, values)

    def _restore(self, saved: SavedState) -> None:
        for name in self._counters.keys() & saved.counters.keys():
            for labels, value in saved.counters[name]:
                self._counters[name][labels] = Counter(value)
        if saved.buckets == self._buckets:
            for name in self._histograms.keys() & saved.histograms.keys():
                for cell in saved.histograms[name]:
                    self._histograms[name][cell.labels] = Histogram(
                        self._bounds_in_micros, cell.counts, cell.micros
                    )
        self._objectives = dict(saved.objectives)

    # -- Folding ----------------------------------------------------------------------------------------
    def _fold_groups(self, groups: Mapping[_Key, Sequence[Told]]) -> None:
        for key, events in groups.items():
            recipe = self._recipes.get(key)
            if recipe is None:
                if len(self._recipes) >= _MOST_RECIPES:
                    self._recipes.clear()
                recipe = self._recipes[key] = self._recipe(Kind(*key))
            recipe.apply(events)
        self._hear(groups)

    def _hear(self, kinds: Iterable[_Key]) -> None:
        """Note who is named in events that were applied."""
        tasks, error_types = set[str](), set[str]()
        for _, task, _, _, error, error_type in kinds:
            tasks.add(task or contract.UNKNOWN_TASK)
            if error:
                error_types.add(error_type or UNKNOWN_ERROR)
        self._note_heard("task", tasks)
        self._note_heard("error_type", error_types)

    def _note_heard(self, label: str, values: Iterable[str]) -> None:
        """Of those that have series of their own."""
        self._attendance.hear(label, filter(self._bounds[label].__contains__, values))

    def _remark(self, event: Told) -> None:
        for op in remarks(event, self._limits.tasks):
            self._carry_out(op)
        if event.status == contract.EVENT_CONSUMER_STARTED:
            self._declare_objectives(event)
            self._note_heard("task", event.tasks)
            self._attendance.announce()

    def _declare_objectives(self, event: Told) -> None:
        """The consumer that started last says what its tasks are held to."""
        for task in event.tasks[: self._limits.tasks]:
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
                labels = (*op.labels, catalog.VERDICTS[-1]) if isinstance(op, Judge) else op.labels
                recipe.counters += self._overflow(op.metric, labels)
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
        if self._bounded(metric, labels) == _cut(labels):
            return ()
        return [self._counter(catalog.OVERFLOW, (metric,))]

    def _counter(self, metric: str, labels: _Labels) -> Counter:
        labels = self._bounded(metric, labels)
        cells = self._counters[metric]
        return cells.get(labels) or cells.setdefault(labels, Counter())

    def _histogram(self, metric: str, labels: _Labels) -> Histogram:
        labels = self._bounded(metric, labels)
        cells = self._histograms[metric]
        return cells.get(labels) or cells.setdefault(labels, Histogram(self._bounds_in_micros))

    def _bounded(self, metric: str, labels: _Labels) -> _Labels:
        """The labels as they may be kept."""
        names, cut = CATALOG[metric].labels[1:], _cut(labels)
        cells = self._counters.get(metric) or self._histograms.get(metric) or {}
        full = cut not in cells and self._is_full()
        return tuple(
            value if name not in self._bounds else OTHER if full else self._bounds[name](value)
            for name, value in zip(names, cut, strict=True)
        )


def _cut(labels: _Labels) -> _Labels:
    return tuple(label[:LENGTH_LIMIT] for label in labels)


def _names_any(gone: Mapping[str, Container[str]], metric: str, labels: _Labels) -> bool:
    return names_any(gone, CATALOG[metric].labels[1:], labels)
