"""Periodic tasks: looks which are due by Redis' clock, and enqueues one run per due time."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from limelight import events
from limelight.catch_up import due_times
from limelight.emitter import NO_TASK, about_task, failure, fragment
from limelight.errors import LimelightError, OutcomeUnknown, RedisUnavailable
from limelight.registry import Registered
from limelight.schedule import Schedule
from limelight.signals import SIGNAL_ENQUEUED
from limelight.storage.base import Notice, Watched
from limelight.task import Task
from limelight.task_queue import RedisQueue

from .reporter import Reporter

log = logging.getLogger("limelight.consumer")

_MINUTE: Final = dt.timedelta(minutes=1)
_ROUND_UP_SECONDS: Final = 0.001


class PeriodicTasks:
    """Enqueues a queue's periodic tasks: each due time once, however many consumers do the same.

    Which due times are to run is decided here, from Redis' clock and the last due time that ran; Redis takes
    the decision only while that is still the last one.

    Args:
        queue: Whose tasks.
        reporter: Takes the events of what could not be enqueued.
    """

    def __init__(self, queue: RedisQueue, reporter: Reporter) -> None:
        self._queue = queue
        self._storage = queue.storage
        self._reporter = reporter
        self._where = queue.speaker.where
        self._minute = dt.datetime.min.replace(tzinfo=dt.UTC)
        self._upcoming: dict[str, dt.datetime | None] = {}
        self._decided: dict[str, dt.datetime] = {}
        self._failing: set[str] = set()

    def has_undecided(self) -> bool:
        """Whether a task was declared since the last look, or its due times could not be decided in it."""
        return not self._upcoming.keys() >= self._queue.registry.periodic.keys()

    def look(self) -> float:
        """Enqueue what is due: all tasks once a minute of Redis' clock, in between only those known to be due.

        Returns:
            Seconds until the next look is useful.

        Raises:
            RedisUnavailable, OutcomeUnknown: Redis is away; the next look decides what this one did not.
        """
        _, timestamp = self._storage.check_periodic(self._where)
        now = _moment(timestamp)
        self._begin(now.replace(second=0, microsecond=0))
        tasks = self._undecided(now)
        upcoming = self._next_due_times(tasks, now)
        for name, watched in self._watch(upcoming, tasks, now).items():
            if self._decide(*tasks[name], watched, now):
                self._upcoming[name], self._decided[name] = upcoming[name], now
            else:
                self._upcoming.pop(name, None)
        soonest = min((due for due in self._upcoming.values() if due is not None), default=now + _MINUTE)
        return (min(self._minute + _MINUTE, soonest) - now).total_seconds() + _ROUND_UP_SECONDS

    def _begin(self, minute: dt.datetime) -> None:
        """With each minute begin anew: what is declared, and what a function says, may have changed."""
        if minute != self._minute:
            periodic = self._queue.registry.periodic
            self._minute, self._upcoming = minute, {}
            self._decided = {name: until for name, until in self._decided.items() if name in periodic}

    def _undecided(self, now: dt.datetime) -> Mapping[str, tuple[Registered, Schedule]]:
        known = {name for name, due in self._upcoming.items() if due is None or due > now}
        return {name: task for name, task in self._queue.registry.periodic.items() if name not in known}

    def _next_due_times(
        self, tasks: Mapping[str, tuple[Registered, Schedule]], now: dt.datetime
    ) -> dict[str, dt.datetime | None]:
        """Per task when it is due next, None if never; a task whose schedule raises is left to the next minute."""
        upcoming = {}
        for name, (_, schedule) in tasks.items():
            try:
                upcoming[name] = schedule.next_after(now)
            except Exception as error:
                self._report_schedule(name, error)
                self._upcoming[name] = None
        return upcoming

    def _watch(
        self,
        upcoming: Mapping[str, dt.datetime | None],
        tasks: Mapping[str, tuple[Registered, Schedule]],
        now: dt.datetime,
    ) -> Mapping[str, Watched]:
        """What Redis knows of the tasks; it learns their next due times, and up to when ours are decided."""
        if not upcoming:
            return {}
        told = {}
        for name, due in upcoming.items():
            decided = min(self._decided.get(name, _moment(0)), now)
            grace = tasks[name][0].grace_seconds
            told[name] = (0.0 if due is None else due.timestamp(), decided.timestamp(), grace)
        return self._storage.watch_periodic(told)

    def _decide(self, registered: Registered, schedule: Schedule, watched: Watched, now: dt.datetime) -> bool:
        """Run what is due of one task; False if the next look has to decide again.

        Up to when this process decided counts for more than what others did: they may run another version, with
        another schedule.
        """
        decided = self._decided.get(registered.options.name) or _moment(watched.decided)
        after = max(_moment(watched.due), min(decided, now))
        try:
            runs = due_times(schedule, registered.catch_up, after=after, now=now)
        except Exception as error:
            self._report_schedule(registered.options.name, error)
            return True  # there is no use in asking it again
        if len(runs) > 1:
            log.info("periodic task %s makes up for %d missed times", registered.options.name, len(runs))
        return self._fire(registered, runs, watched.due)

    def _fire(self, registered: Registered, runs: Sequence[dt.datetime], last: float) -> bool:
        """Enqueue the runs, oldest first, each only if the one before is the last that anybody enqueued."""
        task = Task(options=registered.options)
        try:
            for due in runs:
                task = Task(options=registered.options, due=due)
                parcel = self._queue.parcel(task, periodic=task.name)
                if not self._storage.fire(parcel, due=due.timestamp(), last=last, where=self._where):
                    return False
                last = due.timestamp()
                self._queue.signals.send(SIGNAL_ENQUEUED, task)
        except (RedisUnavailable, OutcomeUnknown):
            raise
        except LimelightError as error:
            self._report_refused(task, error)
            return False
        self._failing.discard(task.name)
        return True

    # -- Telling ----------------------------------------------------------------------------------------
    def _report_schedule(self, name: str, error: Exception) -> None:
        log.error("the schedule of periodic task %s raised", name, exc_info=error)
        self._report(error, NO_TASK)

    def _report_refused(self, task: Task, error: LimelightError) -> None:
        """Tell once that a task could not be enqueued, however often it is tried again."""
        if task.name in self._failing:
            return
        self._failing.add(task.name)
        log.error("periodic task %s could not be enqueued, I go on trying: %s", task.name, error)
        self._report(error, about_task(task.id, task.name, task.options.retries, task.options.retry_delay))

    def _report(self, error: BaseException, about: str) -> None:
        privacy = self._queue.surroundings.privacy
        keys = failure(error, privacy.traceback(error), privacy)
        told = about + self._where + fragment(keys)
        self._reporter.add(Notice(events.EVENT_ERROR_ENQUEUEING, True, "scheduler", told))


def _moment(timestamp: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(timestamp, dt.UTC)
