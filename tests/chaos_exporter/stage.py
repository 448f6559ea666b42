"""All that takes part: Redis, consumers, a producer, two exporters of one group, Prometheus; and what strikes them."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from chaos.actors import COMMAND, TESTS, Actor
from exporters import Scraped, get
from servers import Prometheus, wait_until

from limelight.embedded import EmbeddedRedis, free_port
from limelight_exporter.config import DEFAULT_GROUP

from .plants import VARIABLE
from .reader import Gap, Reader
from .rollbacks import TimeMachine
from .target import QUEUE_NAME

EXPORTERS: Final = ("exporter a", "exporter b")
CONSUMERS: Final = ("consumer 1", "consumer 2")
LEASE_SECONDS: Final = 2.0
_STEP_SECONDS: Final = 0.02
_WHOLE: Final = ("--appendfsync", "no", "--auto-aof-rewrite-percentage", "0")
"""A kill of Redis loses nothing acknowledged (see chaos.stage), and its files can be copied as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How large a run is.

    Attributes:
        seed: Decides what strikes when.
        tasks: How many are enqueued.
        seconds: Over which time, at least.
        deadly: How many of them kill their worker.
        trims: How often the stream is trimmed on purpose.
        rollbacks: How often Redis goes back in time; exporters have state folders then.
    """

    seed: str
    tasks: int
    seconds: float
    deadly: int
    trims: int = 0
    rollbacks: int = 0


class Stage:
    """All that takes part, in one folder. A context manager; at its end nothing of it runs.

    Attributes:
        urls: Exporter → where it listens, for the whole run.
        gaps: What was trimmed on purpose.
        struck: Fault → how often.
        began: Unix time at which every counter stood at zero and was scraped.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.folder = plan, folder
        self.server = EmbeddedRedis(persist_dir=folder / "aof", options=_WHOLE)
        self._machine: TimeMachine | None = None
        self.actors: dict[str, Actor] = {}
        self.urls: dict[str, str] = {}
        self.gaps: list[Gap] = []
        self.struck: Counter[str] = Counter()
        self.began = 0.0
        self._chance = random.Random(plan.seed)
        self._due: dict[str, float] = {}
        self._open = contextlib.ExitStack()

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
    def _engage(self) -> None:
        self.ledger = self.folder / "counted.ledger"
        marks = self.folder / "marks"
        marks.mkdir()
        told = {"LIMELIGHT_REDIS_URL": self.server.url, "CHAOS_LEDGER": str(self.ledger)}
        told["CHAOS_MARKS"] = str(marks)
        app = "chaos_exporter.app:queue"
        options = ("--workers", "8", "--no-periodic", "--lease", str(LEASE_SECONDS), "--path", str(TESTS))
        for name in CONSUMERS:
            self._add(name, [*COMMAND, "consumer", app, *options], told)
        for name in EXPORTERS:
            self._add_exporter(name)
        words = (str(self.plan.tasks), str(self.plan.deadly), str(self.plan.seconds))
        self._add("producer", [sys.executable, "-m", "chaos_exporter.producer", *words], told)
        for name in (*CONSUMERS, *EXPORTERS):
            self.actors[name].start()
        self._watch()
        self.actors["producer"].start()
        self._machine = TimeMachine(
            self.server,
            self.folder / "aof",
            self.reader,
            [self.actors[name] for name in (*CONSUMERS, "producer")],
            self.urls,
            self._chance,
        )

    def _add_exporter(self, name: str) -> None:
        port = free_port()
        self.urls[name] = f"http://127.0.0.1:{port}"
        words = [
            "-m",
            "chaos_exporter.plants",
            "exporter",
            "--redis-url",
            self.server.url,
            "--port",
            str(port),
            *(("--state-dir", str(self.folder / f"state of {name}")) if self.plan.rollbacks else ()),
        ]
        self._add(name, [sys.executable, *words], {VARIABLE: os.environ.get(VARIABLE, "")})

    def _add(self, name: str, words: list[str], environment: dict[str, str]) -> None:
        environment = {**environment, "PYTHONPATH": f"{TESTS}:{TESTS / 'support'}"}
        self.actors[name] = Actor(name, words, environment, self.folder / f"{name.replace(' ', '-')}.log")

    def _watch(self) -> None:
        """Have Prometheus see every counter at zero first."""
        folder = self.folder / "prometheus"
        folder.mkdir()
        targets = [url.removeprefix("http://") for url in self.urls.values()]
        for url in self.urls.values():
            wait_until(lambda url=url: self._shows_zero(url), 40, f"counters at zero: {self.folder}")
        self.prometheus = self._open.enter_context(Prometheus(folder, targets))
        zero = "count(limelight_tasks_completed_total == 0) by (instance)"
        wait_until(lambda: len(self.prometheus.query(zero)) == len(targets), 20, "first samples")
        self.began = time.time()

    def _shows_zero(self, url: str) -> bool:
        with contextlib.suppress(OSError, AssertionError):
            labels = {"queue": QUEUE_NAME, "task": "deadly", "outcome": "success"}
            return Scraped(url).value("limelight_tasks_completed_total", **labels) == 0
        return False

    # -- What happens -----------------------------------------------------------------------------------
    def play(self, told: Callable[[str], None]) -> None:
        """Strike at random until the producer is done; returns when nothing is down any more.

        Args:
            told: Called with each fault as it strikes.
        """
        due = self._intentions()
        strikes = {
            self._kill_exporter: 6,
            self._kill_exporters: 2,
            self._restart_redis: 2,
            self._kill_consumer: 1,
        }
        at = time.monotonic() + 1
        while not self._producer_is_done():
            self._restart_who_is_due()
            if due and self._enqueued() >= due[0][0]:
                self._strike(due.pop(0)[1], told)
            elif time.monotonic() > at:
                (fault,) = self._chance.choices(list(strikes), weights=list(strikes.values()))
                self._strike(fault, told)
                at = time.monotonic() + self._chance.uniform(0.3, 2.5)
            time.sleep(_STEP_SECONDS)
        self.wait(lambda: all(self.actors[name].alive for name in (*CONSUMERS, *EXPORTERS)), 30)

    def _intentions(self) -> list[tuple[float, Callable[[], str]]]:
        """What is not left to chance: after how many tasks it comes, and what."""
        trims, rollbacks = self.plan.trims, self.plan.rollbacks
        due = [((n + 1) / (trims + 1), self._trim) for n in range(trims)]
        due += [((n + 0.5) / (rollbacks + 1), self._back_up) for n in range(rollbacks)]
        due += [((n + 1) / (rollbacks + 1), self._go_back) for n in range(rollbacks)]
        return sorted(((share * self.plan.tasks, what) for share, what in due), key=itemgetter(0))

    def wait(self, predicate: Callable[[], bool], seconds: float) -> bool:
        """Keep everybody running until it is true; False if time is up first."""
        until = time.monotonic() + seconds
        while not predicate():
            self._restart_who_is_due()
            if time.monotonic() > until:
                return False
            time.sleep(_STEP_SECONDS)
        return True

    @property
    def rollbacks(self) -> int:
        """How often Redis went back."""
        return self._machine.done if self._machine else 0

    def is_ready(self, name: str) -> bool:
        """Whether an exporter says so."""
        with contextlib.suppress(OSError):
            return get(f"{self.urls[name]}/-/ready")[0] == 200
        return False

    def is_current(self, name: str) -> bool:
        """Whether an exporter serves all that was told; a queue that Redis forgot must be announced first."""
        with contextlib.suppress(OSError, AssertionError):
            labels = {"queue": QUEUE_NAME}
            return Scraped(self.urls[name]).value("limelight_exporter_queue_current", **labels) == 1
        return False

    def log_problems(self) -> list[str]:
        """What exporters logged that must never happen, and what they did not serve in time."""
        late = self._machine.problems if self._machine else []
        return late + [
            f"{path.name}: {line.strip()}"
            for path in sorted(self.folder.glob("*.log"))
            for line in path.read_text(errors="replace").splitlines()
            if "unexpected error" in line or "a fault in the exporter" in line
        ]

    def _producer_is_done(self) -> bool:
        producer = self.actors["producer"]
        if producer.alive:
            return False
        assert producer.life.code == 0, f"the producer failed: {producer.log.read_text()}"
        return True

    def _enqueued(self) -> int:
        return sum(event.status == "enqueued" for event in list(self.reader.events))

    def _restart_who_is_due(self) -> None:
        now = time.monotonic()
        for name in (*CONSUMERS, *EXPORTERS):
            if not self.actors[name].alive and self._due.setdefault(name, now + 0.2) <= now:
                del self._due[name]
                self.actors[name].start()

    def _strike(self, fault: Callable[[], str], told: Callable[[str], None]) -> None:
        what = fault()
        self.struck[what] += 1
        told(what)

    # -- Faults -----------------------------------------------------------------------------------------
    def _kill(self, name: str) -> None:
        self.actors[name].kill()
        self._due.setdefault(name, time.monotonic() + self._chance.uniform(0.0, 2.0))

    def _kill_exporter(self) -> str:
        self._kill(self._chance.choice(EXPORTERS))
        return "kill an exporter"

    def _kill_exporters(self) -> str:
        for name in EXPORTERS:
            self._kill(name)
        return "kill both exporters"

    def _kill_consumer(self) -> str:
        self._kill(self._chance.choice(CONSUMERS))
        return "kill a consumer"

    def _restart_redis(self) -> str:
        self.server.kill()
        time.sleep(self._chance.uniform(0.0, 1.0))
        self.server.start()
        return "kill Redis, and start it again"

    def _have_exporters_ready(self) -> None:
        for name in EXPORTERS:
            self.actors[name].start()
            self._due.pop(name, None)
        for name in EXPORTERS:
            assert self.wait(lambda name=name: self.is_ready(name) and self.is_current(name), 30), (
                f"{name} is not ready"
            )

    def _back_up(self) -> str:
        assert self._machine is not None
        self._machine.back_up()
        return "back Redis up"

    def _go_back(self) -> str:
        """Take Redis back, and perhaps the exporters down at that very moment."""
        assert self._machine is not None
        self.actors["producer"].signal(
            signal.SIGSTOP
        )  # until all has gone back: or much is enqueued in between
        self._have_exporters_ready()
        victims = self._chance.choice(((), EXPORTERS[:1], EXPORTERS[1:], EXPORTERS))
        return self._machine.go_back([lambda name=name: self._kill(name) for name in victims])

    def _trim(self) -> str:
        """Stop both exporters in good order, let some events be told, and trim what they have not read."""
        self._have_exporters_ready()  # so that the last thing each does is to save what it served
        for name in EXPORTERS:
            self.actors[name].signal(signal.SIGTERM)
            self._due[name] = time.monotonic() + 1_000
        for name in EXPORTERS:
            assert self.wait(lambda name=name: not self.actors[name].alive, 20), f"{name} did not stop"
        before = len(self.reader.events)
        self.wait(lambda: len(self.reader.events) > before + 200 or not self.actors["producer"].alive, 20)
        self.gaps.append(self.reader.trim(self._chance.randint(3, 40), DEFAULT_GROUP))
        for name in EXPORTERS:
            self._due[name] = time.monotonic()
        return "trim the stream"
