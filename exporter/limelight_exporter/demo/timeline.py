"""What one task went through, from its events: waited, ran, failed, backed off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from limelight import events
from limelight.events import Event

MOST_PHASES: Final = 64


class Kind(Enum):
    """What a task did for a while; of two in one place the later listed one is drawn."""

    WAITED = 0
    BACKED_OFF = 1
    RAN = 2
    FAILED = 3


@dataclass(frozen=True, slots=True)
class Phase:
    """From when to when, in Unix seconds."""

    kind: Kind
    begin: float
    end: float


@dataclass(slots=True)
class Timeline:
    """One task, told event by event.

    Attributes:
        failures: How many of its runs failed.
        ended_at: Unix seconds of its end, None before.
    """

    id: str
    task: str
    failures: int = 0
    ended_at: float | None = None
    _past: list[Phase] = field(default_factory=list)
    _ready_at: float | None = None
    _running_since: float | None = None
    _resting_since: float | None = None

    def tell(self, event: Event) -> None:
        """Take in one of the task's events, in their order."""
        if event.status == events.EVENT_STARTED:
            self._begin(event)
        if event.outcome is not None:
            self._close(event)
        if event.status in {events.EVENT_RETRYING, events.EVENT_REDELIVERED}:
            self._resting_since = event.timestamp
        if event.status in {events.EVENT_ENQUEUED, events.EVENT_SCHEDULED, events.EVENT_REDELIVERED}:
            self._ready_at = event.ready_at or event.execute_time or event.timestamp
        if event.end is not None:
            self.ended_at = event.timestamp
            self._ready_at = self._resting_since = None

    def _begin(self, event: Event) -> None:
        ready_at = event.ready_at or event.timestamp
        if self._resting_since is not None:
            self._add(Kind.BACKED_OFF, self._resting_since, ready_at)
        self._add(Kind.WAITED, ready_at, event.timestamp)
        self._running_since, self._ready_at, self._resting_since = event.timestamp, None, None

    def _close(self, event: Event) -> None:
        failed = event.error
        self.failures += failed
        begin = self._running_since or event.started_at or event.timestamp
        self._add(Kind.FAILED if failed else Kind.RAN, begin, event.timestamp)
        self._running_since = None

    def _add(self, kind: Kind, begin: float, end: float) -> None:
        if end >= begin and len(self._past) < MOST_PHASES:
            self._past.append(Phase(kind, begin, end))

    def phases(self, now: float) -> tuple[Phase, ...]:
        """All of it up to now, what still goes on included."""
        return (*self._past, *self._present(now))

    def _present(self, now: float) -> Iterator[Phase]:
        if self._running_since is not None:
            yield Phase(Kind.RAN, self._running_since, now)
            return
        if self._resting_since is not None:
            yield Phase(Kind.BACKED_OFF, self._resting_since, min(now, self._ready_at or now))
        if self._ready_at is not None and self._ready_at <= now:
            yield Phase(Kind.WAITED, self._ready_at, now)


def bar(phases: Sequence[Phase], *, since: float, until: float, width: int) -> list[Kind | None]:
    """The phases as `width` cells of equal time; a failed run is solid and ends in its mark."""
    cells: list[Kind | None] = [None] * width
    per_second = width / (until - since)
    for phase in sorted(phases, key=lambda phase: (phase.kind.value, phase.begin)):
        if phase.end < since:
            continue
        first = max(0, int((phase.begin - since) * per_second))
        last = min(width - 1, max(first, int((phase.end - since) * per_second)))
        body = Kind.RAN if phase.kind is Kind.FAILED else phase.kind
        cells[first : last + 1] = [body] * (last + 1 - first)
        if phase.kind is Kind.FAILED:
            cells[last] = Kind.FAILED
    return cells
