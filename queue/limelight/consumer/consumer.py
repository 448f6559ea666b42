"""A consumer: workers, scheduler, reaper and heartbeat of one queue in one process."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from importlib.metadata import version

from limelight import events, execution
from limelight.emitter import NO_TASK, about_task, fragment
from limelight.errors import ConfigurationError, LimelightError
from limelight.lifecycle import Retries, settle
from limelight.signals import SIGNAL_INTERRUPTED
from limelight.storage.base import Notice, Settlement
from limelight.task_queue import RedisQueue

from .heartbeat import Heartbeat
from .holdings import Held, Holdings
from .reaper import Reaper
from .reporter import Reporter
from .scheduler import Scheduler
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
        self._holdings = Holdings()
        self._reporter = Reporter(queue.storage)
        self._owners: list[str] = []
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to work. Redis may be away: everything waits for it and says so."""
        # Of this start: two consumers in one process, or two processes after a fork, never share it.
        self.id = uuid.uuid4().hex
        self._scheduler = Scheduler(
            self.queue,
            reporter=self._reporter,
            stopping=self._stopping,
            interval_seconds=self._scheduler_interval,
        )
        workers = [self._worker(number) for number in range(1, self._count + 1)]
        self._owners = [worker.owner for worker in workers]
        keys = {"consumer": self.id, "workers": self._count, "tasks": list(self.queue.registry)}
        self._tell(events.EVENT_CONSUMER_STARTED, keys)
        self._reporter.flush()
        reaper = Reaper(self.queue, stopping=self._stopping, lease_seconds=self._lease_seconds)
        _thread("heartbeat", self._heartbeat().run)
        _thread("scheduler", self._scheduler.run)
        _thread("reaper", reaper.run)
        self._threads = [_thread(worker.name, worker.run) for worker in workers]

    def _worker(self, number: int) -> Worker:
        return Worker(
            self.queue,
            owner=f"{self.id}:{number}",
            number=number,
            holdings=self._holdings,
            reporter=self._reporter,
            on_scheduled=self._scheduler.nudge,
            stopping=self._stopping,
            lease_seconds=self._lease_seconds,
        )

    def _heartbeat(self) -> Heartbeat:
        return Heartbeat(
            self.queue,
            consumer=self.id,
            about=self._about(),
            workers=self._count,
            holdings=self._holdings,
            reporter=self._reporter,
            stopped=self._stopped,
            lease_seconds=self._lease_seconds,
        )

    def _about(self) -> dict[str, object]:
        speaker = self.queue.speaker
        return {
            "host": speaker.host,
            "pid": speaker.pid,
            "version": version("limelight"),
            "queue": self.queue.name,
            "started_at": time.time(),
        }

    @property
    def running(self) -> int:
        """How many tasks run right now."""
        return len(self._holdings)

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
        self._scheduler.nudge()
        deadline = time.monotonic() + self._shutdown_timeout
        for thread in self._threads:
            while thread.is_alive() and not self._impatient.is_set() and time.monotonic() < deadline:
                self.queue.storage.end_waits()
                thread.join(min(0.1, max(0.0, deadline - time.monotonic())))
        left = self._holdings.all()
        if left:
            self._hand_back(left)
        self._tell(events.EVENT_CONSUMER_STOPPED, {"consumer": self.id})
        self._stopped.set()
        self._leave()
        return not left

    def hand_back_now(self) -> None:
        """Have a `stop`, also one that waits already in another thread, wait no longer."""
        self._impatient.set()

    def _hand_back(self, left: list[Held]) -> None:
        """Settle what still runs as interrupted; whatever its thread does later is refused."""
        settlements = []
        for held in left:
            handed, report = held.handed, execution.interrupted(held.watch)
            decision = settle(report.outcome, Retries(handed.retries, handed.retry_delay))
            about = about_task(handed.lease.task_id, handed.name, handed.retries, handed.retry_delay)
            settlements.append(Settlement(handed.lease, decision, report.fragment, "", b"", about))
            log.warning("%s %s is interrupted and goes back to the queue", handed.name, handed.lease.task_id)
        try:
            settled, _ = self.queue.storage.settle_and_reserve(
                settlements, None, where="", result_ttl_ms=self.queue.result_ttl_ms
            )
        except LimelightError as error:
            log.error("%d running tasks could not be handed back, their leases will: %s", len(left), error)
            return
        if self.queue.signals.wants(SIGNAL_INTERRUPTED):
            for held, reply in zip(left, settled, strict=True):
                if reply is True:
                    self._tell_interrupted(held)

    def _tell_interrupted(self, held: Held) -> None:
        task = execution.unseen_task(self.queue.registry, self.queue.serializer, held.handed)
        self.queue.signals.send(SIGNAL_INTERRUPTED, task)

    def _leave(self) -> None:
        try:
            self._reporter.flush()
            self.queue.storage.leave(self.id, self._owners)
        except LimelightError as error:
            log.error("could not say goodbye to Redis: %s", error)

    def _tell(self, status: str, keys: dict[str, object]) -> None:
        told = NO_TASK + self.queue.speaker.where + fragment(keys)
        self._reporter.add(Notice(status, False, "worker", told, stream_only=True))


def _thread(name: str, run: Callable[[], None]) -> threading.Thread:
    """Start a thread that does not keep the process alive."""
    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread
