"""One queue in one consumer: everything that is done for it beside running its tasks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Final

from limelight import closing, events
from limelight.emitter import NO_TASK, fragment
from limelight.errors import LimelightError
from limelight.storage.base import Notice
from limelight.task_queue import RedisQueue

from .courier import Courier
from .doorman import Doorman
from .heartbeat import Heartbeat
from .lounge import Lounge
from .plan import Plan
from .reaper import Reaper
from .reporter import Reporter
from .scheduler import Scheduler
from .threads import Threads
from .trips import Trips

log = logging.getLogger("limelight.consumer")

_END_OF_WAIT_SECONDS: Final = 2.0


class Station:
    """Renews and reaps leases, schedules, tells, and looks out for work, each in a thread of its own.

    Attributes:
        queue: Which.
        trips: Where the workers turn to.
        courier: Who settles what no worker can.

    Args:
        queue: Which.
        plan: How the consumer works.
        consumer: Its id.
        lounge: Where its idle workers are.
        stopping: Set when nothing new may begin.
        stopped: Set when nothing runs any more.
        look: Has what is begun by now noted on the jobs.
        abandoned: How many of the consumer's threads are stuck in tasks that would not stop.
    """

    def __init__(
        self,
        queue: RedisQueue,
        plan: Plan,
        *,
        consumer: str,
        lounge: Lounge,
        stopping: threading.Event,
        stopped: threading.Event,
        look: Callable[[], None],
        abandoned: Callable[[], int],
    ) -> None:
        self.queue = queue
        self._threads = Threads()
        self._consumer = consumer
        self._lounge = lounge
        self._workers = plan.workers
        self._reporter = Reporter(queue.storage)
        self._scheduler = Scheduler(
            queue,
            reporter=self._reporter,
            stopping=stopping,
            interval_seconds=plan.scheduler_interval,
            periodic=plan.periodic,
        )
        self.trips = Trips(
            queue,
            reporter=self._reporter,
            on_scheduled=self._scheduler.nudge,
            lease_seconds=plan.lease_seconds,
        )
        self.courier = Courier(self.trips, stopped=stopped)
        self._doorman = Doorman(self.trips, lounge=lounge, stopping=stopping)
        self._reaper = Reaper(queue, stopping=stopping, lease_seconds=plan.lease_seconds)
        self._heartbeat = Heartbeat(
            queue,
            consumer=consumer,
            about=self._about(),
            workers=plan.workers,
            holdings=self.trips.holdings,
            reporter=self._reporter,
            stopped=stopped,
            lease_seconds=plan.lease_seconds,
            look=look,
            abandoned=abandoned,
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

    def start(self) -> None:
        """Tell that the consumer started, and begin."""
        tasks = list(self.queue.registry)
        slo = {task: held for task in tasks if (held := self.queue.registry[task].objectives)}
        keys = {"consumer": self._consumer, "workers": self._workers, "tasks": tasks, "slo": slo or None}
        self._tell(events.EVENT_CONSUMER_STARTED, keys)
        self._reporter.flush()
        self._threads.start("heartbeat", self._heartbeat.run)
        self._threads.start("scheduler", self._scheduler.run)
        self._threads.start("reaper", self._reaper.run)
        self._threads.start("courier", self.courier.run)
        if not self._lounge.places:
            self._threads.start("doorman", self._doorman.run)

    def check(self) -> None:
        """Replace threads that died."""
        self._threads.check()

    def nudge_scheduler(self) -> None:
        """Have the schedule looked at: something was put on it."""
        self._scheduler.nudge()

    def end_waits(self) -> None:
        """Have nobody wait for work or for a due time any more."""
        self._scheduler.nudge()
        self._doorman.end()

    def hand_back(self) -> int:
        """Settle what is still held: as it ended, or as interrupted; returns how many still ran.

        Whatever a thread does later with what is interrupted is refused.
        """
        left = self.trips.holdings.all()
        running = [job for job in left if job.is_running]
        for job in running:
            log.warning(
                "%s %s is interrupted and goes back to the queue", job.handed.name, job.handed.lease.task_id
            )
        closing.hand_back(left)
        if left:
            try:
                self.trips.make(left, None, self.queue.speaker.where)
                self.trips.herald.settled(left)
            except LimelightError as error:
                log.error("%d tasks could not be handed back, their leases will: %s", len(left), error)
        return len(running)

    def leave(self, owners: Sequence[str]) -> None:
        """Tell that the consumer stopped, and have Redis forget it and its workers."""
        self.courier.wake()
        self._threads.join("scheduler", _END_OF_WAIT_SECONDS)  # it may still be telling of what is due
        self._tell(events.EVENT_CONSUMER_STOPPED, {"consumer": self._consumer})
        try:
            self._reporter.flush()
            self.queue.storage.leave(self._consumer, owners)
        except LimelightError as error:
            log.error("could not say goodbye to Redis: %s", error)

    def _tell(self, status: str, keys: dict[str, object]) -> None:
        told = NO_TASK + self.queue.speaker.where + fragment(keys)
        self._reporter.add(Notice(status, False, "worker", told, stream_only=True))
