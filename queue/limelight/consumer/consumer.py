"""A consumer: the workers of one or several queues, and all that is done for those queues, as one object."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from limelight.task_queue import RedisQueue

from .async_crew import AsyncCrew
from .crew import Crew
from .fleet import Fleet
from .lounge import Lounge
from .plan import Plan
from .station import Station

_PLACES_AT_DOOR: Final = 2
"""Who gets work leaves it to the other, and nobody has to be woken in between."""


class Consumer:
    """Runs the tasks of one or several queues.

    Attributes:
        id: New at every start; the same for each of its queues.
        wants_to_stop: Set when it cannot go on well, and had better be stopped and replaced by its supervisor.

    Args:
        queues: Whose tasks, a queue or several; tasks must be declared (imported) before `start`.
        workers: How many tasks run at once.
        kind: What runs them: ``thread``; ``process``, whose queues must be variables of a module; or ``async``,
            one event loop, with threads for tasks that are plain functions.
        weights: Of queues by name: how often each is asked compared with the others; 1 where none is given.
        lease_seconds: A worker that is not heard of for this long is given up, and its tasks run elsewhere.
        shutdown_timeout: Seconds that `stop` waits for running tasks before it hands them back.
        scheduler_interval: Longest time in seconds between two looks at the schedule.
        periodic: Whether periodic tasks are enqueued from here.
        max_tasks: After so many tasks a worker is replaced; 0: never.
        health_check_interval: Seconds between two looks whether a thread of ours died.
        prepare: Called first in each worker process, to set up its logging, say; it must be picklable.
    """

    def __init__(
        self,
        queues: RedisQueue | Sequence[RedisQueue],
        *,
        workers: int = 1,
        kind: str = "thread",
        weights: Mapping[str, int] | None = None,
        lease_seconds: float = 30.0,
        shutdown_timeout: float = 25.0,
        scheduler_interval: float = 1.0,
        periodic: bool = True,
        max_tasks: int = 0,
        health_check_interval: float = 10.0,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self.queues = [queues] if isinstance(queues, RedisQueue) else list(queues)
        self.plan = Plan(
            workers=workers,
            kind=kind,
            weights=dict(weights or {}),
            lease_seconds=lease_seconds,
            shutdown_timeout=shutdown_timeout,
            scheduler_interval=scheduler_interval,
            periodic=periodic,
            max_tasks=max_tasks,
            health_check_interval=health_check_interval,
            prepare=prepare,
        )
        self.plan.check(self.queues)
        self.id = ""
        self.wants_to_stop = threading.Event()
        self._stopping, self._stopped = threading.Event(), threading.Event()
        self._impatient = threading.Event()
        self._lounge = Lounge(_PLACES_AT_DOOR if kind == "thread" and len(self.queues) == 1 else 0)
        self._stations: list[Station] = []

    def start(self) -> None:
        """Begin to work. Redis may be away: everything waits for it and says so."""
        # Of this start: two consumers in one process, or two processes after a fork, never share it.
        self.id = uuid.uuid4().hex
        self._stations = [
            Station(
                queue,
                self.plan,
                consumer=self.id,
                lounge=self._lounge,
                stopping=self._stopping,
                stopped=self._stopped,
                look=self._look,
                abandoned=lambda: self.abandoned,
            )
            for queue in self.queues
        ]
        self._team = self._make_team()
        for station in self._stations:
            station.start()
        self._team.start()

    def _make_team(self) -> Crew | Fleet | AsyncCrew:
        if self.plan.kind == "process":
            return Fleet(
                self._stations,
                self.plan,
                consumer=self.id,
                lounge=self._lounge,
                stopping=self._stopping,
                exhausted=self.wants_to_stop.set,
            )
        made = AsyncCrew if self.plan.kind == "async" else Crew
        return made(
            self._stations,
            self.plan,
            consumer=self.id,
            lounge=self._lounge,
            stopping=self._stopping,
            stopped=self._stopped,
            exhausted=self.wants_to_stop.set,
        )

    def _look(self) -> None:
        self._team.look()

    @property
    def running(self) -> int:
        """How many tasks were begun and are not settled yet."""
        self._look()
        jobs = [job for station in self._stations for job in station.trips.holdings.all()]
        return sum(job.watch is not None for job in jobs)

    @property
    def abandoned(self) -> int:
        """How many threads are stuck in tasks that would not stop when their time was over."""
        return self._team.abandoned

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
        self._lounge.close()
        self._team.wake()
        deadline = time.monotonic() + self.plan.shutdown_timeout
        for station in self._stations:
            station.end_waits()
        self._team.join(deadline, self._impatient)
        left = sum(station.hand_back() for station in self._stations)
        self._stopped.set()
        self._team.end()
        for station in self._stations:
            station.leave(self._team.owners)
        return not left

    def hand_back_now(self) -> None:
        """Have a `stop`, also one that waits already in another thread, wait no longer."""
        self._impatient.set()
