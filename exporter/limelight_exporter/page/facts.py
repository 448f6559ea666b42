"""All that is known at one moment, gathered once for all who look."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from limelight.inspection import Consumer, PeriodicRuns, QueueView
from limelight_exporter import thresholds
from limelight_exporter.attendance import AWAY_HOURS
from limelight_exporter.metric_state import QueueState
from limelight_exporter.stream_source import Position

from .failures import Group
from .history import SLOT_SECONDS, SLOTS, slot_of
from .pulse import Beat, Pulse, beat_of
from .recorder import Memory, Recorder
from .tallies import Tally, between, done_of, summed
from .timelines import Timelines

MINUTE_SLOTS = 6


class Folding(Protocol):
    """What the page asks of a queue's fold."""

    loaded: bool
    caught_up: bool
    saved_at: float | None

    @property
    def state(self) -> QueueState: ...  # noqa: D102
    @property
    def position(self) -> Position: ...  # noqa: D102
    @property
    def replayed(self) -> tuple[int, int]: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What came and went on a queue, from its events.

    Attributes:
        minute: All tasks together, since the last border but one minute.
        minute_seconds: How long that is.
        window: Task → what it did in the last five minutes.
        total: All of them.
        window_seconds: How long that is; less where the exporter began to watch later.
        out: Completed tasks per second, a number for each ten seconds, oldest first.
        failed: Failed attempts, likewise.
    """

    minute: Tally
    minute_seconds: float
    window: Mapping[str, Tally]
    total: Tally
    window_seconds: float
    out: Sequence[float]
    failed: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class QueueFacts:
    """One queue.

    Attributes:
        view: Its gauges; None if it was never seen.
        flow: None while what it told is still being read.
        beats: Its gauges of the last five minutes.
        failures: What failed on it.
        behind_seconds: Age of what was folded last, 0 if all was.
        lost: Events of the last five minutes that nobody read.
        longest_wait: Seconds that its tasks may wait.
    """

    name: str
    view: QueueView | None
    flow: Flow | None
    beats: Sequence[Beat]
    failures: Sequence[Group] = ()
    behind_seconds: float = 0.0
    lost: int = 0
    longest_wait: float = thresholds.QUEUE_AGE_SECONDS

    @cached_property
    def now(self) -> Beat:
        """Its gauges."""
        return beat_of(self.view) if self.view else Beat(0, 0.0, 0, 0)

    @cached_property
    def consumers(self) -> Sequence[Consumer]:
        """Those that are alive."""
        return [one for one in self.view.consumers if one.alive(self.view.now)] if self.view else []

    @property
    def workers(self) -> int:
        """Of all consumers that are alive."""
        return sum(consumer.workers for consumer in self.consumers)

    @property
    def scheduled(self) -> int:
        """Tasks that wait for their time."""
        return self.view.scheduled if self.view else 0

    @property
    def is_paused(self) -> bool:
        """Whether nothing new begins."""
        return self.view is not None and self.view.paused is not None

    @property
    def is_old(self) -> bool:
        """Whether its oldest task waits longer than it may."""
        return self.now.ready > 0 and self.now.oldest_seconds > self.longest_wait

    @property
    def has_work(self) -> bool:
        """Whether there is something for a worker to do, or to have done."""
        view = self.view
        return view is not None and bool(
            view.ready or view.running or (view.oldest_due or view.now) < view.now
        )

    @property
    def grew(self) -> bool:
        """Whether more is ready than five minutes ago."""
        return bool(self.beats) and self.now.ready > self.beats[0].ready

    @cached_property
    def late(self) -> Sequence[PeriodicRuns]:
        """Periodic tasks whose run is overdue."""
        return (
            [one for one in self.view.periodic if overdue_seconds(one, self.view.now) > 0]
            if self.view
            else []
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """About the exporter itself.

    Attributes:
        series: Kept, and how many may be.
        started_at: Unix seconds.
    """

    version: str
    redis: str
    started_at: float
    tracing: bool
    saved_at: float | None = None
    series: int = 0
    events_lost: int = 0
    span_lag_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The moment.

    Attributes:
        now: Unix seconds by Redis' clock, when it answered last.
        at: The same of this moment, as far as it can be known.
        queues: In name order.
        own: About the exporter.
        timelines: What single tasks went through.
        down_since: Since when Redis does not answer, None while it does; then all is from that moment.
        trouble: Why it does not.
        replay: How much of what was told before has been read, and what is left of it in seconds; None when all was.
    """

    now: float
    at: float
    queues: Sequence[QueueFacts]
    own: Own
    timelines: Timelines = field(default_factory=Timelines)
    down_since: float | None = None
    trouble: str = ""
    replay: tuple[float, float | None] | None = None

    @cached_property
    def latest(self) -> int:
        """The slot of this moment."""
        return slot_of(self.now)

    @cached_property
    def failures(self) -> Sequence[Group]:
        """Of all queues: those of the last five minutes by number, then older ones by age."""
        groups = [group for queue in self.queues for group in queue.failures]
        return sorted(groups, key=lambda one: (-one.within(self.latest - SLOTS), -one.last_at))

    def only(self, queue: str) -> Facts | None:
        """The same of one queue alone; None if it is not known."""
        one = [facts for facts in self.queues if facts.name == queue]
        return Facts(**{**self.__dict__, "queues": one}) if one else None


def overdue_seconds(periodic: PeriodicRuns, now: float) -> float:
    """By how much a run is later than it may be; 0 if it is not."""
    if not periodic.unmet:
        return 0.0
    grace = thresholds.PERIODIC_GRACE_SECONDS if periodic.grace is None else periodic.grace
    return max(0.0, now - periodic.unmet - grace)


def flow_of(recorder: Recorder, state: QueueState, bounds: Sequence[float], now: float) -> Flow:
    """What came and went on a queue, in whole slots back from the one that has begun."""
    latest, history, present = slot_of(now), recorder.history, recorder.totals(state)
    rows = [history.at(latest - SLOTS + at, present) for at in range(SLOTS + 1)]
    window = between(rows[0], present, bounds)
    minute = summed(between(rows[-1 - MINUTE_SLOTS], present, bounds).values(), bounds)
    marks = [done_of(row) for row in rows]
    since = history.since
    return Flow(
        minute=minute,
        minute_seconds=_span(now, (latest - MINUTE_SLOTS) * SLOT_SECONDS, since),
        window=window,
        total=summed(window.values(), bounds),
        window_seconds=_span(now, (latest - SLOTS) * SLOT_SECONDS, since),
        out=[max(0, after[0] - before[0]) / SLOT_SECONDS for before, after in itertools.pairwise(marks)],
        failed=[float(max(0, after[1] - before[1])) for before, after in itertools.pairwise(marks)],
    )


def _span(now: float, start: float, since: float) -> float:
    return max(1.0, now - max(start, since))


class Gatherer:
    """Makes facts of what the pipelines have and what Redis says.

    Args:
        memory: What the page remembers.
        pulse: What the gauges were.
        bounds: Of the histograms' buckets.
        clock: Unix seconds.
    """

    def __init__(
        self, memory: Memory, pulse: Pulse, bounds: Sequence[float], clock: Callable[[], float] = time.time
    ) -> None:
        self._memory, self._pulse, self._bounds, self._clock = memory, pulse, bounds, clock
        self._views: Mapping[str, QueueView] = {}
        self._began = self._seen_at = self._looked_at = clock()
        self._down_since = 0.0

    def gather(self, folds: Mapping[str, Folding], seen: Mapping[str, QueueView] | str, own: Own) -> Facts:
        """The facts of this moment.

        Args:
            folds: Queue → its fold.
            seen: Queue → its gauges; or why Redis could not be asked, and then what was known last stays.
            own: About the exporter.
        """
        if isinstance(seen, str):
            self._down_since = self._down_since or self._clock()
        else:
            self._views, self._down_since, self._looked_at = seen, 0.0, self._clock()
            self._seen_at = max((view.now for view in seen.values()), default=self._looked_at)
            self._pulse.note(seen)
        now = self._seen_at
        failures: dict[str, list[Group]] = {}
        for group in self._memory.failures.groups():
            failures.setdefault(group.queue, []).append(group)
        return Facts(
            now=now,
            at=now + self._clock() - self._looked_at,
            queues=[
                self._queue(name, folds.get(name), failures.get(name, []), now)
                for name in sorted({*folds, *self._views})
                if not _is_gone(self._views.get(name))
            ],
            own=own,
            timelines=self._memory.timelines,
            down_since=self._down_since or None,
            trouble=seen if isinstance(seen, str) else "",
            replay=self._replay(folds.values()),
        )

    def _queue(self, name: str, fold: Folding | None, failures: Sequence[Group], now: float) -> QueueFacts:
        view, recorder = self._views.get(name), self._memory.recorders.get(name)
        flow = None
        if fold is not None and fold.caught_up and recorder is not None:
            flow = flow_of(recorder, fold.state, self._bounds, now)
        return QueueFacts(
            name=name,
            view=view,
            flow=flow,
            beats=self._pulse.series(name, slot_of(now)),
            failures=failures,
            behind_seconds=_behind(fold.position, view) if fold is not None and view is not None else 0.0,
            lost=recorder.recently_lost if recorder else 0,
            longest_wait=(fold.state.longest_wait if fold else None) or thresholds.QUEUE_AGE_SECONDS,
        )

    def _replay(self, folds: Iterable[Folding]) -> tuple[float, float | None] | None:
        folding = list(folds)
        if all(fold.caught_up for fold in folding):
            return None
        done, whole = (sum(numbers) for numbers in zip(*(fold.replayed for fold in folding), strict=True))
        part = done / whole if whole else 0.0
        left = (self._clock() - self._began) * (1 - part) / part if part > 0.02 else None
        return part, left


def _is_gone(view: QueueView | None) -> bool:
    """Whether a queue holds nothing, nobody works on it and nothing was told of it for a week."""
    if view is None or view.records or view.consumers:
        return False
    newest = int(view.last_event_id.partition("-")[0]) / 1_000
    return 0 < newest < view.now - AWAY_HOURS * 3_600


def _behind(position: Position, view: QueueView) -> float:
    """Seconds between what was folded last and the newest event; stream ids begin with milliseconds."""
    if position.epoch != view.epoch or position.seq >= view.seq:
        return 0.0
    newest, folded = (int(one.partition("-")[0]) for one in (view.last_event_id, position.id))
    return max(0.0, (newest - folded) / 1_000) if folded else 0.0
