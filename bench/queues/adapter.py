"""What the bench asks of a contender: one small class each, in `peers/`, run in the contender's own environment.

An adapter declares two tasks, `note_begin` (the no-op) and where it takes part in mixed loads `note_span`, in the
form in which the contender is fastest (async where it is an asyncio queue), and answers the calls below.
"""

import abc
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import redis

URL: Final = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:1/0")
RESULTS: Final = os.environ.get("BENCH_RESULTS") == "1"
EVENTS: Final = os.environ.get("BENCH_EVENTS", "1") == "1"
KIND: Final = os.environ.get("BENCH_KIND", "")
QUEUE: Final = "bench"


class NotThere(Exception):
    """The contender has no such thing (yet)."""


class Adapter(abc.ABC):
    """A contender whose producers block."""

    def __init__(self) -> None:
        self.redis = redis.Redis.from_url(URL)

    @abc.abstractmethod
    def consumer(self, kind: str, workers: int) -> list[str]:
        """The command that starts one consumer; raises NotThere for a kind that it does not have."""

    @abc.abstractmethod
    def enqueue(self) -> Any:
        """Enqueue one no-op task."""

    @abc.abstractmethod
    def held(self) -> int:
        """How many tasks Redis still holds, those in a worker's hands included; 0 when all is settled."""

    def stored(self) -> int:
        """How many results are stored."""
        raise NotThere("it stores no results")

    def enqueue_bulk(self, count: int) -> Any:
        """Enqueue many no-op tasks in as few trips as the contender can; raises NotThere if it cannot."""
        raise NotThere("it has no bulk enqueue")

    def enqueue_span(self, index: int, seconds: float) -> Any:
        """Enqueue one task of a mixed load; returns its id if events name it."""
        raise NotThere("it takes no part in mixed loads")

    # -- What the bench calls ---------------------------------------------------------------------------
    def open(self) -> None:
        """Connect, and enqueue nothing."""
        self.redis.ping()

    def enqueue_one(self) -> None:
        """Enqueue one no-op task."""
        self.seconds_one_by_one(1)

    def fill(self, count: int) -> None:
        """Enqueue no-op tasks in the quickest way there is."""
        try:
            self.seconds_in_bulk(count)
        except NotThere:
            self.seconds_one_by_one(count)

    def seconds_one_by_one(self, count: int) -> float:
        """Enqueue no-op tasks one after the other; how long it took."""
        enqueue = self.enqueue
        began = time.perf_counter()
        for _ in range(count):
            enqueue()
        return time.perf_counter() - began

    def seconds_in_bulk(self, count: int) -> float:
        """Enqueue no-op tasks at once; how long it took."""
        began = time.perf_counter()
        self.enqueue_bulk(count)
        return time.perf_counter() - began

    def paced(self, pauses: Sequence[float]) -> list[int]:
        """Enqueue a no-op task after each pause (seconds); when each call began, in ns."""
        called = []
        for pause in pauses:
            time.sleep(pause)
            called.append(time.monotonic_ns())
            self.enqueue()
        return called

    def mixed(self, seconds: Sequence[float], pauses: Sequence[float]) -> list[tuple[int, str]]:
        """Enqueue tasks that take so long, after a pause each; when each was enqueued (ns), and its id."""
        told = []
        for index, (one, pause) in enumerate(zip(seconds, pauses, strict=True)):
            if pause:
                time.sleep(pause)
            name = self.enqueue_span(index, one)
            told.append((time.monotonic_ns(), str(name or "")))
        return told

    def count_keys(self, pattern: str) -> int:
        """How many keys match."""
        return sum(1 for _ in self.redis.scan_iter(pattern, count=1_000))


class AsyncAdapter(Adapter):
    """A contender whose producers are coroutines; its `enqueue` and `enqueue_bulk` return awaitables."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.Runner()

    async def connect(self) -> None:
        """Connect inside the loop."""

    def open(self) -> None:
        """Connect, and enqueue nothing."""
        self._loop.run(self.connect())

    def seconds_one_by_one(self, count: int) -> float:
        """Enqueue no-op tasks one after the other; how long it took."""

        async def run() -> float:
            began = time.perf_counter()
            for _ in range(count):
                await self.enqueue()
            return time.perf_counter() - began

        return self._loop.run(run())

    def seconds_in_bulk(self, count: int) -> float:
        """Enqueue no-op tasks at once; how long it took."""

        async def run() -> float:
            began = time.perf_counter()
            await self.enqueue_bulk(count)
            return time.perf_counter() - began

        return self._loop.run(run())

    def paced(self, pauses: Sequence[float]) -> list[int]:
        """Enqueue a no-op task after each pause (seconds); when each call began, in ns."""

        async def run() -> list[int]:
            called = []
            for pause in pauses:
                await asyncio.sleep(pause)
                called.append(time.monotonic_ns())
                await self.enqueue()
            return called

        return self._loop.run(run())


def command(name: str) -> str:
    """The path of a command of this environment."""
    return str(Path(sys.executable).with_name(name))
