"""A Redis that goes back in time: what it told since then it has forgotten, and everybody who wrote goes on.

Nobody can say what an exporter must have counted of events that Redis forgot before the exporter read them. So
before each rollback those who write stand still, until both exporters serve all that was told: from then on every
event is in the truth, whether Redis remembers it or not.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from chaos.actors import Actor
from exporters import Scraped
from servers import wait_until

from limelight.embedded import EmbeddedRedis

from .reader import Reader
from .target import QUEUE_NAME

_STILL_SECONDS: Final = 20.0
_QUIET_LOOKS: Final = 5


class TimeMachine:
    """Takes a Redis back, in three ways by turns.

    Attributes:
        done: How often it did.
        problems: What exporters did not serve before it did.

    Args:
        server: The Redis, which keeps an append-only file in `folder`.
        folder: That folder.
        reader: Keeps all that is told.
        writers: Who stands still meanwhile, as long as they are alive.
        urls: Exporter → where it listens.
        chance: Decides in which order.
    """

    def __init__(
        self,
        server: EmbeddedRedis,
        folder: Path,
        reader: Reader,
        writers: Sequence[Actor],
        urls: Mapping[str, str],
        chance: random.Random,
    ) -> None:
        self.done = 0
        self.problems: list[str] = []
        self._backed_up = self._went_back = 0
        self._server, self._folder, self._reader = server, folder, reader
        self._writers, self._urls = writers, urls
        self._backup = folder.with_name("backup")
        ways: list[Callable[[], str]] = [self._flush, self._forget, self._restore]
        chance.shuffle(ways)
        self._ways = ways

    def back_up(self) -> None:
        """Copy Redis' files as they are, as a backup of a running server would."""
        self._reader.look()
        self._backed_up = len(self._reader.events)
        shutil.rmtree(self._backup, ignore_errors=True)
        shutil.copytree(self._folder, self._backup)

    def go_back(self, blows: Sequence[Callable[[], None]] = ()) -> str:
        """Take Redis back, and name how; `blows` fall just before, when everybody has been heard."""
        with self._standing_still():
            self._wait_until_all_is_served()
            for blow in blows:
                blow()
            return self._forget_something(self._ways[self.done % len(self._ways)])

    def _forget_something(self, way: Callable[[], str]) -> str:
        """Go back that way; where it would forget nothing, nobody could notice it, and it does not count."""
        told = len(self._reader.events)
        if told == (self._backed_up if way == self._restore else self._went_back):
            return "go back: there was nothing to forget"
        what = way()
        self._went_back, self.done = told, self.done + 1
        return what

    @contextlib.contextmanager
    def _standing_still(self) -> Iterator[None]:
        for writer in self._writers:
            writer.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for writer in self._writers:
                writer.signal(signal.SIGCONT)

    def _wait_until_all_is_served(self) -> None:
        """Until nothing that was on its way to Redis arrives any more, and both exporters serve all that was told."""
        quiet, before = 0, -1

        def is_quiet() -> bool:
            nonlocal quiet, before
            self._reader.look()
            told = len(self._reader.events)
            quiet, before = quiet + 1 if told == before else 0, told
            return quiet >= _QUIET_LOOKS

        wait_until(is_quiet, _STILL_SECONDS, "nothing is told any more")
        for name, url in self._urls.items():
            try:
                wait_until(lambda url=url: self._served(url) == len(self._reader.events), _STILL_SECONDS)
            except AssertionError:
                served, told = self._served(url), len(self._reader.events)
                self.problems.append(f"{name} served {served:g} of {told} events before Redis went back")

    def _served(self, url: str) -> float:
        return sum(
            value
            for (name, labels), value in Scraped(url).samples.items()
            if name == "limelight_events_total" and ("queue", QUEUE_NAME) in labels
        )

    # -- Ways back --------------------------------------------------------------------------------------
    def _flush(self) -> str:
        self._reader.client.flushall()
        return "go back: FLUSHALL"

    def _forget(self) -> str:
        self._server.kill()
        shutil.rmtree(self._folder)
        self._folder.mkdir()
        self._server.start()
        return "go back: restart with nothing kept"

    def _restore(self) -> str:
        self._server.kill()
        shutil.rmtree(self._folder)
        shutil.copytree(self._backup, self._folder)
        self._server.start()
        return "go back: restart from an older backup"
