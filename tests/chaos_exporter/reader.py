"""Keeps every event that is told, also those that are trimmed before an exporter could read them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import redis
from chaos.story import Told

from limelight.keys import QueueKeys
from limelight.packed_event import as_json

_POLL_SECONDS: Final = 0.1
_INDEXES: Final = ("delayed", "scheduled", "ready", "reserved", "running")
_decode: Final = msgspec.json.Decoder(Told).decode


@dataclass(frozen=True, slots=True)
class Gap:
    """Events that were trimmed while no exporter ran: behind `after` (the group's saved position), before `first`."""

    after: int
    first: int

    @property
    def lost(self) -> range:
        """Their numbers."""
        return range(self.after + 1, self.first)


class Reader:
    """Follows the stream in a thread of its own.

    Attributes:
        events: All events, in order.
        left: Tasks that had not ended at the last look; -1 before the first.

    Args:
        url: Where Redis is.
        queue: Name of the queue.
    """

    def __init__(self, url: str, queue: str) -> None:
        self.events: list[Told] = []
        self.left = -1
        self.client = redis.Redis.from_url(url, socket_timeout=30.0)
        self._queue, self.keys = queue, QueueKeys(queue)
        self._last = "0-0"
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chaos-reader", daemon=True)

    def start(self) -> None:
        """Begin, before anything is told."""
        self._thread.start()

    def stop(self) -> None:
        """Read what is there, and end."""
        self._stopping.set()
        self._thread.join(60)
        self.look()
        self.client.close()

    def look(self) -> None:
        """Read on. Raises redis.RedisError."""
        with self._lock:
            self._look()

    def trim(self, keep: int, group: str) -> Gap:
        """Trim the stream to its newest entries, having read all, and say what the group's exporters will miss."""
        with self._lock:
            (first, _), cursor = self._look(("XTRIM", self.keys["events"], "MAXLEN", keep), group=group)
        return Gap(after=int(cursor.split()[1]), first=first)

    def _run(self) -> None:
        while not self._stopping.wait(_POLL_SECONDS):
            try:
                self.look()
            except redis.RedisError:
                continue  # it is down; nothing is told meanwhile

    def _look(self, *commands: tuple[Any, ...], group: str = "") -> tuple[tuple[int, int], bytes]:
        pipeline = self.client.pipeline(transaction=True)
        pipeline.execute_command("XRANGE", self.keys["events"], f"({self._last}", "+")
        for index in _INDEXES:
            pipeline.execute_command("ZCARD", self.keys[index])
        for command in commands:
            pipeline.execute_command(*command)
        pipeline.execute_command("XRANGE", self.keys["events"], "-", "+", "COUNT", 1)
        pipeline.execute_command("HGET", self.keys.cursors, group)
        entries, *rest = pipeline.execute()
        self.left = sum(rest[: len(_INDEXES)])
        for entry, fields in entries:
            self.events.append(_decode(as_json(self._queue, fields)))
            self._last = entry.decode()
        oldest = _decode(as_json(self._queue, rest[-2][0][1])).seq if rest[-2] else 0
        return (oldest, len(entries)), rest[-1] or b""
