"""What was told of each task, in order: events become stories, which the verdict reads."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from .target import MAX_REDELIVERIES

NOT_COUNTED: Final = frozenset({"lost", "interrupted"})
"""Outcomes of runs that give their attempt back."""


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event, as far as the verdict reads it. Not the product's own decoder: a judge reads for itself."""

    status: str
    seq: int
    timestamp: float
    queue: str = ""
    emitter: str = ""
    source: str = ""
    error: bool = False
    id: str | None = None
    task: str | None = None
    run: int = 0
    attempt: int = 0
    retries: int | None = None
    execute_time: float | None = None
    due: float | None = None
    outcome: str | None = None
    end: str | None = None
    error_type: str | None = None
    span_id: str | None = None
    pid: int = 0
    wait: float | None = None
    duration: float | None = None
    waited_seconds: float | None = None
    ran_seconds: float | None = None
    backed_off_seconds: float | None = None
    parked_seconds: float | None = None
    dropped: int = 0
    consumer: str | None = None
    tasks: list[str] | int = []


@dataclass(frozen=True, slots=True)
class Execution:
    """One run as it was told: how it began, and how it closed."""

    started: Told
    closed: Told | None


@dataclass(frozen=True)
class Story:
    """All that was told of one task, in order."""

    id: str
    events: tuple[Told, ...]

    @functools.cached_property
    def name(self) -> str:
        """The task's name, from the event that enqueued it (a dead letter that nobody knows loses it)."""
        return next((event.task for event in self.events if event.status == "enqueued"), None) or "?"

    @functools.cached_property
    def ends(self) -> tuple[Told, ...]:
        """The events that end it; there must be one."""
        return tuple(event for event in self.events if event.end is not None)

    @property
    def end(self) -> str:
        """How it ended, "" if it did not."""
        return (self.ends[-1].end or "") if self.ends else ""

    @functools.cached_property
    def retries(self) -> int:
        """How often it may be tried again, when it was enqueued."""
        return next((event.retries or 0 for event in self.events if event.status == "enqueued"), 0)

    @functools.cached_property
    def executions(self) -> tuple[Execution, ...]:
        """Its runs in the order of their starts."""
        closed = {event.run: event for event in self.events if event.outcome is not None}
        return tuple(
            Execution(event, closed.get(event.run)) for event in self.events if event.status == "started"
        )

    @property
    def is_periodic(self) -> bool:
        """Whether it is a run of a periodic task."""
        return any(event.status == "scheduling-periodic" for event in self.events)

    def closed(self, outcome: str) -> int:
        """How many of its runs closed so."""
        return sum(event.outcome == outcome for event in self.events)

    @property
    def died_of_lost_workers(self) -> bool:
        """Whether it was buried because too many of its workers were lost."""
        return self.end == "dead" and self.closed("lost") == MAX_REDELIVERIES + 1


def stories(events: Iterable[Told]) -> Mapping[str, Story]:
    """The stories of all tasks that were told of, by id."""
    by_id: dict[str, list[Told]] = defaultdict(list)
    for event in events:
        if event.id is not None:
            by_id[event.id].append(event)
    return {task_id: Story(task_id, tuple(told)) for task_id, told in by_id.items()}
