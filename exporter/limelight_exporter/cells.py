"""The numbers themselves: one counter, one histogram. Seconds are kept as whole microseconds.

Whole numbers add up exactly and in any order, so two exporters agree to the last digit, and the phases of
``limelight_task_time_seconds_total`` to the last microsecond with the sum of the latencies.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from .catalog import BUCKETS

MICROS: Final = 1_000_000
"""How many of what is kept make a second."""

_BOUNDS: Final = tuple(round(bound * MICROS) for bound in BUCKETS)


def micros(seconds: Sequence[float]) -> list[int]:
    """Whole microseconds of durations, none of them negative."""
    if not any(seconds):
        return [0] * len(seconds)
    return [int(value * 1e6 + 0.5) for value in seconds]


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
    """

    __slots__ = ("counts", "exemplars", "micros")

    def __init__(self, counts: Iterable[int] = (0,) * (len(BUCKETS) + 1), total: int = 0) -> None:
        self.counts = list(counts)
        self.micros = total
        self.exemplars: dict[int, Exemplar] = {}

    def observe(self, values: Sequence[int]) -> int:
        """Count values in µs; returns how many buckets they fell into.

        They are sorted once, so that their buckets are found by a few searches and not by one for each.
        """
        self.micros += sum(values)
        counts, touched = self.counts, 0
        ordered, begin = sorted(values), 0
        for bucket, bound in enumerate(_BOUNDS):
            end = bisect_right(ordered, bound, begin)
            if end > begin:
                counts[bucket] += end - begin
                touched += 1
                begin = end
            if end == len(ordered):
                return touched
        counts[-1] += len(ordered) - begin
        return touched + 1


def bucket_of(value: int) -> int:
    """Which bucket a value in µs falls into."""
    return bisect_left(_BOUNDS, value)
