"""The herald of a queue: tells its signal handlers what became of tasks, once Redis has taken it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from .execution import Surroundings
from .job import Job, Q
from .lifecycle import Decision
from .registry import Registry
from .seen import recalled
from .signals import SIGNAL_EXPIRED, SIGNAL_REVOKED, SIGNAL_SCHEDULED, SIGNAL_TIMEOUT
from .storage.base import Handed, Scheduled
from .task import Task


class Telling(Protocol):
    """What a herald needs of its queue."""

    registry: Registry
    surroundings: Surroundings


class Herald:
    """Safe for many threads. Where nobody wants to hear, it does nothing and reads no message.

    Args:
        queue: Whose handlers.
    """

    def __init__(self, queue: Telling) -> None:
        self._registry = queue.registry
        self._surroundings = queue.surroundings
        self._signals = queue.surroundings.signals

    @property
    def wants_ended(self) -> bool:
        """Whether a handler wants to hear of tasks that ended instead of being started."""
        return self._signals.wants(SIGNAL_REVOKED) or self._signals.wants(SIGNAL_EXPIRED)

    @property
    def wants_scheduled(self) -> bool:
        """Whether a handler wants to hear of tasks that were put on the schedule."""
        return self._signals.wants(SIGNAL_SCHEDULED)

    def ended(self, tasks: Iterable[Handed]) -> None:
        """Tell what ended instead of being started."""
        for one in tasks:
            signal = SIGNAL_REVOKED if one.ended == "revoked" else SIGNAL_EXPIRED
            self._signals.send(signal, self._recalled(one))

    def scheduled(self, tasks: Iterable[Scheduled]) -> None:
        """Tell what was put on the schedule."""
        for one in tasks:
            self._signals.send(SIGNAL_SCHEDULED, self._recalled(one))

    def settled(self, jobs: Iterable[Job[Q]]) -> None:
        """Tell what became of jobs that Redis has settled, each once.

        To be called when what was reserved in the same trip is held: handlers may take their time.
        """
        for job in jobs:
            decision, job.settled = job.settled, None
            if decision is not None and self._signals:
                self._tell(job, decision)

    def _tell(self, job: Job[Q], decision: Decision) -> None:
        task = job.task
        if task is None:  # it never began, it is not back yet, or it was given up
            task = self._recalled(job.handed)
            if decision.outcome == "timeout":
                self._signals.send(SIGNAL_TIMEOUT, task)
        self._signals.send_settled(decision, task)

    def _recalled(self, one: Handed | Scheduled) -> Task | None:
        around = self._surroundings
        return recalled(self._registry, around.queue, around.serializer, one)
