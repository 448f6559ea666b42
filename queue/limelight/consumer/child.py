"""A worker process: one worker in its main thread, told what to do by its parent."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final

from limelight.closing import hand_back
from limelight.errors import ConfigurationError
from limelight.hooks import around_worker
from limelight.signals import Signals
from limelight.task_queue import RedisQueue

from .alarm import AlarmSlot
from .courier import Courier
from .errand import Errand
from .holdings import Holdings, Job
from .home import Home
from .plan import Plan
from .relay import Board, Line, Word, packed
from .remote_lounge import RemoteLounge
from .reporter import Reporter
from .seat import Seat
from .spare import Spare
from .trips import Trips
from .watchdog import Watchdog
from .workbench import Workbench
from .worker import Worker

log = logging.getLogger("limelight.consumer")

_FLUSH_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Brief:
    """What a worker process must know to begin.

    Attributes:
        homes: Its queues, and where they and their tasks are declared.
        plan: How the consumer works.
        owner: Who it is to Redis.
        worker: Its name.
        is_successor: Whether another had its place before: what that one asked for last may not be answered.
    """

    homes: tuple[Home, ...]
    plan: Plan
    owner: str
    worker: str
    is_successor: bool


def main(brief: Brief, connection: Connection, cells: Any) -> None:
    """Work until told to stop, worn out, or without a parent."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # these go to the whole group; the parent decides
    if brief.plan.prepare is not None:
        brief.plan.prepare()
    try:
        queues = [home.queue() for home in brief.homes]
    except ConfigurationError as error:
        log.error("%s cannot begin: %s", brief.worker, error)
        sys.exit(1)
    Child(brief, queues, Line(connection), Board(cells)).run()
    logging.shutdown()


class Child:
    """Everything in a worker process.

    Args:
        brief: What to do.
        queues: Whose tasks.
        line: To the parent.
        board: What the parent may read at any time.
    """

    def __init__(self, brief: Brief, queues: Sequence[RedisQueue], line: Line, board: Board) -> None:
        plan = brief.plan
        self._plan = plan
        self._line = line
        self._stopping, self._stopped = threading.Event(), threading.Event()
        self._reporters = [Reporter(queue.storage) for queue in queues]
        numbers = itertools.count(1)
        self._trips = [
            Trips(
                queue,
                reporter=reporter,
                on_scheduled=_teller(line, Word.SCHEDULED, at),
                lease_seconds=plan.lease_seconds,
                holdings=RelayedHoldings(line, at, numbers, queue.signals),
            )
            for at, (queue, reporter) in enumerate(zip(queues, self._reporters, strict=True))
        ]
        self._lounge = RemoteLounge(line, self._trips)
        self._spare = Spare()
        couriers = {trips.queue: Courier(trips, stopped=self._stopped) for trips in self._trips}
        self._watchdog = Watchdog(
            seats=lambda: [self._seat],
            spare=self._spare,
            couriers=couriers,
            lounge=self._lounge,
            stopping=self._stopping,
            stopped=self._stopped,
            replace=lambda _seat: None,
            check=lambda: None,
            check_seconds=plan.health_check_interval,
        )
        self._services = [self._watchdog.run, *(courier.run for courier in couriers.values())]
        self._seat = self._make_seat(brief, board)

    def _make_seat(self, brief: Brief, board: Board) -> Seat:
        errands = [
            Errand(
                trips,
                owner=brief.owner,
                worker=brief.worker,
                stopping=self._stopping,
                last_request=board.request(at) if brief.is_successor else 0,
                note_request=lambda number, at=at: board.note_request(at, number),  # type: ignore[misc]
            )
            for at, trips in enumerate(self._trips)
        ]
        weights = [self._plan.weights.get(trips.queue.name, 1) for trips in self._trips]
        seat = Seat(brief.worker, errands, weights, self._watchdog.expect)
        seat.bench, seat.slot = SharedBench(board), AlarmSlot(board)
        return seat

    def run(self) -> None:
        """Work in this thread, which must be the main one."""
        for run in (*self._services, self._listen):
            threading.Thread(target=run, daemon=True).start()
        with around_worker(trips.queue.hooks for trips in self._trips):
            self._line.say(Word.READY)
            self._work(self._plan.max_tasks)
            self._stopping.set()
            self._work(0)  # one that is worn out leaves what it has to whoever settles it: us
        self._stopped.set()
        for reporter in self._reporters:
            reporter.flush()

    def _work(self, max_tasks: int) -> None:
        Worker(
            self._seat,
            spare=self._spare,
            lounge=self._lounge,
            stopping=self._stopping,
            max_tasks=max_tasks,
        ).run()

    def _listen(self) -> None:
        """Do what the parent says; without a parent nobody renews our leases, so there is nothing to be saved."""
        try:
            while True:
                while not self._line.connection.poll(_FLUSH_SECONDS):
                    for reporter in self._reporters:
                        reporter.flush()
                word, rest = self._line.hear()
                if word is Word.STOP:
                    self._stopping.set()
                    self._lounge.close()
                    self._watchdog.expect(0.0)
                elif word is Word.GO:
                    self._lounge.go(rest[0])
        except (EOFError, OSError):
            os._exit(0)


def _teller(line: Line, word: Word, queue: int) -> Callable[[], None]:
    return lambda: line.say(word, queue)


class RelayedHoldings(Holdings):
    """Holdings that the parent knows of, because it renews them."""

    def __init__(self, line: Line, queue: int, numbers: Iterable[int], signals: Signals) -> None:
        super().__init__()
        self._line, self._queue, self._signals = line, queue, signals
        self._numbers = iter(numbers)

    def take(self, jobs: Iterable[Job]) -> None:
        """Number tasks in the order in which they will be begun, and tell the parent."""
        jobs = list(jobs)
        for job in jobs:
            job.number = next(self._numbers)
        super().take(jobs)
        if jobs:
            items = [packed(job.number, job.handed, whole=bool(self._signals)) for job in jobs]
            self._line.say(Word.TOOK, self._queue, items)

    def drop(self, jobs: Iterable[Job]) -> None:
        """Forget tasks, and tell the parent."""
        jobs = list(jobs)
        super().drop(jobs)
        if jobs:
            self._line.say(Word.DROPPED, self._queue, [job.number for job in jobs])

    def drop_all_of(self, worker: str) -> None:
        """Forget what the worker has, and tell the parent."""
        self.drop([job for job in self.all() if job.worker == worker])


class SharedBench(Workbench):
    """A bench whose current task the parent can see, and from which it may take what was not begun."""

    def __init__(self, board: Board) -> None:
        super().__init__()
        self._board = board

    def begin(self, job: Job, now: float) -> bool:
        """Begin a task that did not lie here; False if the parent took it away."""
        super().begin(job, now)
        if self._may_begin(job):
            return True
        super().next(job, begin=False)
        return False

    def next(self, done: Job | None = None, *, begin: bool = True) -> Job | None:
        """Lay down what is done and begin the next that is still here (if anything shall begin)."""
        job = super().next(done, begin=begin)
        while job is not None and not self._may_begin(job):
            job = super().next(job, begin=begin)
        return job

    def _may_begin(self, job: Job) -> bool:
        self._board.begin(job.number, time.monotonic())
        if not self._board.is_taken_away(job.number):
            return True
        hand_back([job])  # the parent did so; that ours is refused has us forget it
        return False
