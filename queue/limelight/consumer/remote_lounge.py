"""The lounge as a worker process sees it: its parent calls, and looks out for work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from .lounge import Lounge
from .relay import Line, Word
from .trips import Trips


class RemoteLounge(Lounge):
    """Where the one worker of a process waits for its parent's call.

    Args:
        line: To the parent.
        trips: The queues, in the order in which the parent counts them.
    """

    def __init__(self, line: Line, trips: Sequence[Trips]) -> None:
        super().__init__()
        self._line = line
        self._trips = trips
        self._called = threading.Event()
        self._is_waiting = False

    def wait(self, needed: Callable[[], bool], seconds: float) -> None:
        """Wait to be called, but only if not needed anyway, and for so many seconds at most."""
        with self._lock:
            if self._closed or needed():
                return
            self._called.clear()
            self._is_waiting = True
        self._line.say(Word.IDLE)
        self._called.wait(seconds)
        with self._lock:
            self._is_waiting = False
            left_by_itself = not self._called.is_set()
        if left_by_itself:
            self._line.say(Word.BUSY)

    def go(self, queues: Sequence[int]) -> None:
        """The parent calls because something may be ready on these queues."""
        with self._lock:
            waits, self._is_waiting = self._is_waiting, False
            if waits:
                for at in queues:
                    self._trips[at].door.ring()
                self._called.set()
        if not waits:
            self._line.say(Word.PASS, list(queues))

    def call(self, count: int = 1) -> int:
        """Have the parent call others, where more is ready than was taken here; there is nobody else here."""
        for at, trips in enumerate(self._trips):
            if count and trips.door.is_open:
                self._line.say(Word.MORE, at)
        return 0

    def close(self) -> None:
        """Send the worker away, now and later: the consumer stops."""
        with self._lock:
            self._closed = True
        self._called.set()
