"""The worker threads of a consumer, and the watchdog that sees to them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from limelight.hooks import around_worker

from .errand import Errand
from .lounge import Lounge
from .plan import Plan
from .seat import Seat
from .spare import Spare
from .station import Station
from .threads import ABANDONED_LIMIT, Threads
from .watchdog import Watchdog
from .worker import Worker

log = logging.getLogger("limelight.consumer")


class Crew:
    """One thread per seat; who dies, is worn out or stuck is replaced.

    Attributes:
        owners: Who the workers are to Redis.
        abandoned: How many threads are stuck in tasks that would not stop when their time was over.

    Args:
        stations: The queues.
        plan: How to work.
        consumer: Id of the consumer.
        lounge: Where idle workers wait.
        stopping: Set when nothing new may begin.
        stopped: Set when nothing runs any more.
        exhausted: Called when so many threads are stuck that the process had better be replaced.
    """

    def __init__(
        self,
        stations: Sequence[Station],
        plan: Plan,
        *,
        consumer: str,
        lounge: Lounge,
        stopping: threading.Event,
        stopped: threading.Event,
        exhausted: Callable[[], None],
    ) -> None:
        self.owners = [f"{consumer}:{number}" for number in range(1, plan.workers + 1)]
        self.abandoned = 0
        self._stations = stations
        self._plan = plan
        self._lounge = lounge
        self._stopping = stopping
        self._exhausted = exhausted
        self._spare = Spare()
        self._threads, self._dogs = Threads(), Threads()
        self._watchdog = Watchdog(
            seats=lambda: self._seats,
            spare=self._spare,
            couriers={station.queue: station.courier for station in stations},
            lounge=lounge,
            stopping=stopping,
            stopped=stopped,
            replace=self.replace,
            check=self._check,
            check_seconds=plan.health_check_interval,
        )
        self._seats = [self._seat(f"worker-{at}", owner) for at, owner in enumerate(self.owners, 1)]

    def _seat(self, name: str, owner: str) -> Seat:
        errands = [
            Errand(station.trips, owner=owner, worker=name, stopping=self._stopping)
            for station in self._stations
        ]
        weights = [self._plan.weights.get(station.queue.name, 1) for station in self._stations]
        return Seat(name, errands, weights, self._watchdog.expect)

    def start(self) -> None:
        """Start a thread on each seat, and the watchdog."""
        self._dogs.start("watchdog", self._watchdog.run)
        for seat in self._seats:
            self._start(seat)

    def look(self) -> None:
        """Note what is begun by now: threads do so themselves."""

    def wake(self) -> None:
        """Have the watchdog look at once: the consumer stops."""
        self._watchdog.expect(0.0)

    def end(self) -> None:
        """The consumer has stopped; what is stuck in tasks stays behind."""
        self._watchdog.expect(0.0)

    def join(self, until: float, given_up: threading.Event) -> None:
        """Wait for the threads to end, until then (monotonic seconds) or until it is given up."""
        while (alive := self._threads.alive()) and not given_up.is_set():
            left = until - time.monotonic()
            if left <= 0:
                return
            alive[0].join(min(0.1, left))

    def replace(self, stuck: Seat) -> None:
        """A thread is stuck for good: somebody else takes over its work."""
        self.abandoned += 1
        seat = stuck.vacated()
        self._seats = [seat if one is stuck else one for one in self._seats]
        self._start(seat)
        if self.abandoned == ABANDONED_LIMIT:
            log.error(
                "%d threads are stuck in tasks that would not stop: this process gives up", self.abandoned
            )
            self._exhausted()

    def _check(self) -> None:
        """Replace threads that died."""
        self._threads.check()
        for station in self._stations:
            station.check()

    def _start(self, seat: Seat) -> None:
        self._threads.start(seat.name, lambda: self._sit(seat))

    def _sit(self, seat: Seat) -> None:
        """Work on a seat; a thread that is worn out starts its own successor."""
        worker = Worker(
            seat,
            spare=self._spare,
            lounge=self._lounge,
            stopping=self._stopping,
            max_tasks=self._plan.max_tasks,
        )
        with around_worker(queue.hooks for queue in seat.errands):
            worker.run()
        if worker.is_worn_out:
            log.debug("%s has run %d tasks: a new thread takes its place", seat.name, self._plan.max_tasks)
            self._start(seat)
