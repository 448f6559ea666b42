"""Trouble with Redis: when to try again, and whether it was told already."""

from __future__ import annotations

import random
import threading
from typing import Final

PAUSE_SECONDS: Final = (0.1, 5.0)
TRY_SECONDS: Final = 15.0
"""How long whoever tries is waited for: longer than an answer may take."""


class Outage:
    """One queue's trouble with its Redis, as all threads of a consumer share it. Safe for them.

    Attributes:
        until: Monotonic seconds before which nobody need try; 0 while all is well.
    """

    def __init__(self) -> None:
        self.until = 0.0
        self._pause = PAUSE_SECONDS[0]
        self._told = False
        self._is_tried = False
        self._lock = threading.Lock()

    def lasts(self, now: float) -> bool:
        """Whether a try would come too early at `now` (monotonic seconds)."""
        return now < self.until

    def may_try(self, now: float) -> bool:
        """Whether the caller may try: all while all is well; then one at a time, or an outage would hold up all."""
        if not self.until:
            return True
        with self._lock:
            if now < self.until:
                return False
            self.until, self._is_tried = now + TRY_SECONDS, True
            return True

    def fails(self, now: float) -> None:
        """Note a failed try. Those that were under way together count as one; each round doubles the pause."""
        with self._lock:
            if now < self.until and not self._is_tried:
                return
            self._is_tried = False
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
                self.until, self._pause = 0.0, PAUSE_SECONDS[0]
                self._told = self._is_tried = False
