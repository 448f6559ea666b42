"""Whether a queue may have work for this consumer."""

from __future__ import annotations

import itertools


class Door:
    """Open until Redis said that nothing is ready, and nobody has rung since that was asked.

    Safe for threads without a lock: every ring has a number of its own, so that none can be taken for another.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._answered = 0
        self._ring = next(self._numbers)

    @property
    def is_open(self) -> bool:
        """Whether it is worth a trip to ask."""
        return self._ring != self._answered

    def ring(self) -> None:
        """Something may have become ready."""
        self._ring = next(self._numbers)

    def last_ring(self) -> int:
        """Note it before asking Redis."""
        return self._ring

    def shut(self, ring: int) -> None:
        """Nothing was ready when it was asked after that ring; a later one keeps the door open."""
        self._answered = ring
