"""Everything that takes part in a run: Redis, lines, consumers, producers, an exporter; and what strikes them."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import redis
from exporters import get
from proxy import FaultyProxy

from limelight.embedded import EmbeddedRedis, find_binary, free_port
from limelight.keys import QueueKeys
from limelight_exporter.config import DEFAULT_GROUP

from .actors import COMMAND, TESTS, Actor, signaled
from .clock import MovableClock, faketime_library
from .evidence import Disturbance
from .faults import FAULTS
from .ledger import PROCESSES, Ledger, facts
from .reader import Reader
from .schedule import LEASE_SECONDS, Strike, sort_of
from .scraper import Scraper
from .target import QUEUE_NAME

WORKERS: Final = 4
_STEP_SECONDS: Final = 0.03
_READY_SECONDS: Final = 30.0
_ORPHAN_SECONDS: Final = 10.0
CREWS: Final[Mapping[str, Sequence[str]]] = {
    "thread": ("--max-tasks", "200"),
    "process": ("--max-tasks", "100"),
    "async": (),
}
"""What runs the tasks of the first consumer, of the second and so on: kind → further options."""
REDIS_OPTIONS: Final = (
    # Writes before it answers, so that a kill -9 loses nothing acknowledged: the kernel has it. With `everysec` Redis
    # answers without writing while its fsync thread is busy, and what it answered so is lost by a kill.
    *("--appendfsync", "no"),
    # Rewrites its file now and then, so that a kill may fall into that.
    *("--auto-aof-rewrite-min-size", "4mb"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How large a run is.

    Attributes:
        seed: Decides tasks and faults.
        tasks: How many are enqueued, without their children.
        seconds: For how long faults strike, and over which time the tasks are spread.
        consumers, producers: How many processes of each.
    """

    seed: str
    tasks: int
    seconds: float
    consumers: int = 3
    producers: int = 3


class Stage:
    """All that takes part, in one folder. A context manager; at its end nothing of it runs.

    Attributes:
        server: Redis, on one port for the whole run.
        clock: Its clock.
        lines: Actor → the proxy between it and Redis.
        actors: By name.
        reader: Follows the stream from before the first event.
        scraper: Scrapes the exporter.
        disturbances: What struck.
        problems: What went wrong on the way.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.folder = folder
        self.clock = MovableClock(folder, faketime_library())
        self.server = EmbeddedRedis(
            binary=self.clock.server(find_binary()), persist_dir=folder / "aof", options=REDIS_OPTIONS
        )
        self.lines: dict[str, FaultyProxy] = {}
        self.actors: dict[str, Actor] = {}
        self.disturbances: list[Disturbance] = []
        self.problems: list[str] = []
        self._active: list[tuple[Strike, float, Iterator[None]]] = []
        self._finished: set[str] = set()
        self._fleets: list[str] = []
        self._open = contextlib.ExitStack()
        self._ledger = Ledger(folder / "stage.ledger")

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            self.server.start()
            self.reader = Reader(self.server.url, QUEUE_NAME)
            self.reader.start()
            self._engage()
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End everything, whatever state it is in."""
        for actor in self.actors.values():
            actor.kill()
        self._open.close()
        self.server.kill()

    # -- Who takes part ---------------------------------------------------------------------------------
    @property
    def targets(self) -> list[str]:
        """All that can be struck."""
        lines = [f"{name} line" for name in self.lines]
        workers = [f"{name} worker" for name in self._fleets]
        clock = ["clock"] if self.clock.movable else []
        return [*self.actors, *lines, *workers, "redis", *clock]

    @property
    def keys(self) -> QueueKeys:
        """The queue's keys."""
        return QueueKeys(QUEUE_NAME)

    def ledgers(self) -> list[Path]:
        """The files of truth."""
        return sorted(self.folder.glob("*.ledger"))

    def of(self, sort: str) -> list[Actor]:
        """The actors of a sort."""
        return [actor for name, actor in self.actors.items() if sort_of(name) == sort]

    def workers_of(self, consumer: str) -> list[int]:
        """The pids of the processes beside its own that a consumer has now, the youngest last."""
        session = self.actors[consumer].life.pid
        return [pid for pid in self._processes({session}) if pid != session]

    def _processes(self, sessions: set[int]) -> list[int]:
        """All that ran tasks for the actors with these pids, and are there still."""
        noted = facts(self.folder / PROCESSES)
        return [
            fact["pid"]
            for fact in noted
            if fact["session"] in sessions and session_of(fact["pid"]) == fact["session"]
        ]

    def _engage(self) -> None:
        port = free_port()
        self.scraper = Scraper(f"http://127.0.0.1:{port}")
        words = ["exporter", "--redis-url", self.server.url, "--port", str(port)]
        self._add("exporter", [*COMMAND, *words], {})
        for number, crew in zip(range(1, self.plan.consumers + 1), itertools.cycle(CREWS), strict=False):
            self._add_consumer(f"consumer {number}", self._line(f"consumer {number}"), crew=crew)
        for actor in self.actors.values():
            actor.start()
        self._wait_for_the_exporter()
        for number in range(1, self.plan.producers + 1):
            self._add_producer(f"producer {number}", number, time.time() + 0.5)
        for actor in self.of("producer"):
            actor.start()
        self.scraper.start()

    def _wait_for_the_exporter(self) -> None:
        """Who has never saved a position has no claim to what other readers have passed."""
        with redis.Redis.from_url(self.server.url) as client:
            known = self.wait(lambda: bool(client.hexists(self.keys.cursors, DEFAULT_GROUP)), _READY_SECONDS)
        assert known, f"the exporter did not begin to read: {self.folder}"

    def _line(self, name: str) -> str:
        line = self._open.enter_context(FaultyProxy(self.server.port))
        self.lines[name] = line
        return line.url

    def _add_consumer(
        self,
        name: str,
        url: str,
        app: str = "chaos.app:queue",
        crew: str = "thread",
        more: Sequence[str] = (),
    ) -> None:
        options = (*more, "--workers", str(WORKERS), "--lease", str(LEASE_SECONDS), "--shutdown-timeout", "1")
        words = [*COMMAND, "consumer", app, "--path", str(TESTS), *options, "-k", crew, *CREWS[crew]]
        if crew == "process":
            self._fleets.append(name)
        self._add(
            name, words, {"LIMELIGHT_REDIS_URL": url, "CHAOS_LEDGER": str(self.folder / "consumers.ledger")}
        )

    def _add_producer(self, name: str, number: int, begin: float) -> None:
        share = self.plan.tasks // self.plan.producers + (number <= self.plan.tasks % self.plan.producers)
        when = (str(share), str(begin), str(self.plan.seconds), self.plan.seed)
        ledger = self.folder / f"{name.replace(' ', '-')}.ledger"
        environment = {"LIMELIGHT_REDIS_URL": self._line(name), "CHAOS_LEDGER": str(ledger)}
        self._add(name, [sys.executable, "-m", "chaos.producer", str(number), *when], environment)

    def _add(self, name: str, words: list[str], environment: dict[str, str]) -> None:
        log = self.folder / f"{name.replace(' ', '-')}.log"
        self.actors[name] = Actor(name, words, environment, log)

    # -- What happens -----------------------------------------------------------------------------------
    def restart(self, actor: Actor) -> None:
        """Start an actor again, unless it has done all that it had to do."""
        if actor.name not in self._finished:
            actor.start()

    def strike(self, worker: int, number: int, say: str) -> None:
        """Send a signal to a worker process, and note it: what it has may be lost."""
        if signaled(worker, number):
            self._ledger.note(say=say, pid=worker)

    def play(self, strikes: list[Strike], told: Callable[[Strike], None]) -> None:
        """Let faults strike in their time; returns when the last is over.

        Args:
            strikes: By time.
            told: Called with each as it strikes.
        """
        began, waiting = time.monotonic(), list(strikes)
        while waiting or self._active:
            now = time.monotonic() - began
            busy = {strike.target for strike, _, _ in self._active}
            for strike in [one for one in waiting if one.at <= now and one.target not in busy]:
                if strike.target not in busy:
                    busy.add(strike.target)
                    waiting.remove(strike)
                    told(strike)
                    self._active.append(
                        (strike, time.time(), FAULTS[sort_of(strike.target)][strike.fault](self, strike))
                    )
            self.step()

    def step(self) -> None:
        """Go on with every fault, and see who has ended."""
        for active in list(self._active):
            strike, since, fault = active
            try:
                next(fault)
            except StopIteration:
                self._active.remove(active)
                self.disturbances.append(Disturbance(strike.target, strike.fault, since, time.time()))
        struck = {strike.target for strike, _, _ in self._active}
        for name, actor in self.actors.items():
            if name not in struck and name not in self._finished and not actor.alive:
                self._ended(actor)
        time.sleep(_STEP_SECONDS)

    def _ended(self, actor: Actor) -> None:
        """Somebody ended who was not struck: a producer is done, or was killed by what it ran, or it is a fault."""
        if sort_of(actor.name) == "producer" and actor.life.code == 0:
            self._finished.add(actor.name)
            return
        since = time.time()
        actor.start()
        self.disturbances.append(Disturbance(actor.name, "ended by itself", actor.lives[-2].ended, since))

    def wait(self, predicate: Callable[[], bool], seconds: float) -> bool:
        """Go on until it is true; False if time is up first."""
        until = time.monotonic() + seconds
        while not predicate():
            if time.monotonic() > until:
                return False
            self.step()
        return True

    # -- The end ----------------------------------------------------------------------------------------
    @property
    def producers_are_done(self) -> bool:
        """Whether every producer has enqueued its share."""
        return all(actor.name in self._finished for actor in self.of("producer"))

    def retire(self, actor: Actor, seconds: float) -> None:
        """Tell an actor to stop, wait for it and leave it so."""
        self._finished.add(actor.name)
        actor.signal(signal.SIGTERM)
        if not self.wait(lambda: not actor.alive, seconds):
            self.problems.append(f"{actor.name} had not stopped {seconds:.0f} s after SIGTERM, undisturbed")
            actor.kill()

    def see_orphans(self) -> None:
        """Nobody runs tasks any more when all consumers have stopped, however they did; who does is a problem."""
        sessions = {life.pid for actor in self.of("consumer") for life in actor.lives}
        if not self.wait(lambda: not self._processes(sessions), _ORPHAN_SECONDS):
            left = self._processes(sessions)
            self.problems.append(f"worker processes outlived their consumers: {left}")
            for pid in left:
                signaled(pid, signal.SIGKILL)

    def add_sweeper(self) -> Actor:
        """One more consumer, straight at Redis, that enqueues no periodic tasks."""
        self._add_consumer("sweeper", self.server.url, more=("--no-periodic",))
        self.actors["sweeper"].start()
        return self.actors["sweeper"]

    def add_caretaker(self) -> Actor:
        """One more consumer, straight at Redis, to tidy up when all others have stopped."""
        self._add_consumer("caretaker", self.server.url, "chaos.caretaker:queue")
        self.actors["caretaker"].start()
        return self.actors["caretaker"]

    def exporter_is_ready(self) -> bool:
        """Whether the exporter says so."""
        with contextlib.suppress(OSError):
            return get(f"{self.scraper.url}/-/ready")[0] == 200
        return False

    def log_problems(self) -> list[str]:
        """What processes logged that must never happen: a fault of ours, not of what struck them."""
        return [
            f"{path.name}: {line.strip()}"
            for path in sorted(self.folder.glob("*.log"))
            for line in path.read_text(errors="replace").splitlines()
            if "unexpected error" in line or "a fault in the exporter" in line
        ]


def session_of(pid: int) -> int | None:
    """The session that a process belongs to; None if there is no such process."""
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None
