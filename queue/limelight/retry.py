"""How long a task waits before it runs again. Pure: no clock, no Redis, and chance is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LONGEST_DELAY_SECONDS: Final = 10 * 366 * 86_400.0
"""No delay grows past ten years, so that none becomes infinite or leaves the calendar."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How the delays of one task's retries grow and spread.

    Attributes:
        factor: Each further retry waits this many times the one before; 0 keeps the delay constant.
        longest_seconds: No retry waits longer.
        jitter: How much of a delay chance may take away: 0 nothing, 1 all of it ("full jitter").
    """

    factor: float = 0.0
    longest_seconds: float = LONGEST_DELAY_SECONDS
    jitter: float = 0.0

    def delay(self, retry_delay: float, chance: float = 0.0) -> float:
        """Return the seconds that the coming retry waits.

        Chance only shortens, so that `longest_seconds` holds for what is really waited.

        Args:
            retry_delay: The delay before chance has its say, in seconds.
            chance: In [0, 1); 0 waits in full.
        """
        return min(retry_delay, self.longest_seconds) * (1.0 - self.jitter * chance)

    def next_delay(self, retry_delay: float) -> float:
        """Return the ``retry_delay`` of the retry after the coming one.

        As in Huey, the first retry waits the task's ``retry_delay`` and each further one ``retry_backoff`` times
        the one before; jitter does not add up.
        """
        if self.factor <= 0:
            return retry_delay
        return min(retry_delay * self.factor, self.longest_seconds)


STEADY: Final = Backoff()
"""Delays neither grow nor spread."""
