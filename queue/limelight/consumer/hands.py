"""Threads that run plain functions for an event loop."""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Final

from limelight.attempt import attempt

from .holdings import Job
from .seat import Seat

log = logging.getLogger("limelight.consumer")

_IDLE_SECONDS: Final = 30.0


class Hands:
    """As many threads as plain functions run at once; they do not keep the process alive.

    Args:
        expect: Told when something on a seat will have to be seen to.
        done: Called with each job when it has its settlement.
        forget: Called with a job that a fault of ours keeps from getting one.
    """

    def __init__(
        self,
        expect: Callable[[float], None],
        done: Callable[[Job], None],
        forget: Callable[[Job], None],
    ) -> None:
        self._expect = expect
        self._done = done
        self._forget = forget
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._free = 0
        self._seats: list[Seat] = []
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def seats(self) -> list[Seat]:
        """The seats of the threads that are there now."""
        with self._lock:
            return list(self._seats)

    def run(self, job: Job) -> None:
        """Have a thread run a job, a new one if none is free."""
        with self._lock:
            if self._free:
                self._free -= 1
            else:
                seat = Seat(f"hand-{next(self._numbers)}", [], [], self._expect)
                self._seats.append(seat)
                threading.Thread(target=self._work, args=(seat,), name=seat.name, daemon=True).start()
        self._jobs.put(job)

    def leave(self, seat: Seat) -> None:
        """A thread is stuck for good: it is none of ours any more."""
        with self._lock:
            if seat in self._seats:
                self._seats.remove(seat)

    def _work(self, seat: Seat) -> None:
        try:
            while (job := self._next()) is not None:
                seat.bench.begin(job, time.monotonic())
                try:
                    settlement = attempt(job, seat.slot.call)
                except Exception:
                    log.exception("%s: unexpected error", seat.name)
                    self._forget(job)
                    raise
                if seat.slot.is_abandoned:
                    return
                seat.bench.clear()
                job.settlement = (
                    job.settlement or settlement
                )  # handed back meanwhile, if the consumer stopped
                with self._lock:
                    self._free += 1
                self._done(job)
        finally:
            seat.slot.close()
            self.leave(seat)

    def _next(self) -> Job | None:
        """The next job; None if none came for a while and none is coming."""
        while True:
            try:
                return self._jobs.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                with self._lock:
                    if self._free > 0:
                        self._free -= 1
                        return None
