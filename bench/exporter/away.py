"""An exporter comes back after an hour: how long it takes, what its absence costs Redis, and what it holds in memory.

An hour at 1,000 tasks/s is 10.8 million events, 6 GB or more on one stream. So they come in pieces: a piece is told
while one exporter is not running and another one stands still (SIGSTOP); then the first is started and timed until it
says that it is ready, then the second goes on, and its memory is read when it is done. Then the stream is emptied. An
hour's absence has one start, not one for each piece: what a start takes that finds nothing new is measured by itself,
and counted once. With fewer events than an hour has, the rest is scaled up, and the table says of how many.
"""

import tempfile
import time
from pathlib import Path

from exporter import telling
from exporter.running import Running

from limelight.embedded import EmbeddedRedis

AN_HOUR = 10_800_000
PIECE = 1_080_000
_PATIENCE_SECONDS = 600.0


def measure(events: int) -> dict[str, float]:
    """One round over so many events."""
    with tempfile.TemporaryDirectory("-bench") as folder, EmbeddedRedis() as server:
        return _Hour(server.url, Path(folder)).measure(events)


class _Hour:
    def __init__(self, url: str, folder: Path) -> None:
        self._url, self._folder = url, folder
        self._queue = telling.queue_at(url)
        self._client = self._queue.storage.address.client()
        self._stream = self._queue.keys["events"]
        self._told = 0
        self._bytes = 0.0
        self._seconds, self._cpu_seconds = 0.0, 0.0

    def measure(self, events: int) -> dict[str, float]:
        telling.tell(self._url, telling.NAMES)
        with Running(self._url, self._folder, "steady") as steady:
            steady.wait_ready(60)
            self._come_back()
            starting, self._seconds, self._cpu_seconds = self._seconds, 0.0, 0.0
            memory = [self._piece(min(PIECE, events - done), steady) for done in range(0, events, PIECE)]
            series = len([one for one in steady.get("/metrics").text.splitlines() if not one.startswith("#")])
        per_event = self._bytes / self._told
        catching_up = max(1e-9, self._seconds - len(memory) * starting)
        return {
            "events told": self._told,
            "an hour away at 1,000 tasks/s (10.8 million events), s": starting
            + catching_up * AN_HOUR / self._told,
            "a start with nothing to catch up with, s": starting,
            "events per s while catching up": self._told / catching_up,
            "events per CPU s, starts included": self._told / self._cpu_seconds,
            "Redis' memory per event, bytes": per_event,
            "Redis' memory per minute away at 1,000 tasks/s, MB": per_event * AN_HOUR / 60 / 1e6,
            "series served": series,
            "memory after the first piece, MB": memory[0],
            "memory after all of them, MB": memory[-1],
            "growth of memory since the first piece, MB": memory[-1] - memory[0],
        }

    def _piece(self, events: int, steady: Running) -> float:
        """Tell a piece while both are away; returns what the one that stood still holds when it is done."""
        steady.pause()
        self._client.xtrim(self._stream, maxlen=1, approximate=False)
        entries, size = self._held()
        telling.tell(self._url, max(1, events // telling.EVENTS_PER_TASK))
        entries_then, size_then = self._held()
        self._told += entries_then - entries
        self._bytes += size_then - size
        self._come_back()
        steady.go_on()
        steady.wait_current(_PATIENCE_SECONDS)
        return steady.memory_mb()

    def _held(self) -> tuple[int, int]:
        """Entries of the stream, and their bytes in Redis."""
        return self._client.xlen(self._stream), int(self._client.memory_usage(self._stream, samples=0) or 0)

    def _come_back(self) -> None:
        """Start the exporter that was away, and time it."""
        began = time.monotonic()
        with Running(self._url, self._folder, "away") as back:
            back.wait_ready(_PATIENCE_SECONDS)
            self._seconds += time.monotonic() - began
            self._cpu_seconds += back.cpu_seconds()
