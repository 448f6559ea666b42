"""How many tasks to take in one trip. Pure: it is told of times and asks no clock."""

from __future__ import annotations

from typing import Final

BUDGET_SECONDS: Final = 0.003
MOST: Final = 64

_OWN_SECONDS: Final = 0.000_04
_WINDOW: Final = 8


class Pace:
    """As many tasks as a few milliseconds of work, judged by how long the last ones took.

    A slow task counts at once and in full; quick ones after it bring the estimate down by an eighth each.
    So a batch is never long where slow tasks are common, and one slow task among thousands costs a few short
    batches. What the estimate cannot foresee is taken from its worker by the watchdog.

    Args:
        budget_seconds: How much work to take at once.
        most: How many tasks to take at most: the reply must stay small, however quick they are.
    """

    def __init__(self, budget_seconds: float = BUDGET_SECONDS, most: int = MOST) -> None:
        self._budget = budget_seconds
        self._most = most
        self._seconds: float | None = None

    def note(self, seconds: float) -> None:
        """Learn from one task's run time. Threads may do so at once: a note lost among them does no harm."""
        known = self._seconds
        if known is None or seconds >= known:
            self._seconds = seconds
        else:
            self._seconds = known + (seconds - known) / _WINDOW

    @property
    def count(self) -> int:
        """How many to take now: 1 until a first run is known."""
        if self._seconds is None:
            return 1
        # What we do around each task is part of the wait of those behind it.
        return max(1, min(self._most, int(self._budget / (self._seconds + _OWN_SECONDS))))
