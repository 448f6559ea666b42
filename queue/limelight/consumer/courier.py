"""Settles what no worker can: results that wait behind a long task, what is handed back, what a dead process ran."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Final

from limelight.errors import RedisError

from .holdings import Job
from .trips import Trips

log = logging.getLogger("limelight.consumer")

_BATCH: Final = 100
_OUTAGE_SECONDS: Final = 0.1


class Courier:
    """One thread per queue, asleep while nothing is to be carried.

    Attributes:
        trips: The queue.

    Args:
        trips: The queue.
        stopped: Set when nothing more will come.
    """

    def __init__(self, trips: Trips, *, stopped: threading.Event) -> None:
        self.trips = trips
        self._stopped = stopped
        self._where = trips.queue.speaker.where
        self._jobs: list[Job] = []
        self._lost: list[tuple[Job, str]] = []
        self._filled = threading.Condition()

    def take(self, jobs: Sequence[Job]) -> None:
        """Carry jobs that have their settlements; never blocks on Redis."""
        if jobs:
            with self._filled:
                self._jobs.extend(jobs)
                self._filled.notify()

    def take_lost(self, job: Job, cause: str) -> None:
        """Tell that a job was lost with the process that ran it, and have it redelivered."""
        with self._filled:
            self._lost.append((job, cause))
            self._filled.notify()

    def wake(self) -> None:
        """Have it look whether it is to end."""
        with self._filled:
            self._filled.notify()

    def run(self) -> None:
        """Carry until stopped; no fault ends the thread."""
        while not self._stopped.is_set():
            with self._filled:
                self._filled.wait_for(lambda: self._jobs or self._lost or self._stopped.is_set())
                jobs, self._jobs = self._jobs[:_BATCH], self._jobs[_BATCH:]
                lost, self._lost = self._lost, []
            try:
                self._carry(jobs, lost)
            except Exception:
                # A fault of ours: what it was about is renewed no more, so it comes back.
                log.exception("courier: unexpected error")
                self.trips.holdings.drop([*jobs, *(job for job, _ in lost)])

    def _carry(self, jobs: list[Job], lost: list[tuple[Job, str]]) -> None:
        """Send; what Redis does not take now goes before what came since, and waits for its time."""
        while not self.trips.outage.may_try(time.monotonic()):
            if self._stopped.wait(_OUTAGE_SECONDS):
                return
        left = jobs
        try:
            while lost:
                self.trips.lose(*lost[0], self._where)
                lost.pop(0)
            if jobs:
                left, _ = self.trips.make(jobs, None, self._where)
        except RedisError as error:
            self.trips.fails(error, self._where, dequeueing=False)
        if left or lost:
            with self._filled:
                self._jobs[:0] = left
                self._lost[:0] = lost
        self.trips.herald.settled(jobs)
