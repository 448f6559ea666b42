"""What failed lately: grouped by queue, task and type, each group with its last message and traceback."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import msgspec

from limelight import events as contract
from limelight.events import Event
from limelight_exporter.attendance import UNKNOWN_ERROR
from limelight_exporter.fold import Told
from limelight_exporter.labels import LENGTH_LIMIT
from limelight_exporter.spans import exported_span
from limelight_exporter.trace_keep import NOTHING, TraceKeep

from .history import SLOTS, slot_of
from .timelines import LONGEST_ID, cut_in_the_middle

MOST_GROUPS: Final = 100
MESSAGE_LIMIT: Final = 1_024
TRACEBACK_LIMIT: Final = 8_192
_DESCRIBED_SECONDS: Final = 1.0
"""A group's text is taken anew this often at most, so that a storm of failures costs a count each."""

Key = tuple[str, str, str]


class Group(msgspec.Struct, kw_only=True):
    """Failures of one type of one task.

    Attributes:
        counts: Ten seconds → how many failed in them; kept for five minutes.
        last_at: When it happened last, by the event's time.
        dead_at: When a task of it became a dead letter last, 0 if none did.
        task_id: Of the last one, and its message, traceback, attempt and trace.
    """

    queue: str
    task: str
    error_type: str
    counts: dict[int, int] = {}
    last_at: float = 0.0
    dead_at: float = 0.0
    described_at: float = 0.0
    message: str = ""
    traceback: str = ""
    task_id: str = ""
    attempt: int = 0
    max_attempts: int = 0
    trace_id: str | None = None

    @property
    def key(self) -> Key:
        """What names it."""
        return self.queue, self.task, self.error_type

    def within(self, slot: int) -> int:
        """How many failed since the beginning of a slot."""
        return sum(count for at, count in self.counts.items() if at >= slot)


class Failures:
    """The groups of all queues together, the longest unheard of forgotten first. One thread counts, any may read.

    Args:
        keep: Which spans are exported beside the sampled ones.
    """

    def __init__(self, keep: TraceKeep = NOTHING) -> None:
        self._keep = keep
        self._lock = threading.Lock()
        self._groups: OrderedDict[Key, Group] = OrderedDict()

    def count(self, queue: str, event: Told) -> bool:
        """Count one event of a queue that tells of a failure; True if the group wants its text."""
        key = (
            queue,
            (event.task or contract.UNKNOWN_TASK)[:LENGTH_LIMIT],
            (event.error_type or UNKNOWN_ERROR)[:LENGTH_LIMIT],
        )
        with self._lock:
            group = self._groups.get(key)
            if group is None:
                group = self._groups[key] = Group(queue=key[0], task=key[1], error_type=key[2], counts={})
                while len(self._groups) > MOST_GROUPS:
                    self._groups.popitem(last=False)
            self._groups.move_to_end(key)
            group.last_at = max(group.last_at, event.timestamp)
            if event.status == contract.EVENT_DEAD:
                group.dead_at = max(group.dead_at, event.timestamp)
            if (
                event.outcome is not None or not group.counts
            ):  # the burial after a failure is the same failure
                slot = slot_of(event.timestamp)
                group.counts[slot] = group.counts.get(slot, 0) + 1
                if len(group.counts) > SLOTS + 1:
                    del group.counts[min(group.counts)]
            wanted = event.timestamp - group.described_at >= _DESCRIBED_SECONDS
            return wanted and (event.outcome is not None or not group.described_at)

    def describe(self, event: Event, *, tracebacks: bool) -> None:
        """Take the text of an event that was counted."""
        key = (
            event.queue,
            (event.task or contract.UNKNOWN_TASK)[:LENGTH_LIMIT],
            (event.error_type or UNKNOWN_ERROR)[:LENGTH_LIMIT],
        )
        exported = exported_span(event, self._keep)
        with self._lock:
            group = self._groups.get(key)
            if group is None:
                return
            group.described_at = event.timestamp
            group.message = (event.error_message or "")[:MESSAGE_LIMIT]
            group.traceback = cut_in_the_middle(event.traceback or "", TRACEBACK_LIMIT if tracebacks else 0)
            group.task_id = (event.id or "")[:LONGEST_ID]
            group.attempt, group.max_attempts = event.attempt, event.max_attempts
            group.trace_id = exported[0] if exported else None

    def groups(self) -> Sequence[Group]:
        """All of them as they are now, the newest last."""
        with self._lock:
            return [
                msgspec.structs.replace(group, counts=dict(group.counts)) for group in self._groups.values()
            ]

    def restore(self, groups: Sequence[Group]) -> None:
        """Take in what was known before a restart; what is known already stays."""
        with self._lock:
            older = {group.key: group for group in groups if group.key not in self._groups}
            self._groups = OrderedDict([*older.items(), *self._groups.items()])
            while len(self._groups) > MOST_GROUPS:
                self._groups.popitem(last=False)
