"""What the exporter counts about itself; unlike a queue's state it starts anew with the process."""

from __future__ import annotations

import threading
from typing import Final

from . import catalog
from .exposition import Exposition

_BORN_AT_ZERO: Final = (
    (catalog.SNAPSHOT_FAILURES, ()),
    (catalog.RECONNECTS, ()),
    (catalog.QUEUES_LEFT_OUT, ()),
    (catalog.SPANS_EXPORTED, ()),
    (catalog.SPANS_DROPPED, ("unsampled",)),
    (catalog.SPANS_DROPPED, ("poison",)),
    (catalog.SPANS_DROPPED, ("rejected",)),
    (catalog.SPANS_DROPPED, ("trimmed",)),
)


class OwnTally:
    """Thread-safe counters and gauges of the exporter itself."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[tuple[str, tuple[str, ...]], float] = dict.fromkeys(_BORN_AT_ZERO, 0)

    def add(self, metric: str, labels: tuple[str, ...] = (), amount: float = 1) -> None:
        """Raise a counter of the catalogue."""
        with self._lock:
            self._values[metric, labels] = self._values.get((metric, labels), 0) + amount

    def set(self, metric: str, labels: tuple[str, ...], value: float) -> None:
        """Set a gauge of the catalogue."""
        with self._lock:
            self._values[metric, labels] = value

    def highest(self, metric: str) -> float:
        """The highest value of a metric over all its labels, 0 if it has none."""
        with self._lock:
            return max((value for (name, _), value in self._values.items() if name == metric), default=0.0)

    def collect(self, exposition: Exposition) -> None:
        """Add all of it to a scrape."""
        with self._lock:
            values = list(self._values.items())
        for (metric, labels), value in values:
            exposition.add(metric, labels, value)
