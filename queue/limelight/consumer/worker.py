"""What a worker does: run what lies on its bench, then settle it and ask for more in the same trip."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Sequence
from typing import Final

from limelight import events

from .attempt import attempt
from .closing import hand_back
from .errand import Errand
from .holdings import Job
from .lounge import Lounge
from .seat import Seat
from .spare import Spare
from .workbench import RELIEVED_AFTER_SECONDS

log = logging.getLogger("limelight.consumer")

_LOOK_AROUND_SECONDS: Final = 5.0
_OUTAGE_SECONDS: Final = 0.5
_AFTER_A_FAULT_SECONDS: Final = 1.0


class Worker:
    """Runs one task at a time until it is told to stop.

    Args:
        seat: Its place, and what belongs to it.
        spare: Tasks of others that it takes before it asks Redis.
        lounge: Where it waits when nothing is to be done.
        stopping: Set when nothing new may begin.
        max_tasks: After so many tasks it is worn out; 0: never.
    """

    def __init__(
        self,
        seat: Seat,
        *,
        spare: Spare,
        lounge: Lounge,
        stopping: threading.Event,
        max_tasks: int = 0,
    ) -> None:
        self._seat = seat
        self._bench = seat.bench
        self._slot = seat.slot
        self._errands = seat.errands
        self._spare = spare
        self._lounge = lounge
        self._stopping = stopping
        self._left = max_tasks or math.inf

    @property
    def is_worn_out(self) -> bool:
        """Whether it has run as many tasks as it may."""
        return self._left <= 0

    def run(self) -> None:
        """Work until told to stop and everything is settled; or until worn out, or stuck and given up.

        The user's hooks of workers stand around it, those of each queue.
        """
        try:
            for queue in self._errands:
                queue.hooks.on_startup.call()
            while not self._is_over():
                try:
                    self._turn()
                except Exception as error:
                    # A fault of ours must not end the thread. What it held is renewed no more, so it comes back.
                    log.exception("%s: unexpected error", self._seat.name)
                    self._forget()
                    self._tell(error)
        except BaseException:
            self._forget()
            raise
        finally:
            for queue in self._errands:
                queue.hooks.on_shutdown.call()
            self._slot.close()

    def _is_over(self) -> bool:
        return self._leaves_at_once or (
            self._stopping.is_set()
            and self._bench.is_empty
            and not any(errand.is_owed_an_answer for errand in self._errands.values())
        )

    @property
    def _leaves_at_once(self) -> bool:
        """Whether the thread ends as it is; what lies on the seat is its successor's."""
        return self._slot.is_abandoned or self.is_worn_out

    def _turn(self) -> None:
        if self._stopping.is_set():
            todo = self._bench.take_todo()
            hand_back(todo)
            self._bench.put_done(todo)
        else:
            self._work(self._bench.next() or self._from_spare())
        if not self._leaves_at_once and not self._restock():
            self._wait()

    # -- Running ----------------------------------------------------------------------------------------
    def _work(self, job: Job | None) -> None:
        """Run one task after another, until the bench is empty or nothing more may begin."""
        while job is not None:
            if time.monotonic() >= job.good_until:
                hand_back([job])
            elif not self._run(job):
                return
            job = self._bench.next(job, begin=not (self._stopping.is_set() or self.is_worn_out))

    def _run(self, job: Job) -> bool:
        """Run one; False if it took so long that it was given up, and nothing here is ours any more."""
        settlement = attempt(job, self._slot.call)
        if self._slot.is_abandoned:
            return False
        job.settlement = settlement
        if job.watch is not None:
            self._errands[job.queue].trips.pace.note(job.watch.seconds)
        self._left -= 1
        return True

    def _from_spare(self) -> Job | None:
        job = self._spare.take(self._seat.name)
        if job is not None:
            now = time.monotonic()
            self._bench.begin(job, now)
            self._seat.expect(now + RELIEVED_AFTER_SECONDS)  # what was done before waits behind it
        return job

    # -- Trips ------------------------------------------------------------------------------------------
    def _restock(self) -> bool:
        """Settle what is done and ask for more; False if there was nowhere to go."""
        now = time.monotonic()
        done = self._bench.take_done()
        asked = self._asked(done, now)
        went = False
        for queue, errand in self._errands.items():
            its = [job for job in done if job.queue is queue]
            if not its and errand is not asked and not (errand.is_owed_an_answer and self._stopping.is_set()):
                continue
            if not errand.trips.outage.may_try(now):
                self._bench.put_done(its)
                continue
            self._go(errand, its, errand.trips.pace.count if errand is asked else 0)
            went = True
        return went

    def _asked(self, done: Sequence[Job], now: float) -> Errand | None:
        """Which queue to ask for tasks: of those that may have some, else the one where something is settled."""
        if self._stopping.is_set():
            return None
        errands = [errand for errand in self._errands.values() if self._may_have_tasks(errand, now)] or [
            self._errands[job.queue] for job in done[-1:]
        ]
        return self._seat.rota.next(errands)

    @staticmethod
    def _may_have_tasks(errand: Errand, now: float) -> bool:
        return errand.trips.door.is_open and not errand.trips.outage.lasts(now)

    def _go(self, errand: Errand, done: Sequence[Job], count: int) -> None:
        left, jobs = errand.go(done, count)
        if left:
            self._bench.put_done(left)
        if jobs:
            now = time.monotonic()
            self._bench.put(jobs, now)
            if len(jobs) > 1:
                self._seat.expect(now + RELIEVED_AFTER_SECONDS)
        if count and errand.trips.door.is_open:
            self._lounge.call()  # more is ready than we took

    # -- Waiting ----------------------------------------------------------------------------------------
    def _wait(self) -> None:
        """Wait until called; where Redis is away, until it is time to try again."""
        now = time.monotonic()
        outages = [errand.trips.outage for errand in self._errands.values()]
        pause = min((one.until - now for one in outages if one.lasts(now)), default=_LOOK_AROUND_SECONDS)
        if any(one.until for one in outages):  # somebody may be trying, and find that it is over
            pause = min(pause, _OUTAGE_SECONDS)
        if self._stopping.is_set():
            time.sleep(min(pause, 0.2))
        else:
            self._lounge.wait(self._is_needed, pause)

    def _is_needed(self) -> bool:
        now = time.monotonic()
        return bool(self._spare) or any(
            self._may_have_tasks(errand, now) for errand in self._errands.values()
        )

    def _forget(self) -> None:
        for errand in self._errands.values():
            errand.trips.holdings.drop_all_of(self._seat.name)
        self._bench.clear()

    def _tell(self, error: Exception) -> None:
        first = next(iter(self._errands.values()))
        first.trips.tell_error(events.EVENT_ERROR_INTERNAL, error, first.where)
        if self._stopping.wait(_AFTER_A_FAULT_SECONDS):
            time.sleep(0.1)
