"""Threads that run plain functions for an event loop."""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from limelight.attempt import attempt
from limelight.hooks import QueueHooks, around_worker

from .holdings import Job
from .seat import Seat

log = logging.getLogger("limelight.consumer")

_IDLE_SECONDS: Final = 30.0


class Hands:
    """As many threads as plain functions run at once; they do not keep the process alive.

    Args:
        hooks: Of the queues, for the user's hooks of workers.
        expect: Told when something on a seat will have to be seen to.
        done: Called with each job when it has its settlement.
        forget: Called with a job that a fault of ours keeps from getting one.
    """

    def __init__(
        self,
        hooks: Sequence[QueueHooks],
        expect: Callable[[float], None],
        done: Callable[[Job], None],
        forget: Callable[[Job], None],
    ) -> None:
        self._hooks = hooks
        self._expect = expect
        self._done = done
        self._forget = forget
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._free = 0
        self._threads: dict[Seat, threading.Thread] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def seats(self) -> list[Seat]:
        """The seats of the threads that are there now."""
        with self._lock:
            return list(self._threads)

    def run(self, job: Job) -> None:
        """Have a thread run a job, a new one if none is free."""
        with self._lock:
            if self._free:
                self._free -= 1
            else:
                self._hire(Seat(f"hand-{next(self._numbers)}", [], [], self._expect))
        self._jobs.put(job)

    def leave(self, seat: Seat) -> None:
        """A thread is stuck for good: it is none of ours any more."""
        with self._lock:
            self._threads.pop(seat, None)

    def end(self, seconds: float) -> None:
        """Send the threads away, and wait so long for the hooks of those that run nothing."""
        until = time.monotonic() + seconds
        with self._lock:
            threads = dict(self._threads)
        for _ in threads:
            self._jobs.put(None)
        for seat, thread in threads.items():
            if seat.bench.current is None:
                thread.join(max(0.0, until - time.monotonic()))

    def _hire(self, seat: Seat) -> None:
        self._threads[seat] = threading.Thread(target=self._sit, args=(seat,), name=seat.name, daemon=True)
        self._threads[seat].start()

    def _sit(self, seat: Seat) -> None:
        try:
            with around_worker(self._hooks):
                self._work(seat)
        finally:
            self.leave(seat)

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

    def _next(self) -> Job | None:
        """The next job; None if it is time to go: none came for a while and none is coming."""
        while True:
            try:
                return self._jobs.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                with self._lock:
                    if self._free > 0:
                        self._free -= 1
                        return None
