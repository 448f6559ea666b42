"""One worker process as its parent sees it: what it holds, what it says, how it ended."""

from __future__ import annotations

import logging
import math
import multiprocessing
import signal
import time
from collections.abc import Sequence
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import Any, Final

from limelight import closing
from limelight.attempt import given_up
from limelight.errors import UnknownTask
from limelight.registry import Registered
from limelight.report import Stopwatch
from limelight.task import TaskOptions

from . import child
from .child import Brief
from .holdings import Job
from .lounge import Lounge
from .relay import Board, Line, Word, unpacked
from .station import Station

log = logging.getLogger("limelight.consumer")

KILLED_AFTER_SECONDS: Final = 5.0
"""How long a task may resist the signal that its time is over before its process is killed."""

TAKEN_AFTER_SECONDS: Final = 0.06
"""How long tasks may wait in a process that cannot give them away itself, because C code holds its interpreter."""

_SEEN_SECONDS: Final = 0.005


def context() -> ForkServerContext | SpawnContext:
    """How processes are started: never by forking ours, whose threads and connections they would inherit."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("forkserver")
    return multiprocessing.get_context("spawn")


class Warden:
    """Starts a worker process, renews what it holds, and accounts for it when it dies. Its owner's thread only.

    Attributes:
        process: The process as it is now.
        line: To it.
        is_ready: It was set up and began to work.

    Args:
        brief: What the process is told.
        stations: Its queues, in the order of the brief.
        lounge: Where it is counted as idle.
        cells: Shared memory for its board.
    """

    def __init__(
        self, brief: Brief, stations: Sequence[Station], lounge: Lounge, cells: Any, how: Any
    ) -> None:
        self.brief = brief
        self.is_ready = False
        self._stations = stations
        self._lounge = lounge
        self._how = how
        self._cells = cells
        self._board = Board(cells)
        self._jobs: dict[int, tuple[Station, Job]] = {}
        self._late: Job | None = None
        self._was_ended = False
        self._took_at = 0.0
        self._taking: tuple[float, int] | None = None
        self._taken: list[Job] = []

    def start(self) -> None:
        """Start the process."""
        self._board.clear()
        ours, theirs = self._how.Pipe()
        self.line = Line(ours)
        self.process = self._how.Process(
            target=child.main, args=(self.brief, theirs, self._cells), name=self.brief.worker
        )
        self.process.start()
        theirs.close()

    # -- While it lives ---------------------------------------------------------------------------------
    def listen(self) -> None:
        """Take in all that it has said; of one that is dead, what it said last."""
        try:
            while self.line.connection.poll():
                self._take_in(*self.line.hear())
        except (EOFError, OSError):
            return  # it is dead or dying, which is noticed elsewhere

    def _take_in(self, word: Word, rest: list[Any]) -> None:
        match word, rest:
            case Word.TOOK, [at, items]:
                self._note_taken(self._stations[at], items)
            case Word.DROPPED, [at, numbers]:
                gone = [self._jobs.pop(number)[1] for number in numbers if number in self._jobs]
                self._stations[at].trips.holdings.drop(gone)
            case Word.IDLE, []:
                if not self._lounge.enter(self.go, self._is_needed):
                    self.go()
            case Word.BUSY, []:
                self._lounge.leave(self.go)
            case Word.MORE, [at]:
                self._pass_on([at])
            case Word.PASS, [queues]:
                self._pass_on(queues)
            case Word.SCHEDULED, [at]:
                self._stations[at].nudge_scheduler()
            case Word.READY, []:
                self.is_ready = True

    def _note_taken(self, station: Station, items: Sequence[Any]) -> None:
        self._took_at = time.monotonic()
        good_until = self._took_at + station.trips.lease_seconds
        jobs = []
        for number, handed in map(unpacked, items):
            try:
                registered = station.queue.registry[handed.name]
            except UnknownTask:  # declared while the child ran
                registered = Registered(TaskOptions(name=handed.name), child.main)
            job = Job(station.queue, handed, registered, self.brief.worker, good_until, number=number)
            self._jobs[number] = station, job
            jobs.append(job)
        station.trips.holdings.take(jobs)

    def _is_needed(self) -> bool:
        return any(station.trips.door.is_open for station in self._stations)

    def _pass_on(self, queues: Sequence[int]) -> None:
        for at in queues:
            self._stations[at].trips.door.ring()
        self._lounge.call()

    def go(self) -> None:
        """Have it look whether something is ready; what rang until now is its to answer. Any thread may."""
        doors = [station.trips.door for station in self._stations]
        rung = [at for at, door in enumerate(doors) if door.is_open]
        for at in rung:
            doors[at].shut(doors[at].last_ring())
        try:
            self.line.say(Word.GO, rung)
        except OSError:  # dead: the next one that is idle finds the doors open
            for at in rung:
                doors[at].ring()

    def look(self, now: float) -> None:
        """Note what it has begun, and kill it if its task's time was over long ago."""
        begun, since = self._board.begun, self._board.since
        for number, (_, job) in list(self._jobs.items()):
            if number <= begun and job.watch is None:
                job.watch = Stopwatch(time.time_ns() - round((now - since) * 1e9), since)
        if self._late is None and now >= self._board.deadline + KILLED_AFTER_SECONDS:
            _, self._late = self._jobs.get(begun, (None, None))
            log.error("%s does not stop its task, whose time is over: it is killed", self.brief.worker)
            self.process.kill()

    def relieve(self, now: float) -> float:
        """Take away what waits behind a task that lets no other thread of its process run, and hand it back.

        Returns:
            Monotonic seconds when to look again; infinity while nothing waits.
        """
        waiting = [number for number in self._jobs if number > self._board.begun]
        if self._taking is not None:
            seen_at, up_to = self._taking
            if now < seen_at:
                return seen_at
            self._taking = None
            self._hand_back([number for number in waiting if number <= up_to])
        elif waiting:
            due = max(self._board.since, self._took_at) + TAKEN_AFTER_SECONDS
            if now < due:
                return due
            self._taking = now + _SEEN_SECONDS, max(waiting)
            self._board.take_away(min(waiting) - 1, max(waiting))
            return now + _SEEN_SECONDS
        return math.inf

    def _hand_back(self, numbers: Sequence[int]) -> None:
        held = self._held()
        self._taken = [job for job in self._taken if job in held]
        for number in numbers:
            station, job = self._jobs.pop(number)
            closing.hand_back([job])
            self._taken.append(job)
            station.courier.take([job])

    def stop(self) -> None:
        """Have it begin nothing new, settle what is done, and end."""
        try:
            self.line.say(Word.STOP)
        except OSError:
            log.debug("%s is gone already", self.brief.worker)

    def end(self) -> None:
        """Kill it because the consumer stops; what it ran is interrupted, not lost."""
        self._was_ended = True
        self.process.kill()

    # -- When it is dead --------------------------------------------------------------------------------
    def account(self) -> None:
        """It is dead: close what it ran as lost, and hand back what it had not begun."""
        self.listen()
        self._lounge.leave(self.go)
        self.process.join()
        self.line.connection.close()
        if self._was_ended:
            return
        begun = self._board.begun
        lost = 0
        for number, (station, job) in self._jobs.items():
            if job is self._late:
                job.settlement = given_up(job, "It did not stop, so its process was killed.")
                station.courier.take([job])
            elif number <= begun:
                lost += 1
                station.courier.take_lost(job, self._cause())
            else:
                closing.hand_back([job])
                station.courier.take([job])
        if self.process.exitcode or self._jobs:
            log.error(
                "%s %s: %d tasks lost, %d handed back",
                *(self.brief.worker, self._cause(), lost, len(self._jobs) - lost),
            )

    def _cause(self) -> str:
        code = self.process.exitcode or 0
        if code >= 0:
            return f"its process exited with code {code}"
        try:
            return f"its process was killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"its process was killed by signal {-code}"

    @property
    def is_accounted_for(self) -> bool:
        """Whether Redis has taken in all that became of what it held."""
        held = self._held()
        return held.isdisjoint(self._taken) and held.isdisjoint(job for _, job in self._jobs.values())

    def _held(self) -> set[Job]:
        return {job for station in self._stations for job in station.trips.holdings.all()}

    def successor(self) -> Warden:
        """Who takes its place; what it asked for last, and perhaps never heard of, is asked for again."""
        brief = Brief(
            self.brief.homes, self.brief.plan, self.brief.owner, self.brief.worker, is_successor=True
        )
        return Warden(brief, self._stations, self._lounge, self._cells, self._how)
