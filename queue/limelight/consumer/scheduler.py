"""The scheduler thread: makes due tasks ready, and enqueues periodic tasks once per due time."""

from __future__ import annotations

import datetime as dt
import logging
import math
import threading
import time
import traceback as tb
from typing import Final

from limelight import events
from limelight.crontab import Schedule
from limelight.emitter import NO_TASK, about_task, failure, fragment
from limelight.errors import LimelightError, OutcomeUnknown, RedisUnavailable
from limelight.storage.base import Notice
from limelight.task import Registered, Task
from limelight.task_queue import RedisQueue

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
        self._next_check = 0.0 if periodic else math.inf
        self._nudged = threading.Event()

    def nudge(self) -> None:
        """Look at once: something was put on the schedule, or it is time to stop."""
        self._nudged.set()

    def run(self) -> None:
        """Look until told to stop; no fault ends the thread."""
        while not self._stopping.is_set():
            pause = self._interval
            try:
                pause = min(pause, self._promote())
                if time.monotonic() >= self._next_check:
                    self._check_periodic()
            except (RedisUnavailable, OutcomeUnknown) as error:
                log.debug("scheduler waits for Redis: %s", error)  # the workers say so aloud
            except LimelightError as error:
                log.error("scheduler: what is due could not be enqueued: %s", error)
                self._report(events.EVENT_ERROR_ENQUEUEING, error, NO_TASK)
            except Exception as error:
                log.exception("scheduler: unexpected error")
                self._report(events.EVENT_ERROR_ENQUEUEING, error, NO_TASK)
            self._nudged.wait(pause)
            self._nudged.clear()

    def _promote(self) -> float:
        """Make due tasks ready; returns seconds until the next look is useful."""
        promoted, next_due = self._storage.promote(_PROMOTE_BATCH, self._where)
        if promoted == _PROMOTE_BATCH:
            return 0.0
        return self._interval if next_due is None else next_due + 0.001

    def _check_periodic(self) -> None:
        """Check once a minute of Redis' clock which periodic tasks are due, and enqueue those."""
        _, now = self._storage.check_periodic(self._where)
        moment = dt.datetime.fromtimestamp(now, dt.UTC)
        periodic = self._queue.registry.periodic
        upcoming = {
            name: due
            for name, (registered, schedule) in periodic.items()
            if (due := self._next_due(registered, schedule, moment)) is not None
        }
        last = self._storage.watch_periodic(upcoming) if upcoming else {}
        for name, last_due in last.items():
            registered, schedule = periodic[name]
            missed = schedule.latest_between(dt.datetime.fromtimestamp(last_due, dt.UTC), moment)
            if missed is not None:
                self._fire(registered, missed.timestamp(), upcoming[name])
        # Only now, so that a fault above means to check again; at the start of the next minute of Redis' clock.
        self._next_check = time.monotonic() + 60.0 - now % 60.0

    def _fire(self, registered: Registered, due: float, next_due: float) -> None:
        task = Task(options=registered.options)
        try:
            parcel = self._queue.parcel(task, periodic=task.name)
            self._storage.fire(parcel, due=due, next_due=next_due, where=self._where)
        except (RedisUnavailable, OutcomeUnknown):
            raise
        except LimelightError as error:
            log.error("periodic task %s could not be enqueued: %s", task.name, error)
            about = about_task(task.id, task.name, task.options.retries, task.options.retry_delay)
            self._report(events.EVENT_ERROR_ENQUEUEING, error, about)

    def _next_due(self, registered: Registered, schedule: Schedule, now: dt.datetime) -> float | None:
        """Unix seconds of the next due time, 0 if there is none; None if the user's schedule raised."""
        try:
            upcoming = schedule.next_after(now)
        except Exception as error:
            log.exception("the schedule of periodic task %s raised", registered.options.name)
            self._report(events.EVENT_ERROR_ENQUEUEING, error, NO_TASK)
            return None
        return 0.0 if upcoming is None else upcoming.timestamp()

    def _report(self, status: str, error: BaseException, about: str) -> None:
        keys = failure(error, "".join(tb.format_exception(error)))
        self._reporter.add(Notice(status, True, "scheduler", about + self._where + fragment(keys)))
