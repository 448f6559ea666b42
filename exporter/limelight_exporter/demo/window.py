"""Bounded memories of the last seconds: counts per second, and single values."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

MOST_VALUES: Final = 2_000


class PerSecond:
    """Counts per second, of the last `seconds` seconds.

    Args:
        seconds: How far back it knows.
    """

    def __init__(self, seconds: int) -> None:
        self._counts = [0] * seconds
        self._newest = 0

    def add(self, at: float) -> None:
        """Count one more at `at` (Unix seconds); what is older than this knows is left out."""
        second = int(at)
        self._advance(second)
        if second > self._newest - len(self._counts):
            self._counts[second % len(self._counts)] += 1

    def _advance(self, second: int) -> None:
        for skipped in range(max(self._newest + 1, second - len(self._counts) + 1), second + 1):
            self._counts[skipped % len(self._counts)] = 0
        self._newest = max(self._newest, second)

    def total(self, now: float, seconds: int) -> int:
        """How many in the last whole seconds before `now`."""
        last = int(now)
        known = range(max(last - seconds, self._newest - len(self._counts) + 1), min(last, self._newest + 1))
        return sum(self._counts[second % len(self._counts)] for second in known)

    def history(self, now: float, cells: int, seconds: int) -> tuple[int, ...]:
        """The last `cells` spans of `seconds`, oldest first; spans keep their limits as time goes on."""
        end = int(now) // seconds * seconds
        ends = range(end - (cells - 1) * seconds, end + 1, seconds)
        return tuple(self.total(span, seconds) for span in ends)


class Recent:
    """The newest values with their times."""

    def __init__(self) -> None:
        self._values: deque[tuple[float, float]] = deque(maxlen=MOST_VALUES)

    def add(self, at: float, value: float) -> None:
        """Remember one."""
        self._values.append((at, value))

    def quantile(self, share: float, since: float, least: int = 5) -> float | None:
        """The value that `share` of those since then do not exceed; None for fewer than `least`."""
        values = sorted(value for at, value in self._values if at >= since)
        return values[math.ceil(share * len(values)) - 1] if len(values) >= least else None
