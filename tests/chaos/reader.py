"""Follows the stream from its first event to its last, past every fault, and looks at the queue as a whole."""

from __future__ import annotations

import threading
import time
from typing import Any, Final

import msgspec
import redis

from limelight.errors import RedisError
from limelight.keys import QueueKeys
from limelight.packed_event import as_json
from limelight.storage.address import Address
from limelight.storage.links import Links
from limelight_exporter.snapshot import Cursor
from limelight_exporter.stream_source import Position

from .story import Told

READER: Final = "chaos"
_POLL_SECONDS: Final = 0.1
_SAVE_SECONDS: Final = 1.0
_INDEXES: Final = ("delayed", "scheduled", "ready", "reserved", "running", "dead")
_decode: Final = msgspec.json.Decoder(Told).decode


class Reader:
    """Reads everything that is told, in a thread of its own, straight from Redis.

    It saves a cursor as any reader does, so that nothing is trimmed before it was read.

    Attributes:
        events: All events, in order.
        seen: When each was read, in Unix seconds of this machine.
        mismatches: Moments at which the records were not the sum of the states; there must be none.
        left: Tasks that had not ended at the last look; -1 before the first.

    Args:
        url: Where Redis is; not behind a proxy.
        queue: Name of the queue.
    """

    def __init__(self, url: str, queue: str) -> None:
        self.events: list[Told] = []
        self.seen: list[float] = []
        self.mismatches: list[str] = []
        self.left = -1
        self._client = redis.Redis.from_url(url, socket_timeout=30.0)
        self._queue, self._keys = queue, QueueKeys(queue)
        self._cursor = Cursor(Links(Address(url, {})), queue, READER)
        self._last, self._saved_at = "0-0", 0.0
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
        self._client.close()

    def _run(self) -> None:
        while not self._stopping.wait(_POLL_SECONDS):
            try:
                self.look()
            except (redis.RedisError, RedisError):
                continue  # it is down; nothing is told meanwhile

    def look(self) -> None:
        """One look, in one transaction. Raises redis.RedisError."""
        entries, epoch, records, *states = self._read()
        at = time.time()
        self._take(entries, at)
        self.left = records - states[-1]
        if sum(states) != records:
            self.mismatches.append(f"at event {self._newest}: {records} records, states {states}")
        if self.events and at - self._saved_at >= _SAVE_SECONDS:
            self._cursor.save(
                Position(epoch=epoch.decode(), id=self._last, seq=self._newest, told=self._newest, begun=True)
            )
            self._saved_at = at

    @property
    def _newest(self) -> int:
        return self.events[-1].seq if self.events else 0

    def _read(self) -> list[Any]:
        pipeline = self._client.pipeline(transaction=True)
        pipeline.execute_command("XRANGE", self._keys["events"], f"({self._last}", "+")
        pipeline.execute_command("HGET", self._keys["meta"], "epoch")
        pipeline.execute_command("HLEN", self._keys["tasks"])
        for index in _INDEXES:
            pipeline.execute_command("ZCARD", self._keys[index])
        answers: list[Any] = pipeline.execute()
        return answers

    def _take(self, entries: list[tuple[bytes, dict[bytes, bytes]]], at: float) -> None:
        for entry, fields in entries:
            self.events.append(_decode(as_json(self._queue, fields)))
            self.seen.append(at)
            self._last = entry.decode()
