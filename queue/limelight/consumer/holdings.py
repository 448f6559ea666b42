"""The tasks that a consumer holds: started for it, and not settled yet."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from limelight.lifecycle import Decision
from limelight.registry import Registered
from limelight.report import Stopwatch
from limelight.storage.base import Handed, Settlement
from limelight.task import Task
from limelight.task_queue import RedisQueue


@dataclass(slots=True, eq=False)
class Job:
    """One task that was started for us. It is itself only: two runs of a task are two jobs.

    Attributes:
        queue: Where it is from.
        handed: As Redis handed it over.
        registered: What to run.
        worker: Name of the worker that has it, "" for nobody yet.
        good_until: Monotonic seconds until which the lease is surely ours.
        watch: When its code began, None until then.
        settlement: How it is to be settled, None until it is done.
        task: What ran, as signal handlers are to see it; None until it is done, and if nobody wanted to see it.
        settled: What Redis has taken, until signal handlers were told of it; None before and after.
    """

    queue: RedisQueue
    handed: Handed
    registered: Registered
    worker: str
    good_until: float
    watch: Stopwatch | None = None
    settlement: Settlement | None = None
    task: Task | None = None
    settled: Decision | None = None

    @property
    def is_running(self) -> bool:
        """Whether its code runs now."""
        return self.watch is not None and self.settlement is None


class Holdings:
    """What a consumer holds of one queue, so that its leases are renewed. Safe for threads."""

    def __init__(self) -> None:
        self._jobs: set[Job] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._jobs)

    def take(self, jobs: Iterable[Job]) -> None:
        """Note tasks that were started for us."""
        with self._lock:
            self._jobs.update(jobs)

    def drop(self, jobs: Iterable[Job]) -> None:
        """Forget tasks: they are settled, or not ours any more."""
        with self._lock:
            self._jobs.difference_update(jobs)

    def drop_all_of(self, worker: str) -> None:
        """Forget what a worker has, so that it is renewed no more and comes back to the queue."""
        with self._lock:
            self._jobs = {job for job in self._jobs if job.worker != worker}

    def all(self) -> list[Job]:
        """What is held now."""
        with self._lock:
            return list(self._jobs)

    def renewed(self, jobs: Sequence[Job], owned: set[str], good_until: float) -> list[Job]:
        """Note which leases last longer; returns the jobs that are not ours any more and still held here."""
        gone = [job for job in jobs if job.handed.lease.task_id not in owned]
        for job in jobs:
            if job.handed.lease.task_id in owned:
                job.good_until = good_until
        with self._lock:
            return [job for job in gone if job in self._jobs]
