"""The numbers themselves: one counter, one histogram. Seconds are kept as whole microseconds.

Whole numbers add up exactly and in any order, so two exporters agree to the last digit, and the phases of
``limelight_task_time_seconds_total`` to the last microsecond with the sum of the latencies.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

MICROS: Final = 1_000_000
"""How many of what is kept make a second."""


def micros(seconds: Sequence[float]) -> list[int]:
    """Whole microseconds of durations, none of them negative."""
    if not any(seconds):
        return [0] * len(seconds)
    return [int(value * 1e6 + 0.5) for value in seconds]


def in_micros(buckets: Iterable[float]) -> tuple[int, ...]:
    """Upper bounds in seconds as histograms take them."""
    return tuple(round(bound * MICROS) for bound in buckets)


class Exemplar(NamedTuple):
    """A span that stands for the values in its bucket.

    Attributes:
        value: What was measured, in the unit of the metric.
        timestamp: Unix seconds by Redis' clock.
    """

    trace_id: str
    span_id: str
    value: float
    timestamp: float


class Counter:
    """A count, or microseconds; `exemplar` is the newest one, if there is any."""

    __slots__ = ("exemplar", "value")

    def __init__(self, value: int = 0) -> None:
        self.value = value
        self.exemplar: Exemplar | None = None


class Histogram:
    """Values by bucket.

    Attributes:
        counts: Per bucket, not cumulative, the last one beyond the highest bound.
        micros: Sum of all values.
        exemplars: Bucket → the newest one in it.

    Args:
        bounds: Upper bounds in µs, without the one that has no end.
        counts: What to go on from.
        total: Likewise.
    """

    __slots__ = ("_bounds", "counts", "exemplars", "micros")

    def __init__(self, bounds: tuple[int, ...], counts: Iterable[int] = (), total: int = 0) -> None:
        self._bounds = bounds
        self.counts = list(counts) or [0] * (len(bounds) + 1)
        self.micros = total
        self.exemplars: dict[int, Exemplar] = {}

    def observe(self, values: Sequence[int]) -> int:
        """Count values in µs; returns how many buckets they fell into.

        They are sorted once, so that their buckets are found by a few searches and not by one for each.
        """
        self.micros += sum(values)
        counts, touched = self.counts, 0
        ordered, begin = sorted(values), 0
        for bucket, bound in enumerate(self._bounds):
            end = bisect_right(ordered, bound, begin)
            if end > begin:
                counts[bucket] += end - begin
                touched += 1
                begin = end
            if end == len(ordered):
                return touched
        counts[-1] += len(ordered) - begin
        return touched + 1

    def bucket_of(self, value: int) -> int:
        """Which bucket a value in µs falls into."""
        return bisect_left(self._bounds, value)
