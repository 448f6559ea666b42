"""What a worker does: run what lies on its bench, then settle it and ask for more in the same trip."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Final

from limelight import events
from limelight.attempt import attempt
from limelight.closing import hand_back

from .errand import Errand
from .holdings import Job
from .lounge import Lounge
from .rota import Rota
from .spare import Spare
from .watchdog import Watchdog
from .workbench import RELIEVED_AFTER_SECONDS, Workbench

log = logging.getLogger("limelight.consumer")

_LOOK_AROUND_SECONDS: Final = 5.0
_AFTER_A_FAULT_SECONDS: Final = 1.0


class Worker:
    """Runs one task at a time until it is told to stop.

    Attributes:
        name: As events and logs have it.
        bench: What lies before it.

    Args:
        name: As events and logs have it.
        errands: Its business with each queue.
        rota: Which queue is asked next.
        spare: Tasks of others that it takes before it asks Redis.
        lounge: Where it waits when nothing is to be done.
        watchdog: Told when something waits behind what runs.
        stopping: Set when nothing new may begin.
    """

    def __init__(
        self,
        name: str,
        *,
        errands: Sequence[Errand],
        rota: Rota[Errand],
        spare: Spare,
        lounge: Lounge,
        watchdog: Watchdog,
        stopping: threading.Event,
    ) -> None:
        self.name = name
        self.bench = Workbench()
        self._errands = {errand.trips.queue: errand for errand in errands}
        self._rota = rota
        self._spare = spare
        self._lounge = lounge
        self._watchdog = watchdog
        self._stopping = stopping

    def run(self) -> None:
        """Work until told to stop, and until everything is settled."""
        while not self._is_over():
            try:
                self._turn()
            except Exception as error:
                # A fault of ours must not end the thread. What it held is renewed no more, so it comes back.
                log.exception("%s: unexpected error", self.name)
                self._recover(error)

    def _is_over(self) -> bool:
        return (
            self._stopping.is_set()
            and self.bench.is_empty
            and not any(errand.is_owed_an_answer for errand in self._errands.values())
        )

    def _turn(self) -> None:
        if self._stopping.is_set():
            todo = self.bench.take_todo()
            hand_back(todo)
            self.bench.put_done(todo)
        else:
            self._work(self.bench.next() or self._from_spare())
        if not self._restock():
            self._wait()

    # -- Running ----------------------------------------------------------------------------------------
    def _work(self, job: Job | None) -> None:
        """Run one task after another, until the bench is empty or nothing more may begin."""
        while job is not None:
            if time.monotonic() < job.good_until:
                seconds = attempt(job)
                self._errands[job.queue].trips.pace.note(seconds)
            else:
                hand_back([job])
            job = self.bench.next(job, begin=not self._stopping.is_set())

    def _from_spare(self) -> Job | None:
        job = self._spare.take(self.name)
        if job is not None:
            now = time.monotonic()
            self.bench.begin(job, now)
            self._watchdog.expect(now + RELIEVED_AFTER_SECONDS)  # what was done before waits behind it
        return job

    # -- Trips ------------------------------------------------------------------------------------------
    def _restock(self) -> bool:
        """Settle what is done and ask for more; False if there was nowhere to go."""
        now = time.monotonic()
        done = self.bench.take_done()
        asked = self._asked(done, now)
        went = False
        for queue, errand in self._errands.items():
            its = [job for job in done if job.queue is queue]
            if not its and errand is not asked and not (errand.is_owed_an_answer and self._stopping.is_set()):
                continue
            if errand.trips.outage.lasts(now):
                self.bench.put_done(its)
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
        return self._rota.next(errands)

    @staticmethod
    def _may_have_tasks(errand: Errand, now: float) -> bool:
        return errand.trips.door.is_open and not errand.trips.outage.lasts(now)

    def _go(self, errand: Errand, done: Sequence[Job], count: int) -> None:
        left, jobs = errand.go(done, count)
        if left:
            self.bench.put_done(left)
        if jobs:
            now = time.monotonic()
            self.bench.put(jobs, now)
            if len(jobs) > 1:
                self._watchdog.expect(now + RELIEVED_AFTER_SECONDS)
        if count and errand.trips.door.is_open:
            self._lounge.call()  # more is ready than we took

    # -- Waiting ----------------------------------------------------------------------------------------
    def _wait(self) -> None:
        """Wait until called; where Redis is away, until it is time to try again."""
        now = time.monotonic()
        outages = [errand.trips.outage for errand in self._errands.values()]
        pause = min((one.until - now for one in outages if one.lasts(now)), default=_LOOK_AROUND_SECONDS)
        if self._stopping.is_set():
            time.sleep(min(pause, 0.2))
        else:
            self._lounge.wait(self._is_needed, pause)

    def _is_needed(self) -> bool:
        now = time.monotonic()
        return bool(self._spare) or any(
            self._may_have_tasks(errand, now) for errand in self._errands.values()
        )

    def _recover(self, error: Exception) -> None:
        for errand in self._errands.values():
            errand.trips.holdings.drop_all_of(self.name)
        self.bench.clear()
        first = next(iter(self._errands.values()))
        first.trips.tell_error(events.EVENT_ERROR_INTERNAL, error, first.where)
        if self._stopping.wait(_AFTER_A_FAULT_SECONDS):
            time.sleep(0.1)
