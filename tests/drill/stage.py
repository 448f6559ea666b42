"""All that takes part: three Redis with exporters, consumers, a collector, Prometheus, Alertmanager."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import redis
from chaos.actors import COMMAND, TESTS, Actor
from chaos.clock import faketime_library
from exporters import get
from otlp import OtlpReceiver
from servers import Prometheus, wait_until

from limelight.embedded import EmbeddedRedis, free_port

from .alertmanager import Alertmanager
from .queues import MOST_NAMES, Queues
from .rules import configuration, write_targets

LEASE_SECONDS: Final = 6.0
SHARED: Final = ("failing", "retries", "poison", "paused", "periodic", "mended")
"""Queues that one healthy consumer serves."""
_READY_SECONDS: Final = 60.0


class Site:
    """One Redis, its exporters and its consumers: one scrape job.

    Args:
        job: Name of the job.
        folder: For its logs.
        exporters: Names of its exporters → further options.
        options: Of Redis.
    """

    def __init__(
        self, job: str, folder: Path, exporters: dict[str, Sequence[str]], options: Sequence[str] = ()
    ) -> None:
        self.job = job
        self._folder = folder
        self.server = EmbeddedRedis(options=options)
        self.server.start()
        self.client = redis.Redis.from_url(self.server.url)
        marks = folder / f"{job}-marks"
        marks.mkdir()
        self.queues = Queues(self.server.url, marks)
        self._environment = {"DRILL_REDIS": self.server.url, "DRILL_MARKS": str(marks)}
        self.actors: dict[str, Actor] = {}
        self.targets: dict[str, str] = {}
        for name, words in exporters.items():
            self._exporter(name, words)

    def consumer(self, name: str, *queues: str, workers: int = 4, **environment: str) -> Actor:
        """A consumer of these queues, started now."""
        apps = [f"drill.app:{queue}" for queue in queues]
        options = ("--workers", str(workers), "--lease", str(LEASE_SECONDS), "--shutdown-timeout", "1")
        words = [*COMMAND, "consumer", *apps, "--path", str(TESTS), *options]
        actor = self._actor(name, words, environment)
        actor.start()
        return actor

    def _exporter(self, name: str, options: Sequence[str]) -> None:
        port = free_port()
        words = [*COMMAND, "exporter", "--redis-url", self.server.url, "--port", str(port), *options]
        impatient = {"OTEL_EXPORTER_OTLP_TIMEOUT": "1"}  # an export that fails tries for so long
        self._actor(name, words, impatient).start()
        self.targets[name] = f"127.0.0.1:{port}"

    def _actor(self, name: str, words: Sequence[str], environment: dict[str, str]) -> Actor:
        told = {**self._environment, "PYTHONPATH": f"{TESTS}:{TESTS / 'support'}", **environment}
        self.actors[name] = Actor(name, words, told, self._folder / f"{self.job}-{name}.log")
        return self.actors[name]

    def is_ready(self) -> bool:
        """Whether all its exporters are."""
        with contextlib.suppress(OSError):
            return all(get(f"http://{target}/-/ready")[0] == 200 for target in self.targets.values())
        return False

    def close(self) -> None:
        """End all of it."""
        for actor in self.actors.values():
            actor.kill()
        self.client.close()
        self.server.kill()


class Stage:
    """Everything, in one folder. A context manager; at its end nothing of it runs.

    Attributes:
        main: Queues that are broken; two exporters of one group.
        storage: A Redis that is broken, and its exporter.
        pipeline: An exporter that is broken.
        collector: Takes the spans of the first exporter.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock_moves = faketime_library() is not None
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            undo.callback(self._open.close)
            self._engage()
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _engage(self) -> None:
        self.collector = self._open.enter_context(OtlpReceiver())
        self.web_config = self.folder / "web.yml"
        self.web_config.write_text("{}\n")
        limits = self.folder / "limits.yml"
        limits.write_text(f"limits: {{tasks: {MOST_NAMES}}}\n")
        common = ("--config-file", str(limits))
        traces = ("--otlp-endpoint", self.collector.http_endpoint)
        web = ("--web.config.file", str(self.web_config))
        self.main = self._site("limelight", {"a": (*common, *traces, *web), "b": common})
        self.storage = self._site("limelight-storage", {"a": ()}, ("--save", ""))
        self.chosen = self.folder / "chosen.yml"
        self.chosen.write_text("{}\n")
        self.pipeline = self._site("limelight-pipeline", {"a": ("--config-file", str(self.chosen))})
        self.sites = (self.main, self.storage, self.pipeline)
        self.main.consumer("shared", *SHARED, workers=8)
        self.main.consumer("hung", "hung", workers=1)
        self.main.consumer("killed", "killed", workers=1)
        self.main.consumer("survivor", "killed", workers=1)
        self.main.consumer("unscheduled", "unscheduled", workers=1)
        self._watch()

    def _site(self, job: str, exporters: dict[str, Sequence[str]], options: Sequence[str] = ()) -> Site:
        site = Site(job, self.folder, exporters, options)
        self._open.callback(site.close)
        return site

    def _watch(self) -> None:
        wait_until(
            lambda: all(site.is_ready() for site in self.sites), _READY_SECONDS, f"exporters: {self.folder}"
        )
        self.alertmanager = self._open.enter_context(Alertmanager(self.folder))
        folder = self.folder / "prometheus"
        folder.mkdir()
        jobs = {site.job: list(site.targets.values()) for site in self.sites}
        words = configuration(folder, jobs, self.alertmanager.address)
        self.prometheus = self._open.enter_context(Prometheus(folder, (), configuration=words))

    def scrape(self, site: Site, targets: Sequence[str]) -> None:
        """Have Prometheus scrape these for a site from now on."""
        write_targets(self.folder / "prometheus", site.job, targets)


def stop(site: Site, name: str) -> None:
    """Stop one of its processes in good order."""
    actor = site.actors[name]
    actor.signal(signal.SIGTERM)
    wait_until(lambda: not actor.alive, 20, f"{name} stops")


@contextlib.contextmanager
def repeating(action: Callable[[], object], seconds: float) -> Iterator[None]:
    """Do something again and again meanwhile."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(seconds):
            action()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
