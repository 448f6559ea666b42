"""What a worker does: run what lies on its bench, then settle it and ask for more in the same trip."""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import Final

from limelight import events
from limelight.attempt import attempt
from limelight.closing import hand_back
from limelight.storage.wait import Wait

from .holdings import Job
from .lounge import Lounge
from .rounds import Round, Rounds
from .seat import Seat
from .spare import Spare
from .trips import Trips
from .workbench import RELIEVED_AFTER_SECONDS

log = logging.getLogger("limelight.consumer")

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
        self._rounds = Rounds(seat.errands, seat.rota, stopping)

    @property
    def is_worn_out(self) -> bool:
        """Whether it has run as many tasks as it may."""
        return self._left <= 0

    def run(self) -> None:
        """Work until told to stop and everything is settled; or until worn out, or stuck and given up."""
        try:
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
            self._slot.close()

    def _is_over(self) -> bool:
        return self._leaves_at_once or (
            self._stopping.is_set() and self._bench.is_empty and not self._rounds.is_owed_an_answer
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
        while (job := self._spare.take(self._seat.name)) is not None:
            now = time.monotonic()
            if self._bench.begin(job, now):
                self._seat.expect(now + RELIEVED_AFTER_SECONDS)  # what was done before waits behind it
                self._lounge.man_door()
                return job
        return None

    # -- Trips ------------------------------------------------------------------------------------------
    def _restock(self) -> bool:
        """Settle what is done and ask for more; False if there was nowhere to go."""
        made = self._rounds.make(self._bench.take_done(), self._count)
        self._lay_down(made)
        return made.went

    def _count(self, trips: Trips) -> int:
        """How many tasks to ask a queue for."""
        return int(min(trips.pace.count, self._left))

    def _lay_down(self, made: Round) -> None:
        """Lay down what a trip brought, and see to it that somebody goes next."""
        if made.left:
            self._bench.put_done(made.left)
        if made.jobs:
            now = time.monotonic()
            self._bench.put(made.jobs, now)
            if len(made.jobs) > 1:
                self._seat.expect(now + RELIEVED_AFTER_SECONDS)
        if made.is_more_ready:
            self._lounge.call()
        elif made.jobs:
            self._lounge.man_door()

    def _wait(self) -> None:
        """Wait for work, at the door or until called; where Redis is away, until it is time to try again."""
        pause = self._rounds.pause_seconds()
        if self._stopping.is_set():
            time.sleep(min(pause, 0.2))
        elif not self._stand():
            self._lounge.wait(self._is_needed, pause)

    def _stand(self) -> bool:
        """Stand at the door if there is a place; False if there is none, or no use in it."""
        wait = Wait()
        if not (self._bench.is_empty and self._rounds.may_stand()):
            return False
        if not self._lounge.stand(wait.end, self._is_needed):
            return False
        try:
            made = self._rounds.stand(self._count, wait)
        finally:
            self._lounge.leave_door(wait.end)
        self._lay_down(made)
        return True

    def _is_needed(self) -> bool:
        return bool(self._spare) or self._rounds.is_needed()

    def _forget(self) -> None:
        for errand in self._errands.values():
            errand.trips.holdings.drop_all_of(self._seat.name)
        self._bench.clear()

    def _tell(self, error: Exception) -> None:
        first = next(iter(self._errands.values()))
        first.trips.tell_error(events.EVENT_ERROR_INTERNAL, error, first.where)
        if self._stopping.wait(_AFTER_A_FAULT_SECONDS):
            time.sleep(0.1)
