"""Where idle workers wait, and where whoever has work finds one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class Lounge:
    """Idle workers, first come first called; those who look out for work wait here for idle ones.

    A worker is known by what wakes it, be it a thread of this process or a process of its own. A few may stand at
    the door instead, where they get work without being called.

    Args:
        places: How many workers may stand at the queue's door; 0 where a doorman stands there for them.
    """

    def __init__(self, places: int = 0) -> None:
        self.places = places
        self._at_door: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()
        self._vacancy = threading.Condition(self._lock)
        self._idle: deque[Callable[[], None]] = deque()
        self._closed = False

    def __len__(self) -> int:
        """How many are idle and not called yet, those at the door not counted."""
        return len(self._idle)

    def stand(self, call_away: Callable[[], None], needed: Callable[[], bool]) -> bool:
        """Take a place at the door; False if there is none, or one is needed anyway, or the lounge is closed."""
        with self._lock:
            if self._closed or len(self._at_door) >= self.places or needed():
                return False
            self._at_door.append(call_away)
            return True

    def leave_door(self, call_away: Callable[[], None]) -> None:
        """Give up a place at the door, called away or not."""
        with self._lock:
            if call_away in self._at_door:
                self._at_door.remove(call_away)

    def man_door(self) -> None:
        """Whoever begins to work says so: if nobody is at the door now, somebody idle is called to stand there."""
        if self._idle and self.places and not self._at_door:
            self.call()

    def wait(self, needed: Callable[[], bool], seconds: float) -> None:
        """Have this thread wait to be called, but only if not needed anyway, and for so many seconds at most."""
        called = threading.Event()
        if self.enter(called.set, needed):
            try:
                called.wait(seconds)
            finally:
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

    def summon(self, count: int) -> None:
        """Call so many idle workers for what they do not find at the door, even away from there."""
        missing = count - self.call(count)
        with self._lock:
            chosen = [self._at_door.popleft() for _ in range(min(missing, len(self._at_door)))]
        for call_away in chosen:
            call_away()

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
        self.summon(len(self._idle) + len(self._at_door))
