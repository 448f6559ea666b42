"""What the live view knows: events folded into bounded memories, and the latest look at each queue."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from typing import Final

from limelight import events
from limelight.cli.text import counted
from limelight.events import Event
from limelight.inspection import QueueView

from .account import Key, counts_of
from .timeline import Phase, Timeline
from .window import PerSecond, Recent

RATE_SECONDS: Final = 10
WINDOW_SECONDS: Final = 60
WATERFALL_SECONDS: Final = 20
HISTORY_CELLS: Final = 20
HISTORY_SECONDS: Final = 3
LATE_SECONDS: Final = 5.0
MOST_TASKS: Final = 2_000
MOST_LATEST: Final = 20
MOST_UNPRINTED: Final = 5_000
MOST_KEYS: Final = 10_000

QUIET: Final = frozenset({events.EVENT_ENQUEUED, events.EVENT_STARTED, events.EVENT_SCHEDULED})
"""Told so often that the latest lines would show nothing else; the waterfall and the rates show them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """A line of the table; what is not known is None.

    Attributes:
        oldest: Age in seconds of the oldest ready task.
        came, went: Tasks per second that were enqueued, that came to their end.
        history: Tasks that came to their end, per span of `HISTORY_SECONDS`, oldest first.
        state: In words; `late` and `failing` say how bad they are.
    """

    name: str
    ready: int = 0
    oldest: float | None = None
    running: int = 0
    workers: int = 0
    scheduled: int = 0
    dead: int = 0
    came: float = 0.0
    went: float = 0.0
    wait_p95: float | None = None
    run_p95: float | None = None
    history: tuple[int, ...] = ()
    state: str = ""
    late: bool = False
    failing: bool = False


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A line of the waterfall."""

    id: str
    task: str
    phases: tuple[Phase, ...]

    @property
    def seconds(self) -> float:
        """From its first to its last phase."""
        return self.phases[-1].end - self.phases[0].begin


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """All that is shown at one moment.

    Attributes:
        now: Unix seconds by Redis' clock.
        finished: The latest events of success, the newest last.
        notable: The latest of all others.
    """

    now: float
    up_seconds: float
    verdict: str
    queues: tuple[QueueRow, ...]
    tasks: tuple[TaskRow, ...]
    finished: tuple[Event, ...]
    notable: tuple[Event, ...]


@dataclass(slots=True)
class QueueWatch:
    """One queue: its last look, and what its events told."""

    name: str
    seq: int = 0
    missed: int = 0
    view: QueueView | None = None
    came: PerSecond = field(default_factory=lambda: PerSecond(WINDOW_SECONDS + HISTORY_SECONDS))
    went: PerSecond = field(
        default_factory=lambda: PerSecond((HISTORY_CELLS + 1) * HISTORY_SECONDS + RATE_SECONDS)
    )
    failed: PerSecond = field(default_factory=lambda: PerSecond(WINDOW_SECONDS + HISTORY_SECONDS))
    waits: Recent = field(default_factory=Recent)
    runs: Recent = field(default_factory=Recent)
    depths: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=WINDOW_SECONDS))

    def tell(self, event: Event) -> None:
        """Take in an event of this queue, and notice what is missing before it."""
        self.missed += max(0, event.seq - self.seq - 1)
        self.seq = event.seq
        if event.status == events.EVENT_ENQUEUED:
            self.came.add(event.timestamp)
        elif event.status == events.EVENT_STARTED and event.wait is not None:
            self.waits.add(event.timestamp, event.wait)
        if event.end is not None:
            self.went.add(event.timestamp)
        if event.outcome is not None and event.error:
            self.failed.add(event.timestamp)
        if event.outcome is not None and event.duration is not None:
            self.runs.add(event.timestamp, event.duration)

    def look(self, view: QueueView, now: float) -> None:
        """Take in a look at what stands in Redis."""
        self.view = view
        self.depths.append((now, view.ready))

    def row(self, now: float, up_seconds: float) -> QueueRow:
        """What the table says of it."""
        view = self.view
        if view is None:
            return QueueRow(name=self.name, state="starting")
        seconds = max(1, min(RATE_SECONDS, int(up_seconds)))
        since, spans = now - WINDOW_SECONDS, int(up_seconds) // HISTORY_SECONDS + 1
        oldest = None if view.oldest_ready is None else max(0.0, now - view.oldest_ready)
        state, late, failing = self._state(view, now, oldest)
        return QueueRow(
            name=self.name,
            ready=view.ready,
            oldest=oldest,
            running=view.running,
            workers=workers(view, now),
            scheduled=view.scheduled,
            dead=view.dead,
            came=self.came.total(now, seconds) / seconds,
            went=self.went.total(now, seconds) / seconds,
            wait_p95=self.waits.quantile(0.95, since),
            run_p95=self.runs.quantile(0.95, since),
            history=self.went.history(now, HISTORY_CELLS, HISTORY_SECONDS)[-spans:],
            state=state,
            late=late,
            failing=failing,
        )

    def _state(self, view: QueueView, now: float, oldest: float | None) -> tuple[str, bool, bool]:
        """In words, whether it is late, and whether it fails; the worst first."""
        errors = self.failed.total(now + 1, WINDOW_SECONDS)
        if not workers(view, now):
            return "no consumer", bool(view.ready), False
        if oldest is not None and oldest > LATE_SECONDS and self._has_grown(view):
            return "falling behind", True, False
        if errors:
            return f"{counted(errors, 'error')} in 1m", False, True
        return ("busy" if view.running else "idle"), False, False

    def _has_grown(self, view: QueueView) -> bool:
        return bool(self.depths) and view.ready > self.depths[0][1]


def workers(view: QueueView, now: float) -> int:
    """Workers of the consumers that are alive."""
    return sum(consumer.workers for consumer in view.consumers if consumer.alive(now))


class Watch:
    """Everything the demo heard and saw. Not thread-safe.

    Args:
        seqs: Queue → number of its last event before the demo began.
        began_at: Unix seconds by Redis' clock.
    """

    def __init__(self, seqs: Mapping[str, int], began_at: float) -> None:
        self.queues = {name: QueueWatch(name, seq) for name, seq in seqs.items()}
        self.counts = Counter[Key]()
        self.trouble = ""
        self._began_at = began_at
        self._tasks: OrderedDict[str, Timeline] = OrderedDict()
        self._finished: deque[Event] = deque(maxlen=MOST_LATEST)
        self._notable: deque[Event] = deque(maxlen=MOST_LATEST)
        self._unprinted: deque[Event] = deque(maxlen=MOST_UNPRINTED)
        self._unprinted_count = 0

    @property
    def missed(self) -> int:
        """Events whose numbers never came."""
        return sum(queue.missed for queue in self.queues.values())

    def tell(self, event: Event) -> None:
        """Take in one event."""
        self.queues[event.queue].tell(event)
        for key in counts_of(event):
            if key in self.counts or len(self.counts) < MOST_KEYS:
                self.counts[key] += 1
        if event.id is not None:
            self._timeline(event.id, event.task or events.UNKNOWN_TASK).tell(event)
        if event.status not in QUIET:
            (self._finished if event.status == events.EVENT_FINISHED else self._notable).append(event)
            self._unprinted.append(event)
            self._unprinted_count += 1

    def _timeline(self, task_id: str, task: str) -> Timeline:
        timeline = self._tasks.get(task_id)
        if timeline is None:
            timeline = self._tasks[task_id] = Timeline(task_id, task)
            if len(self._tasks) > MOST_TASKS:
                self._tasks.popitem(last=False)
        return timeline

    def look(self, view: QueueView, now: float) -> None:
        """Take in a look at one queue."""
        self.queues[view.name].look(view, now)

    def unprinted(self) -> tuple[list[Event], int]:
        """The events that came since the last call, and how many more there were than are remembered."""
        told = list(self._unprinted)
        skipped = self._unprinted_count - len(told)
        self._unprinted.clear()
        self._unprinted_count = 0
        return told, skipped

    def frame(self, now: float, tasks: int, note: str = "") -> Frame:
        """What to show now.

        Args:
            now: Unix seconds by Redis' clock.
            tasks: How many lines the waterfall has.
            note: Takes the verdict's place.
        """
        up_seconds = max(0.0, now - self._began_at)
        rows = tuple(queue.row(now, up_seconds) for queue in self.queues.values())
        return Frame(
            now=now,
            up_seconds=up_seconds,
            verdict=self.trouble or note or verdict(rows),
            queues=rows,
            tasks=tuple(self._shown(now, tasks)),
            finished=tuple(self._finished),
            notable=tuple(self._notable),
        )

    def _shown(self, now: float, count: int) -> list[TaskRow]:
        """The tasks that have most to tell, each name in its turn; in the order in which they began."""
        since = now - WATERFALL_SECONDS
        by_name: dict[str, list[tuple[int, float, TaskRow]]] = defaultdict(list)
        for timeline in self._tasks.values():
            phases = timeline.phases(now)
            if phases and phases[-1].end >= since:
                row = TaskRow(timeline.id, timeline.task, phases)
                by_name[timeline.task].append((timeline.failures, row.seconds, row))
        ranked = [sorted(rows, key=lambda row: row[:2], reverse=True) for rows in by_name.values()]
        in_turn = (row for turn in zip_longest(*ranked) for _, _, row in filter(None, turn))
        return sorted(islice(in_turn, count), key=lambda row: row.phases[0].begin)


def verdict(rows: tuple[QueueRow, ...]) -> str:
    """One sentence about all queues, the worst first."""
    starting = [row.name for row in rows if row.state in {"starting", "no consumer"} and not row.late]
    orphaned = [row.name for row in rows if row.state == "no consumer" and row.late]
    behind = [row.name for row in rows if row.state == "falling behind"]
    failing = [row.name for row in rows if row.failing]
    if orphaned:
        return f"Nobody works on {_joined(orphaned)}: tasks wait for a consumer."
    if starting:
        return "The consumers are starting."
    if behind:
        return f"{_joined(behind)} {'falls' if len(behind) == 1 else 'fall'} behind: more comes in than goes out."
    if len(failing) == len(rows):
        return "Some attempts fail, as they should, and are tried again. All queues keep up."
    if failing:
        return f"{_joined(failing)} is failing a little, as it should. Everything else keeps up."
    if not any(row.running or row.ready or row.came for row in rows):
        return "Nothing to do."
    return "Both queues keep up." if len(rows) == 2 else "All queues keep up."


def _joined(names: list[str]) -> str:
    return " and ".join(names)
