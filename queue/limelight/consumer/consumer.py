"""A consumer: workers, scheduler, reaper and heartbeat of one queue in one process."""

from __future__ import annotations

import logging
import threading
import time
import uuid

from limelight.errors import ConfigurationError
from limelight.task_queue import RedisQueue

from .errand import Errand
from .lounge import Lounge
from .rota import Rota
from .spare import Spare
from .station import Station, start_thread
from .watchdog import Watchdog
from .worker import Worker

log = logging.getLogger("limelight.consumer")


class Consumer:
    """Runs the tasks of a queue in threads of this process.

    Attributes:
        id: New at every start.

    Args:
        queue: Whose tasks; they must be declared (imported) before `start`.
        workers: How many tasks run at once.
        lease_seconds: A worker that is not heard of for this long is given up, and its tasks run elsewhere.
        shutdown_timeout: Seconds that `stop` waits for running tasks before it hands them back.
        scheduler_interval: Longest time in seconds between two looks at the schedule.
    """

    def __init__(
        self,
        queue: RedisQueue,
        *,
        workers: int = 1,
        lease_seconds: float = 30.0,
        shutdown_timeout: float = 25.0,
        scheduler_interval: float = 1.0,
    ) -> None:
        faults = [
            *(
                [f"queue {queue.name!r} is immediate: its tasks run in who enqueues them"]
                if queue.immediate
                else []
            ),
            *([] if workers >= 1 else [f"workers must be 1 or more, not {workers}"]),
            *([] if lease_seconds >= 1 else [f"lease_seconds must be 1 or more, not {lease_seconds}"]),
            *(
                []
                if shutdown_timeout >= 0
                else [f"shutdown_timeout must be 0 or more, not {shutdown_timeout}"]
            ),
            *(
                []
                if scheduler_interval > 0
                else [f"scheduler_interval must be more than 0, not {scheduler_interval}"]
            ),
        ]
        if faults:
            raise ConfigurationError("cannot start: " + "; ".join(faults))
        self.queue = queue
        self.id = ""
        self._count = workers
        self._shutdown_timeout = shutdown_timeout
        self._scheduler_interval = scheduler_interval
        self._lease_seconds = lease_seconds
        self._stopping, self._stopped = threading.Event(), threading.Event()
        self._impatient = threading.Event()
        self._lounge, self._spare = Lounge(), Spare()
        self._workers: list[Worker] = []
        self._owners: list[str] = []
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to work. Redis may be away: everything waits for it and says so."""
        # Of this start: two consumers in one process, or two processes after a fork, never share it.
        self.id = uuid.uuid4().hex
        self._station = Station(
            self.queue,
            consumer=self.id,
            workers=self._count,
            lounge=self._lounge,
            stopping=self._stopping,
            stopped=self._stopped,
            lease_seconds=self._lease_seconds,
            scheduler_interval=self._scheduler_interval,
        )
        self._watchdog = Watchdog(
            benches=lambda: [worker.bench for worker in self._workers],
            spare=self._spare,
            couriers={self.queue: self._station.courier},
            lounge=self._lounge,
            stopping=self._stopping,
            stopped=self._stopped,
        )
        self._workers = [self._worker(number) for number in range(1, self._count + 1)]
        self._station.greet()
        for name, run in self._station.services().items():
            start_thread(name, run)
        start_thread("watchdog", self._watchdog.run)
        self._threads = [start_thread(worker.name, worker.run) for worker in self._workers]

    def _worker(self, number: int) -> Worker:
        name = f"worker-{number}"
        errand = Errand(
            self._station.trips, owner=f"{self.id}:{number}", worker=name, stopping=self._stopping
        )
        self._owners.append(errand.owner)
        return Worker(
            name,
            errands=[errand],
            rota=Rota({errand: 1}),
            spare=self._spare,
            lounge=self._lounge,
            watchdog=self._watchdog,
            stopping=self._stopping,
        )

    @property
    def running(self) -> int:
        """How many tasks were begun and are not settled yet."""
        return sum(job.watch is not None for job in self._station.trips.holdings.all())

    def stop(self, *, graceful: bool = True) -> bool:
        """Stop: nothing new begins, running tasks may end, what does not is handed back as interrupted.

        Args:
            graceful: False: hand running tasks back at once.

        Returns:
            True if every task ended by itself.
        """
        if not graceful:
            self.hand_back_now()
        self._stopping.set()
        self._lounge.close()
        self._watchdog.expect(0.0)
        deadline = time.monotonic() + self._shutdown_timeout
        for thread in self._threads:
            while thread.is_alive() and not self._impatient.is_set() and time.monotonic() < deadline:
                self._station.end_waits()
                thread.join(min(0.1, max(0.0, deadline - time.monotonic())))
        left = self._station.hand_back()
        self._stopped.set()
        self._station.courier.wake()
        self._watchdog.expect(0.0)
        self._station.leave(self._owners)
        return not left

    def hand_back_now(self) -> None:
        """Have a `stop`, also one that waits already in another thread, wait no longer."""
        self._impatient.set()
