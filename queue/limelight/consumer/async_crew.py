"""One event loop that runs many tasks at once, and the thread that fetches and settles them."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from limelight import closing, events
from limelight.attempt import attempt_async
from limelight.hooks import around_worker

from .errand import Errand
from .hands import Hands
from .holdings import Job
from .lounge import Lounge
from .pace import MOST
from .plan import Plan
from .rota import Rota
from .rounds import Rounds
from .seat import Seat
from .spare import Spare
from .stage import AsyncStage
from .station import Station
from .threads import ABANDONED_LIMIT, Threads
from .watchdog import Watchdog

log = logging.getLogger("limelight.consumer")

_NAME: Final = "loop"
_END_SECONDS: Final = 2.0


class AsyncCrew:
    """Runs `async def` tasks in one event loop, plain functions in threads beside it.

    Attributes:
        owners: Who fetches the tasks, to Redis: one.
        abandoned: How many tasks would not stop when their time was over.

    Args:
        stations: The queues.
        plan: How to work.
        consumer: Id of the consumer.
        lounge: Where it is counted as idle while it could run more.
        stopping: Set when nothing new may begin.
        stopped: Set when nothing runs any more.
        exhausted: Called when so many tasks are stuck that the process had better be replaced.
    """

    def __init__(
        self,
        stations: Sequence[Station],
        plan: Plan,
        *,
        consumer: str,
        lounge: Lounge,
        stopping: threading.Event,
        stopped: threading.Event,
        exhausted: Callable[[], None],
    ) -> None:
        self.owners = [f"{consumer}:1"]
        self.abandoned = 0
        self._stations = stations
        self._slots = plan.workers
        self._lounge = lounge
        self._stopping = stopping
        self._exhausted = exhausted
        errands = [
            Errand(one.trips, owner=self.owners[0], worker=_NAME, stopping=stopping) for one in stations
        ]
        weights = {errand: plan.weights.get(errand.trips.queue.name, 1) for errand in errands}
        self._where = errands[0].where
        self._rounds = Rounds({one.trips.queue: one for one in errands}, Rota(weights), stopping)
        self._watchdog = Watchdog(
            seats=lambda: self._hands.seats(),  # noqa: PLW0108 - made below
            spare=Spare(),
            couriers={station.queue: station.courier for station in stations},
            lounge=lounge,
            stopping=stopping,
            stopped=stopped,
            replace=self._give_up,
            check=self._check,
            check_seconds=plan.health_check_interval,
        )
        self._hooks = [station.queue.hooks for station in stations]
        self._hands = Hands(self._hooks, self._watchdog.expect, self._finish, self._forget)
        self._stage = AsyncStage(self._count_stuck)
        self._loop = asyncio.new_event_loop()
        self._threads = Threads()
        self._awaited: set[asyncio.Task[None]] = set()
        self._running: set[Job] = set()
        self._done: list[Job] = []
        self._lock = threading.Lock()
        self._woken = threading.Event()

    def start(self) -> None:
        """Start the loop, and the thread that fetches for it."""
        self._threads.start(_NAME, self._run_loop)
        self._threads.start("watchdog", self._watchdog.run)
        self._threads.start("porter", self._run)

    def look(self) -> None:
        """Note what is begun by now: that is done where it begins."""

    def wake(self) -> None:
        """Have everybody look at once: the consumer stops."""
        self._watchdog.expect(0.0)
        self._woken.set()

    def join(self, until: float, given_up: threading.Event) -> None:
        """Wait for the tasks to end and to be settled, until then (monotonic seconds) or until it is given up."""
        while not given_up.is_set() and (left := until - time.monotonic()) > 0:
            if self._threads.join("porter", min(0.1, left)):
                return

    def end(self) -> None:
        """Cancel what still runs, end the loop, and wait a moment for the user's hooks of workers."""
        self._watchdog.expect(0.0)
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop)
        self._hands.end(_END_SECONDS)
        self._threads.join(_NAME, _END_SECONDS)

    async def _shut(self) -> None:
        self._stage.is_ending = True
        for task in self._awaited:
            task.cancel()
        if self._awaited:
            await asyncio.wait(set(self._awaited), timeout=1.0)
        self._loop.stop()

    # -- The porter's thread ----------------------------------------------------------------------------
    def _run(self) -> None:
        while not self._is_over():
            try:
                self._turn()
            except Exception as error:
                log.exception("%s: unexpected error", _NAME)
                self._stations[0].trips.tell_error(events.EVENT_ERROR_INTERNAL, error, self._where)
                self._stopping.wait(1.0)

    def _is_over(self) -> bool:
        return (
            self._stopping.is_set()
            and not self._running
            and not self._done
            and not self._rounds.is_owed_an_answer
        )

    def _turn(self) -> None:
        self._woken.clear()
        with self._lock:
            done, self._done = self._done, []
            free = self._slots - len(self._running)
        try:
            made = self._rounds.make(done, lambda _trips: min(free, MOST))
        except Exception:
            for job in done:
                self._forget(job)
            raise
        with self._lock:
            self._done[:0] = made.left
            self._running.update(made.jobs)
        if made.jobs:
            self._loop.call_soon_threadsafe(self._begin, made.jobs)
        if not made.went:
            self._wait(free)

    def _wait(self, free: int) -> None:
        """Wait until something is done, or until called if there is room for more."""
        pause = self._rounds.pause_seconds()
        if free > 0 and not self._stopping.is_set():
            if not self._lounge.enter(self._woken.set, self._is_needed):
                return
            self._woken.wait(pause)
            self._lounge.leave(self._woken.set)
        else:
            self._woken.wait(min(pause, 0.2) if self._stopping.is_set() else pause)

    def _is_needed(self) -> bool:
        return self._rounds.is_needed() or self._stopping.is_set()

    # -- The loop's thread ------------------------------------------------------------------------------
    def _run_loop(self) -> None:
        with around_worker(self._hooks):
            self._loop.run_forever()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _begin(self, jobs: Sequence[Job]) -> None:
        now = time.monotonic()
        for job in jobs:
            if self._stopping.is_set() or now >= job.good_until:
                closing.hand_back([job])
                self._finish(job)
            elif _is_async(job):
                task = self._loop.create_task(self._await(job))
                self._awaited.add(task)
                task.add_done_callback(self._awaited.discard)
            else:
                self._hands.run(job)

    async def _await(self, job: Job) -> None:
        try:
            settlement = await attempt_async(job, self._stage.run)
        except Exception:
            log.exception("%s: unexpected error", _NAME)
            self._forget(job)
            return
        job.settlement = job.settlement or settlement  # handed back meanwhile, if the consumer stopped
        self._finish(job)

    # -- Any thread -------------------------------------------------------------------------------------
    def _finish(self, job: Job) -> None:
        with self._lock:
            self._running.discard(job)
            self._done.append(job)
        self._woken.set()

    def _forget(self, job: Job) -> None:
        """A fault of ours: the job is renewed no more, so it comes back."""
        for station in self._stations:
            station.trips.holdings.drop([job])
        with self._lock:
            self._running.discard(job)
        self._woken.set()

    def _give_up(self, stuck: Seat) -> None:
        """A thread is stuck in a plain function; its run was closed by the watchdog."""
        self._hands.leave(stuck)
        with self._lock:
            if stuck.bench.current is not None:
                self._running.discard(stuck.bench.current)
        self._woken.set()
        self._count_stuck()

    def _count_stuck(self) -> None:
        self.abandoned += 1
        if self.abandoned == ABANDONED_LIMIT:
            log.error("%d tasks would not stop: this process gives up", self.abandoned)
            self._exhausted()

    def _check(self) -> None:
        """Replace threads that died."""
        self._threads.check()
        for station in self._stations:
            station.check()


def _is_async(job: Job) -> bool:
    func = job.registered.func
    return inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(type(func).__call__)
