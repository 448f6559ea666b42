"""Waits at one queue's door on behalf of idle workers that cannot stand there themselves."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from limelight.errors import RedisError
from limelight.storage.wait import Wait

from .lounge import Lounge
from .trips import Trips

log = logging.getLogger("limelight.consumer")

_WAIT_SECONDS: Final = 5.0


class Doorman:
    """One thread per queue: waits on Redis only while a worker of this consumer is idle, and calls one per task.

    For workers that are processes, for an event loop, and where one worker serves several queues: it cannot wait at
    all their doors. The threads of a single queue do without (see `Lounge.stand`).

    Args:
        trips: The queue.
        lounge: Where the idle workers are.
        stopping: Set when it shall end.
    """

    def __init__(self, trips: Trips, *, lounge: Lounge, stopping: threading.Event) -> None:
        self._trips = trips
        self._lounge = lounge
        self._stopping = stopping
        self._wait_at_door = Wait()

    def end(self) -> None:
        """Wait for work no more."""
        self._wait_at_door.end()

    def run(self) -> None:
        """Wait until told to stop; no fault ends the thread."""
        while not self._stopping.is_set():
            try:
                if self._lounge.wait_for_idle(_WAIT_SECONDS):
                    self._wait()
            except RedisError as error:
                log.debug("doorman waits for Redis: %s", error)
                self._pause()
            except Exception:
                log.exception("doorman: unexpected error")
                self._stopping.wait(1.0)

    def _wait(self) -> None:
        """Wait for a token; when none comes for long, have one worker look all the same."""
        storage = self._trips.queue.storage
        try:
            storage.wait_for_work(_WAIT_SECONDS, self._wait_at_door)
        finally:
            self._trips.door.ring()
            called = self._lounge.call()
        if not called and not self._stopping.is_set():
            storage.ring()  # the token is for others to have

    def _pause(self) -> None:
        """The worker that was called finds out what is wrong with Redis and tells it; nobody else need try."""
        self._stopping.wait(max(0.1, self._trips.outage.until - time.monotonic()))
