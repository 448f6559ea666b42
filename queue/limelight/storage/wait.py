"""A wait for Redis that another thread may end."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Wait:
    """One thread waits, others may call it away: at once if it waits already, before it begins otherwise.

    Safe for threads; may be used again and again until it is ended.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._interrupt: Callable[[], None] | None = None
        self._is_over = False

    def begin(self, interrupt: Callable[[], None]) -> bool:
        """Say how to be interrupted; False if nobody is to wait any more."""
        with self._lock:
            if not self._is_over:
                self._interrupt = interrupt
            return not self._is_over

    def leave(self) -> None:
        """The wait is over by itself; it is interrupted no more."""
        with self._lock:
            self._interrupt = None

    def end(self) -> None:
        """From any thread: interrupt the wait, and have none begin."""
        with self._lock:
            self._is_over = True
            if self._interrupt is not None:
                self._interrupt()
                self._interrupt = None
