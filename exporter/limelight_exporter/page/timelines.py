"""What single tasks went through: of some tasks everything, of the others nothing, and of all that fail the rest.

A task is chosen by its id, so that all its events are kept or none. Where many come, fewer are chosen.
"""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from limelight import events as contract
from limelight.events import Event
from limelight_exporter.fold import Told
from limelight_exporter.spans import exported_span
from limelight_exporter.trace_keep import NOTHING, TraceKeep

MOST_TASKS: Final = 200
MOST_STEPS: Final = 32
LONGEST_ID: Final = 64
_MOST_NEW: Final = 50
"""New tasks in ten seconds from which on only half as many are chosen."""
_FEWEST_NEW: Final = 10
_SPARSEST: Final = 2**16 - 1
_LONGEST_TEXT: Final = 1_024


class Step(msgspec.Struct, frozen=True, gc=False):
    """One event of a task, without its traceback; fields as in `limelight.events.Event`."""

    status: str
    timestamp: float
    attempt: int = 0
    max_attempts: int = 0
    run: int = 0
    retries: int | None = None
    retry_delay: float | None = None
    execute_time: float | None = None
    priority: int = 0
    enqueued_at: float | None = None
    ready_at: float | None = None
    started_at: float | None = None
    duration: float | None = None
    outcome: str | None = None
    end: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    host: str | None = None
    worker: str | None = None
    trace_id: str | None = None

    @property
    def failed(self) -> bool:
        """Whether it closes a run that failed."""
        return self.outcome in contract.FAILED_OUTCOMES or self.outcome == "lost"


class Timeline(msgspec.Struct, frozen=True):
    """A task's events.

    Attributes:
        whole: Whether they are there from the first one on.
        traceback: Of the last run that failed, and `traceback_of` says which attempt that was.
    """

    id: str
    queue: str
    task: str
    steps: tuple[Step, ...]
    whole: bool
    traceback: str = ""
    traceback_of: int = 0

    @property
    def last(self) -> Step:
        """The newest event."""
        return self.steps[-1]

    @property
    def ended(self) -> bool:
        """Whether the task came to its end."""
        return self.last.end is not None or self.last.status == contract.EVENT_PURGED

    @property
    def trace_id(self) -> str | None:
        """Of the trace that its spans were exported in, None if they were not."""
        return next((step.trace_id for step in reversed(self.steps) if step.trace_id), None)


class Timelines:
    """The timelines of all queues together, the longest unheard of forgotten first. One thread takes, any may read.

    Args:
        keep: Which spans are exported beside the sampled ones.
    """

    def __init__(self, keep: TraceKeep = NOTHING) -> None:
        self._keep = keep
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Timeline] = OrderedDict()
        self._mask = 0
        self._slot, self._new = 0, 0

    @property
    def one_in(self) -> int:
        """Of how many tasks one is chosen."""
        return self._mask + 1

    def wants(self, task_id: str) -> bool:
        """Whether a task's events are kept."""
        return task_id in self._kept or not zlib.crc32(task_id.encode("utf-8", "replace")) & self._mask

    def picks(self, events: Sequence[Told]) -> Iterator[int]:
        """Which events are to be looked at: those of tasks that are kept, and whatever failed.

        This is done for every event there is, so it is one loop without a call of ours in it.
        """
        kept, mask, checksum = self._kept, self._mask, zlib.crc32
        for at, event in enumerate(events):
            task_id = event.id
            if task_id is not None and (
                not checksum(task_id.encode("utf-8", "replace")) & mask
                or event.error
                or task_id in kept
                or event.status == contract.EVENT_DEAD
            ):
                yield at
                mask = self._mask

    def take(self, event: Event, traceback_limit: int) -> None:
        """Note an event of a task that is kept from now on."""
        if event.id is None or len(event.id) > LONGEST_ID:
            return
        with self._lock:
            before = self._kept.get(event.id)
            if before is None:
                self._count_new(int(event.timestamp // 10))
            self._kept[event.id] = _grown(before, event, _step(event, self._keep), traceback_limit)
            self._kept.move_to_end(event.id)
            while len(self._kept) > MOST_TASKS:
                self._kept.popitem(last=False)

    def get(self, task_id: str) -> Timeline | None:
        """A task's, None if it is not held."""
        return self._kept.get(task_id)

    def recent(self) -> Sequence[Timeline]:
        """All of them, the newest heard of first."""
        with self._lock:
            return list(reversed(self._kept.values()))

    def _count_new(self, slot: int) -> None:
        if slot != self._slot:
            if self._new < _FEWEST_NEW:
                self._mask >>= 1
            self._slot, self._new = slot, 0
        self._new += 1
        if self._new > _MOST_NEW:
            self._mask, self._new = min(_SPARSEST, self._mask * 2 + 1), 0


def _grown(before: Timeline | None, event: Event, step: Step, traceback_limit: int) -> Timeline:
    steps = (*before.steps, step) if before else (step,)
    if len(steps) > MOST_STEPS:
        steps = (steps[0], *steps[2:])
    traceback, of = (before.traceback, before.traceback_of) if before else ("", 0)
    if event.error and event.traceback:
        traceback, of = cut_in_the_middle(event.traceback, traceback_limit), event.attempt
    return Timeline(
        id=event.id or "",
        queue=event.queue,
        task=event.task or contract.UNKNOWN_TASK,
        steps=steps,
        whole=before.whole and len(steps) < MOST_STEPS if before else event.status == contract.EVENT_ENQUEUED,
        traceback=traceback,
        traceback_of=of,
    )  # fmt: skip


def _step(event: Event, keep: TraceKeep) -> Step:
    exported = exported_span(event, keep)
    return Step(
        status=event.status, timestamp=event.timestamp, attempt=event.attempt, max_attempts=event.max_attempts,
        run=event.run, retries=event.retries, retry_delay=event.retry_delay, execute_time=event.execute_time,
        priority=event.priority, enqueued_at=event.enqueued_at, ready_at=event.ready_at,
        started_at=event.started_at, duration=event.duration, outcome=event.outcome, end=event.end,
        error_type=_cut(event.error_type), error_message=_cut(event.error_message), host=_cut(event.host),
        worker=_cut(event.worker), trace_id=exported[0] if exported else None,
    )  # fmt: skip


def _cut(text: str | None) -> str | None:
    return text[:_LONGEST_TEXT] if text else text


def cut_in_the_middle(text: str, limit: int) -> str:
    """The text, or its beginning and its end: of a traceback the end says most. A limit of 0 keeps nothing."""
    if len(text) <= limit or not limit:
        return text if limit else ""
    head = limit // 4
    return f"{text[:head]}\n  …\n{text[head - limit :]}"
