"""Settles what no worker can: results that wait behind a long task, and tasks that are handed back."""

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
        self._filled = threading.Condition()

    def take(self, jobs: Sequence[Job]) -> None:
        """Carry jobs that have their settlements; never blocks on Redis."""
        if jobs:
            with self._filled:
                self._jobs.extend(jobs)
                self._filled.notify()

    def wake(self) -> None:
        """Have it look whether it is to end."""
        with self._filled:
            self._filled.notify()

    def run(self) -> None:
        """Carry until stopped; no fault ends the thread."""
        while not self._stopped.is_set():
            with self._filled:
                self._filled.wait_for(lambda: self._jobs or self._stopped.is_set())
                jobs, self._jobs = self._jobs[:_BATCH], self._jobs[_BATCH:]
            try:
                self._carry(jobs)
            except Exception:
                # A fault of ours: what it was about is renewed no more, so it comes back.
                log.exception("courier: unexpected error")
                self.trips.holdings.drop(jobs)

    def _carry(self, jobs: list[Job]) -> None:
        """Send; what Redis does not take now goes before what came since, and waits for its time."""
        while not self.trips.outage.may_try(time.monotonic()):
            if self._stopped.wait(_OUTAGE_SECONDS):
                return
        left = jobs
        try:
            left, _ = self.trips.make(jobs, None, self._where)
        except RedisError as error:
            self.trips.fails(error, self._where, dequeueing=False)
        if left:
            with self._filled:
                self._jobs[:0] = left
        self.trips.signal_settled(jobs)
