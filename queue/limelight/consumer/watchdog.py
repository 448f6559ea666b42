"""Sees to it that nothing waits behind a long task, and that none runs longer than it may."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from limelight import closing
from limelight.attempt import given_up
from limelight.task_queue import RedisQueue

from .courier import Courier
from .holdings import Job
from .lounge import Lounge
from .seat import Seat
from .spare import KEPT_SECONDS, Spare
from .workbench import RELIEVED_AFTER_SECONDS, Workbench

log = logging.getLogger("limelight.consumer")

_AFTER_A_FAULT_SECONDS: Final = 1.0


class Watchdog:
    """One thread per consumer, asleep until something is to be seen to. It never waits for Redis.

    Args:
        seats: The workers' places as they are now.
        spare: Where tasks go that were not begun; what nobody takes there goes back to Redis.
        couriers: Who settles for each queue.
        lounge: Where idle workers are called.
        stopping: Set when nothing new may begin: then all that was not begun goes back at once.
        stopped: Set when it shall end.
        replace: Called when the thread on a seat is stuck for good.
        check: Called now and then, to see to what died.
        check_seconds: How often.
    """

    def __init__(
        self,
        *,
        seats: Callable[[], Sequence[Seat]],
        spare: Spare,
        couriers: Mapping[RedisQueue, Courier],
        lounge: Lounge,
        stopping: threading.Event,
        stopped: threading.Event,
        replace: Callable[[Seat], None],
        check: Callable[[], None],
        check_seconds: float,
    ) -> None:
        self._seats = seats
        self._spare = spare
        self._couriers = couriers
        self._lounge = lounge
        self._stopping = stopping
        self._stopped = stopped
        self._replace = replace
        self._check = check
        self._check_seconds = check_seconds
        self._check_at = time.monotonic() + check_seconds
        self._next = math.inf
        self._nudged = threading.Condition()

    def expect(self, at: float) -> None:
        """Look at that time (monotonic seconds) at the latest; called after the reason for it was laid down."""
        if at < self._next:
            with self._nudged:
                self._next = min(self._next, at)
                self._nudged.notify()

    def run(self) -> None:
        """Look until stopped; no fault ends the thread."""
        while not self._stopped.is_set():
            self._next = math.inf  # from here on whoever lays something down nudges us
            try:
                at = self._look(time.monotonic())
            except Exception:
                log.exception("watchdog: unexpected error")
                at = time.monotonic() + _AFTER_A_FAULT_SECONDS
            with self._nudged:
                self._next = min(self._next, at)
                while (pause := self._next - time.monotonic()) > 0:
                    self._nudged.wait(None if pause == math.inf else pause)

    def _look(self, now: float) -> float:
        """See to what is due; returns when to look again."""
        stopping = self._stopping.is_set()
        if now >= self._check_at:
            self._check_at = now + self._check_seconds
            self._check()
        for seat in self._seats():
            if stopping or seat.bench.due_for_relief() <= now:
                self._relieve(seat.bench, now)
            if seat.slot.kick_at <= now:
                self._kick(seat, now)
        self._hand_back(self._spare.take_older(now if stopping else now - KEPT_SECONDS))
        due = (min(seat.bench.due_for_relief(), seat.slot.kick_at) for seat in self._seats())
        return min(self._check_at, self._spare.kept_until(), *due)

    def _relieve(self, bench: Workbench, now: float) -> None:
        done, todo = bench.relieve()
        self._carry(done)
        for job in todo:
            job.worker = ""
            self._couriers[job.queue].trips.pace.note(RELIEVED_AFTER_SECONDS)
        if self._stopping.is_set():
            self._hand_back(todo)
        elif todo:
            self._spare.put(todo, now)
            self._lounge.summon(len(todo))

    def _kick(self, seat: Seat, now: float) -> None:
        """Stop a task whose time is over; where that was tried in vain, close its run without it."""
        job = seat.bench.current
        seat.slot.kick(now)
        if not seat.slot.is_abandoned or job is None:
            return
        log.error(
            "%s %s does not stop: its run is closed as timed out, and its thread left to itself",
            job.handed.name,
            job.handed.lease.task_id,
        )
        self._relieve(seat.bench, now)
        job.settlement = given_up(job, seat.slot.stack())
        self._carry([job])
        self._replace(seat)

    def _hand_back(self, jobs: Sequence[Job]) -> None:
        closing.hand_back(jobs)
        self._carry(jobs)

    def _carry(self, jobs: Sequence[Job]) -> None:
        by_queue: dict[RedisQueue, list[Job]] = defaultdict(list)
        for job in jobs:
            by_queue[job.queue].append(job)
        for queue, its in by_queue.items():
            self._couriers[queue].take(its)
