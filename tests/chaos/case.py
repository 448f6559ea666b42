"""The evidence, arranged so that checks find in it what they ask for. Pure."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .evidence import Evidence
from .story import Story, stories

_FAULTS: Final = frozenset({"error-internal", "error-enqueueing", "error-scheduling", "error-dequeueing"})
"""Told when Redis refused something, in their own time: they are no step of a task's life."""


@dataclass(frozen=True)
class Case:
    """The evidence, arranged for the checks.

    Attributes:
        evidence: All of it.
        stories: What was told of each task, by id.
        sent: What producers noted of each task before they sent it, by id.
    """

    evidence: Evidence
    stories: Mapping[str, Story]
    sent: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, evidence: Evidence) -> Case:
        """Arrange it."""
        told = stories(event for event in evidence.events if event.status not in _FAULTS)
        sent = {fact["id"]: fact for fact in evidence.noted if fact["say"] in {"try", "promised"}}
        return cls(evidence, told, sent)

    @functools.cached_property
    def ran(self) -> Mapping[str, list[Mapping[str, Any]]]:
        """Span → what was noted of its executions."""
        noted: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for fact in self.evidence.noted:
            if fact["say"] == "ran":
                noted[fact["span"]].append(fact)
        return noted

    @functools.cached_property
    def seen(self) -> Mapping[int, float]:
        """Number of an event → when it was read, in Unix seconds."""
        return dict(zip((event.seq for event in self.evidence.events), self.evidence.seen, strict=False))

    @functools.cached_property
    def processes(self) -> Mapping[int, Mapping[str, Any]]:
        """Pid → what a process of a consumer noted of itself."""
        return {fact["pid"]: fact for fact in self.evidence.noted if fact["say"] == "process"}

    @functools.cached_property
    def struck(self) -> Mapping[str, set[int]]:
        """What befell processes (``killed``, ``lethal``, ``frozen``) → their pids."""
        pids: dict[str, set[int]] = defaultdict(set)
        for fact in self.evidence.noted:
            if fact["say"] in {"killed", "lethal", "frozen"}:
                pids[fact["say"]].add(fact["pid"])
        return pids

    def consumer_of(self, pid: int) -> tuple[str, int]:
        """The name of the consumer to which a process belongs, and the pid of that."""
        session: int = self.processes.get(pid, {}).get("session", pid)
        lives = self.evidence.lives.items()
        return next((name for name, its in lives if any(life.pid == session for life in its)), ""), session
