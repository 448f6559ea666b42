"""A clock that tests move by hand, in place of Redis' own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from limelight import RedisQueue


class VirtualClock:
    """The time that Redis' scripts go by on the queues that it drives.

    Args:
        start: ISO text, in UTC.
    """

    def __init__(self, start: str) -> None:
        self.now = dt.datetime.fromisoformat(start).replace(tzinfo=dt.UTC)

    def drive(self, queue: RedisQueue) -> RedisQueue:
        """Have the queue's scripts use this clock; returns the queue."""
        queue.storage._head = _Head(self, tuple(queue.storage._head)[1:])  # type: ignore[assignment]
        return queue

    def advance(self, seconds: float) -> None:
        """Let time go by."""
        self.now += dt.timedelta(seconds=seconds)

    def monotonic(self) -> float:
        """In place of `time.monotonic`."""
        return self.now.timestamp()


class _Head:
    """The first arguments of every script, the time anew in each call."""

    def __init__(self, clock: VirtualClock, rest: tuple[Any, ...]) -> None:
        self._clock, self._rest = clock, rest

    def __iter__(self) -> Iterator[Any]:
        micros = (self._clock.now - dt.datetime.fromtimestamp(0, dt.UTC)) // dt.timedelta(microseconds=1)
        yield str(micros)
        yield from self._rest
