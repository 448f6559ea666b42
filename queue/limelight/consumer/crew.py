"""The worker threads of one process."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from .lounge import Lounge
from .seat import Seat
from .spare import Spare
from .threads import Threads
from .worker import Worker

log = logging.getLogger("limelight.consumer")

ABANDONED_LIMIT: Final = 10


class Crew:
    """One thread per seat; who dies, is worn out or stuck is replaced.

    Attributes:
        abandoned: How many threads are stuck in tasks that would not stop when their time was over.

    Args:
        spare: Tasks that any worker may take.
        lounge: Where idle workers wait.
        stopping: Set when nothing new may begin.
        max_tasks: After so many tasks a thread is replaced; 0: never.
        exhausted: Called when so many threads are stuck that the process had better be replaced.
    """

    def __init__(
        self,
        *,
        spare: Spare,
        lounge: Lounge,
        stopping: threading.Event,
        max_tasks: int,
        exhausted: Callable[[], None],
    ) -> None:
        self.abandoned = 0
        self._spare = spare
        self._lounge = lounge
        self._stopping = stopping
        self._max_tasks = max_tasks
        self._exhausted = exhausted
        self._threads = Threads()
        self._seats: list[Seat] = []

    def start(self, seats: Sequence[Seat]) -> None:
        """Start a thread on each seat."""
        self._seats = list(seats)
        for seat in seats:
            self._start(seat)

    def seats(self) -> list[Seat]:
        """The seats as they are now."""
        return list(self._seats)

    def check(self) -> None:
        """Replace threads that died."""
        self._threads.check()

    def replace(self, stuck: Seat) -> None:
        """A thread is stuck for good: somebody else takes over its work."""
        self.abandoned += 1
        seat = stuck.vacated()
        self._seats[self._seats.index(stuck)] = seat
        self._start(seat)
        if self.abandoned == ABANDONED_LIMIT:
            log.error(
                "%d threads are stuck in tasks that would not stop: this process gives up", self.abandoned
            )
            self._exhausted()

    def _start(self, seat: Seat) -> None:
        self._threads.start(seat.name, lambda: self._sit(seat))

    def _sit(self, seat: Seat) -> None:
        """Work on a seat; a thread that is worn out starts its own successor."""
        worker = Worker(
            seat,
            spare=self._spare,
            lounge=self._lounge,
            stopping=self._stopping,
            max_tasks=self._max_tasks,
        )
        worker.run()
        if worker.is_worn_out:
            log.debug("%s has run %d tasks: a new thread takes its place", seat.name, self._max_tasks)
            self._start(seat)

    def join(self, until: float, given_up: threading.Event) -> None:
        """Wait for the threads to end, until then (monotonic seconds) or until it is given up."""
        while (alive := self._threads.alive()) and not given_up.is_set():
            left = until - time.monotonic()
            if left <= 0:
                return
            alive[0].join(min(0.1, left))
