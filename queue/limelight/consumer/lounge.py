"""Where idle workers wait, and where whoever has work finds one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class Lounge:
    """Idle workers, first come first called; those who look out for work wait here for idle ones.

    A worker is known by what wakes it, be it a thread of this process or a process of its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._vacancy = threading.Condition(self._lock)
        self._idle: deque[Callable[[], None]] = deque()
        self._closed = False

    def __len__(self) -> int:
        """How many are idle and not called yet."""
        return len(self._idle)

    def wait(self, needed: Callable[[], bool], seconds: float) -> None:
        """Have this thread wait to be called, but only if not needed anyway, and for so many seconds at most."""
        called = threading.Event()
        if self.enter(called.set, needed):
            called.wait(seconds)
            self.leave(called.set)

    def enter(self, wake: Callable[[], None], needed: Callable[[], bool]) -> bool:
        """Count somebody as idle; False if it is needed anyway, or the lounge is closed."""
        with self._lock:
            if self._closed or needed():
                return False
            self._idle.append(wake)
            self._vacancy.notify_all()
            return True

    def leave(self, wake: Callable[[], None]) -> None:
        """Count somebody as idle no more. If it was just being called, it takes that call along."""
        with self._lock:
            if wake in self._idle:
                self._idle.remove(wake)

    def call(self, count: int = 1) -> int:
        """Call so many idle workers; returns how many there were, 0 to `count`."""
        with self._lock:
            chosen = [self._idle.popleft() for _ in range(min(count, len(self._idle)))]
        for wake in chosen:
            wake()
        return len(chosen)

    def wait_for_idle(self, seconds: float) -> bool:
        """Wait until somebody is idle; False if nobody is within so many seconds, or the lounge closes."""
        with self._lock:
            self._vacancy.wait_for(lambda: self._idle or self._closed, seconds)
            return bool(self._idle) and not self._closed

    def close(self) -> None:
        """Send everybody away, now and later: the consumer stops."""
        with self._lock:
            self._closed = True
            self._vacancy.notify_all()
        self.call(len(self._idle))
