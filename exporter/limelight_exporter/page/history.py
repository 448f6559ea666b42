"""The totals of one queue at the ten-second borders of the last minutes, cut by the events' own time.

A row is copied when the first event of a new ten seconds comes, before it is folded: it holds what was true at that
border, and at every one since the event before it. So a queue at rest costs nothing, and a replay fills the rows as
if it had been watched all along.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from limelight_exporter.fold import Told

from .tallies import Totals

SLOT_SECONDS: Final = 10
SLOTS: Final = 30
"""Five minutes of them."""
_MOST_ROWS: Final = SLOTS + 2
_MOST_AHEAD: Final = 6
"""Slots by which Redis' clock may be ahead of ours; an event from beyond is not believed."""


def slot_of(seconds: float) -> int:
    """Which ten seconds since 1970 a moment lies in."""
    return int(seconds // SLOT_SECONDS)


class History:
    """Rows of totals. One thread cuts them, any may read.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._rows: tuple[tuple[int, Totals], ...] = ()
        self._slot = 0
        self.begin()

    def begin(self) -> None:
        """What was before is not known: a snapshot was taken, or there is nothing yet."""
        self._rows, self._slot, self._since = (), 0, self._clock()

    @property
    def since(self) -> float:
        """Since when it knows all, Unix seconds."""
        rows = self._rows
        return min(self._since, rows[0][0] * SLOT_SECONDS) if rows else self._since

    def parts(self, totals: Callable[[], Totals], events: Sequence[Told]) -> Iterator[Sequence[Told]]:
        """The events in pieces between which a row is cut; each must be folded before the next is asked for.

        Args:
            totals: The queue's at the moment of the call.
            events: In stream order.
        """
        latest = slot_of(self._clock())
        newest = slot_of(events[-1].timestamp) if events else 0
        if newest <= self._slot:
            yield events
        elif newest < latest - SLOTS:  # a replay of what the page no longer shows
            self._slot = newest
            yield events
        else:
            for slot, group in itertools.groupby(events, key=lambda event: slot_of(event.timestamp)):
                if self._slot < slot <= latest + _MOST_AHEAD:
                    self._rows = (*self._rows[1 - _MOST_ROWS :], (slot, totals()))
                    self._slot = slot
                yield list(group)

    def at(self, slot: int, now: Totals) -> Totals:
        """The totals at the beginning of a slot.

        Args:
            slot: As `slot_of` counts them.
            now: The totals of this moment: nothing was told since the last row's slot began but what they add to it.
        """
        return next((totals for border, totals in self._rows if border >= slot), now)
