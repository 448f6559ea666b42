"""The trips of one worker over its queues: what is settled where, whom to ask, how long to wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from limelight.storage.wait import Wait
from limelight.task_queue import RedisQueue

from .errand import Errand
from .holdings import Job
from .rota import Rota
from .trips import Trips

_LOOK_AROUND_SECONDS: Final = 5.0
_OUTAGE_SECONDS: Final = 0.5


@dataclass(slots=True)
class Round:
    """What came of one round.

    Attributes:
        went: Whether there was anywhere to go.
        left: What is still to be settled.
        jobs: What is to be run.
        is_more_ready: More is ready than was taken.
    """

    went: bool = False
    left: list[Job] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    is_more_ready: bool = False


class Rounds:
    """Not for two threads at once.

    Args:
        errands: The worker's business with each queue.
        rota: Whose turn it is to be asked for tasks.
        stopping: Set when nothing new may begin.
    """

    def __init__(
        self, errands: Mapping[RedisQueue, Errand], rota: Rota[Errand], stopping: threading.Event
    ) -> None:
        self._errands = errands
        self._rota = rota
        self._stopping = stopping

    @property
    def is_owed_an_answer(self) -> bool:
        """Whether Redis may have given us tasks that we do not know of."""
        return any(errand.is_owed_an_answer for errand in self._errands.values())

    def make(self, done: Sequence[Job], count: Callable[[Trips], int]) -> Round:
        """Settle what is done, each where it belongs, and ask one queue for tasks, in the same trip if it can be.

        Args:
            done: Jobs with their settlements.
            count: How many tasks to ask a queue for; 0 for none.
        """
        now = time.monotonic()
        made = Round()
        asked = self._asked(done, now)
        for queue, errand in self._errands.items():
            its = [job for job in done if job.queue is queue]
            wanted = count(errand.trips) if errand is asked else 0
            if not its and not wanted and not (errand.is_owed_an_answer and self._stopping.is_set()):
                continue
            if not errand.trips.outage.may_try(now):
                made.left += its
                continue
            left, jobs = errand.go(its, wanted)
            made.went = True
            made.left += left
            made.jobs += jobs
            made.is_more_ready = made.is_more_ready or (wanted > 0 and errand.trips.door.is_open)
        return made

    def may_stand(self) -> bool:
        """Whether to stand at the door of the only queue: all is well with its Redis."""
        return all(not errand.trips.outage.until for errand in self._errands.values())

    def stand(self, count: Callable[[Trips], int], wait: Wait) -> Round:
        """Stand at the door of the only queue until it opens, for a few seconds, or until the wait is ended."""
        (errand,) = self._errands.values()
        left, jobs = errand.stand(count(errand.trips), wait)
        return Round(went=True, left=left, jobs=jobs, is_more_ready=errand.trips.door.is_open)

    def _asked(self, done: Sequence[Job], now: float) -> Errand | None:
        """Which queue to ask for tasks: of those that may have some, else the one where something is settled."""
        if self._stopping.is_set():
            return None
        errands = [errand for errand in self._errands.values() if _may_have_tasks(errand, now)] or [
            self._errands[job.queue] for job in done[-1:]
        ]
        return self._rota.next(errands)

    def is_needed(self) -> bool:
        """Whether a queue may have tasks."""
        now = time.monotonic()
        return any(_may_have_tasks(errand, now) for errand in self._errands.values())

    def pause_seconds(self) -> float:
        """How long to wait at most where nothing calls before: where Redis is away, until it is time to try again."""
        now = time.monotonic()
        outages = [errand.trips.outage for errand in self._errands.values()]
        pause = min((one.until - now for one in outages if one.lasts(now)), default=_LOOK_AROUND_SECONDS)
        if any(one.until for one in outages):  # somebody may be trying, and find that it is over
            pause = min(pause, _OUTAGE_SECONDS)
        return pause


def _may_have_tasks(errand: Errand, now: float) -> bool:
    return errand.trips.door.is_open and not errand.trips.outage.lasts(now)
