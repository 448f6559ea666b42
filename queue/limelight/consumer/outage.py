"""Trouble with Redis: when to try again, and whether it was told already."""

from __future__ import annotations

import random
import threading
from typing import Final

PAUSE_SECONDS: Final = (0.1, 5.0)


class Outage:
    """One queue's trouble with its Redis, as all threads of a consumer share it. Safe for them.

    Attributes:
        until: Monotonic seconds before which nobody need try; 0 while all is well.
    """

    def __init__(self) -> None:
        self.until = 0.0
        self._pause = PAUSE_SECONDS[0]
        self._told = False
        self._lock = threading.Lock()

    def lasts(self, now: float) -> bool:
        """Whether a try would come too early at `now` (monotonic seconds)."""
        return now < self.until

    def fails(self, now: float) -> None:
        """Note a failed try. Those that were under way together count as one; each round doubles the pause."""
        with self._lock:
            if now < self.until:
                return
            self.until = now + self._pause * random.uniform(0.5, 1.0)
            self._pause = min(self._pause * 2, PAUSE_SECONDS[1])

    def is_to_be_told(self) -> bool:
        """True once per outage."""
        with self._lock:
            told, self._told = self._told, True
            return not told

    def ends(self) -> None:
        """Note that Redis did as it was asked."""
        if self.until:
            with self._lock:
                self.until, self._pause, self._told = 0.0, PAUSE_SECONDS[0], False
