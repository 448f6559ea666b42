"""Where idle workers wait, and where whoever has work finds one."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Lounge:
    """Idle workers wait here until one of them is called; those who look out for work wait for idle ones."""

    def __init__(self) -> None:
        lock = threading.Lock()
        self._work = threading.Condition(lock)
        self._vacancy = threading.Condition(lock)
        self._idle = 0
        self._called = 0
        self._closed = False

    @property
    def has_idle(self) -> bool:
        """Whether somebody waits who was not called yet."""
        return self._idle > self._called

    def wait(self, needed: Callable[[], bool], seconds: float) -> None:
        """Wait to be called, but only if not needed anyway, and not longer than so many seconds."""
        with self._work:
            if self._closed or needed():
                return
            self._idle += 1
            self._vacancy.notify_all()
            try:
                self._work.wait_for(self._is_called, seconds)
            finally:
                self._idle -= 1
                # Whoever leaves takes a call along if there is one, also when its time was up just then.
                self._called = max(0, self._called - 1)

    def _is_called(self) -> bool:
        return self._called > 0 or self._closed

    def call(self, count: int = 1) -> int:
        """Call so many idle workers; returns how many there were, 0 to `count`."""
        with self._work:
            called = min(count, self._idle - self._called)
            self._called += called
            self._work.notify(called)
            return called

    def wait_for_idle(self, seconds: float) -> bool:
        """Wait until somebody is idle; False if nobody is within so many seconds, or the lounge closes."""
        with self._work:
            self._vacancy.wait_for(lambda: self.has_idle or self._closed, seconds)
            return self.has_idle and not self._closed

    def close(self) -> None:
        """Send everybody away, now and later: the consumer stops."""
        with self._work:
            self._closed = True
            self._work.notify_all()
            self._vacancy.notify_all()
