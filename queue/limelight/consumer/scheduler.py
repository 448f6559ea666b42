"""The scheduler thread: makes due tasks ready, and has the periodic ones enqueued when they are due."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from limelight import events
from limelight.emitter import NO_TASK, failure, fragment
from limelight.errors import LimelightError, OutcomeUnknown, RedisUnavailable
from limelight.storage.base import Notice
from limelight.task_queue import RedisQueue

from .periodic import PeriodicTasks
from .reporter import Reporter

log = logging.getLogger("limelight.consumer")

_PROMOTE_BATCH: Final = 1_000


class Scheduler:
    """Looks every `interval_seconds`, and sooner when a task is due sooner.

    Args:
        queue: Whose schedule.
        reporter: Takes the events of what could not be enqueued.
        stopping: Set when it shall end.
        interval_seconds: Longest time between two looks.
        periodic: Whether it enqueues periodic tasks.
    """

    def __init__(
        self,
        queue: RedisQueue,
        *,
        reporter: Reporter,
        stopping: threading.Event,
        interval_seconds: float,
        periodic: bool = True,
    ) -> None:
        self._queue = queue
        self._storage = queue.storage
        self._reporter = reporter
        self._stopping = stopping
        self._interval = interval_seconds
        self._where = queue.speaker.where
        self._periodic = PeriodicTasks(queue, reporter) if periodic else None
        self._next_look = 0.0
        self._failing = False
        self._nudged = threading.Event()

    def nudge(self) -> None:
        """Look at once: something was put on the schedule, or it is time to stop."""
        self._nudged.set()

    def run(self) -> None:
        """Look until told to stop; no fault ends the thread, and one that lasts is told once."""
        while not self._stopping.is_set():
            pause = self._interval
            try:
                pause = min(self._promote(), self._look_at_periodic(), self._interval)
                self._failing = False
            except (RedisUnavailable, OutcomeUnknown) as error:
                log.debug("scheduler waits for Redis: %s", error)  # the workers say so aloud
            except LimelightError as error:
                self._report("what is due could not be enqueued", error)
            except Exception as error:
                self._report("unexpected error", error)
            self._nudged.wait(pause)
            self._nudged.clear()

    def _promote(self) -> float:
        """Make due tasks ready; returns seconds until the next look is useful."""
        promoted, next_due = self._storage.promote(_PROMOTE_BATCH, self._where)
        if promoted == _PROMOTE_BATCH:
            return 0.0
        return self._interval if next_due is None else next_due + 0.001

    def _look_at_periodic(self) -> float:
        """Enqueue periodic tasks if it is time to; returns seconds until it is time again."""
        if self._periodic is None:
            return self._interval
        if time.monotonic() >= self._next_look or self._periodic.has_undecided():
            self._next_look = time.monotonic() + self._periodic.look()
        return max(0.0, self._next_look - time.monotonic())

    def _report(self, problem: str, error: BaseException) -> None:
        if self._failing:
            return
        self._failing = True
        trace = None if isinstance(error, LimelightError) else error
        log.error("scheduler: %s, I go on trying: %s", problem, error, exc_info=trace)
        privacy = self._queue.surroundings.privacy
        keys = failure(error, privacy.traceback(error), privacy)
        told = NO_TASK + self._where + fragment(keys)
        self._reporter.add(Notice(events.EVENT_ERROR_ENQUEUEING, True, "scheduler", told))
