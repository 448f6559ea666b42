"""A queue's totals per task, packed: what the page keeps of every ten seconds, and what lies between two of them."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from limelight import events as contract
from limelight_exporter import catalog
from limelight_exporter.cells import MICROS, Counter, Histogram

FAILED_OUTCOMES: Final = contract.FAILED_OUTCOMES | {"lost"}
_ENQUEUED, _COMPLETED, _ATTEMPTS, _FAILED, _RETRIES, _DEAD, _LOST, _RAN = range(8)
_FIRST_BUCKET: Final = 8

Totals: TypeAlias = "dict[str, array[int]]"
"""Task → its counts, then the buckets of run times, then those of waits."""
_Counters: TypeAlias = Mapping[str, Mapping[tuple[str, ...], Counter]]
_Histograms: TypeAlias = Mapping[str, Mapping[tuple[str, ...], Histogram]]

_PLAIN: Final = ((catalog.ENQUEUED, _ENQUEUED), (catalog.RETRIES, _RETRIES))
_BY_KIND: Final = (
    (catalog.COMPLETED, _COMPLETED, frozenset({"dead"}), _DEAD),
    (catalog.ATTEMPTS, _ATTEMPTS, FAILED_OUTCOMES, _FAILED),
    (catalog.ATTEMPTS, None, frozenset({"lost"}), _LOST),
)


def totals_of(counters: _Counters, histograms: _Histograms, buckets: int) -> Totals:
    """Copy what the page shows; for `QueueState.look`.

    Args:
        counters: By metric and labels (the task first).
        histograms: Likewise.
        buckets: How many a histogram has, the one without an end included.
    """
    found: Totals = {}

    def row(labels: tuple[str, ...]) -> array[int]:
        kept = found.get(labels[0])
        if kept is None:
            kept = found[labels[0]] = array("q", bytes(8 * (_FIRST_BUCKET + 2 * buckets)))
        return kept

    for metric, place in _PLAIN:
        for labels, cell in counters[metric].items():
            row(labels)[place] += cell.value
    for metric, all_at, special, special_at in _BY_KIND:
        for labels, cell in counters[metric].items():
            if cell.value:
                if all_at is not None:
                    row(labels)[all_at] += cell.value
                if labels[1] in special:
                    row(labels)[special_at] += cell.value
    for labels, histogram in histograms[catalog.DURATION].items():
        kept = row(labels)
        kept[_RAN] += histogram.micros
        _pour(kept, _FIRST_BUCKET, histogram.counts)
    for labels, histogram in histograms[catalog.WAIT].items():
        _pour(row(labels), _FIRST_BUCKET + buckets, histogram.counts)
    return found


def _pour(kept: array[int], at: int, counts: Sequence[int]) -> None:
    for offset, number in enumerate(counts, at):
        if number:
            kept[offset] += number


class Tally:
    """What happened between two moments: the difference of their totals, of one task or summed over many.

    Args:
        numbers: As in `Totals`.
        bounds: Upper bounds of the histograms' buckets in seconds, without the one that has no end.
    """

    __slots__ = ("_bounds", "_numbers")

    def __init__(self, numbers: array[int], bounds: Sequence[float]) -> None:
        self._numbers, self._bounds = numbers, bounds

    enqueued = property(lambda self: self._numbers[_ENQUEUED], doc="Tasks put on the queue.")
    completed = property(lambda self: self._numbers[_COMPLETED], doc="Tasks that ended.")
    attempts = property(lambda self: self._numbers[_ATTEMPTS], doc="Runs that closed.")
    failed = property(lambda self: self._numbers[_FAILED], doc="Runs that failed, timed out or were lost.")
    retries = property(lambda self: self._numbers[_RETRIES], doc="Retries.")
    dead = property(lambda self: self._numbers[_DEAD], doc="Tasks that became dead letters.")
    lost = property(lambda self: self._numbers[_LOST], doc="Runs whose worker was lost.")
    ran_seconds = property(lambda self: self._numbers[_RAN] / MICROS, doc="Time spent in runs.")

    def run_quantile(self, quantile: float) -> float | None:
        """Of the run times, in seconds; None where there are fewer than five."""
        return self._quantile(quantile, _FIRST_BUCKET)

    def wait_quantile(self, quantile: float) -> float | None:
        """Of the waits, likewise."""
        return self._quantile(quantile, _FIRST_BUCKET + len(self._bounds) + 1)

    def _quantile(self, quantile: float, at: int) -> float | None:
        counts = self._numbers[at : at + len(self._bounds) + 1]
        return histogram_quantile(quantile, counts, self._bounds) if sum(counts) >= FEWEST_OBSERVED else None


FEWEST_OBSERVED: Final = 5
"""Of fewer values a percentile says nothing."""


def between(before: Totals, after: Totals, bounds: Sequence[float]) -> dict[str, Tally]:
    """What happened per task; who is gone since is left out, and no number is negative."""
    nothing = array("q", bytes(8 * (_FIRST_BUCKET + 2 * (len(bounds) + 1))))
    return {
        task: Tally(array("q", map(_rise, before.get(task, nothing), numbers)), bounds)
        for task, numbers in after.items()
    }


def _rise(before: int, after: int) -> int:
    return max(0, after - before)


def done_of(totals: Totals) -> tuple[int, int]:
    """Of all tasks together: how many ended, and how many runs failed."""
    return sum(row[_COMPLETED] for row in totals.values()), sum(row[_FAILED] for row in totals.values())


def summed(tallies: Iterable[Tally], bounds: Sequence[float]) -> Tally:
    """All of them as one."""
    total = array("q", bytes(8 * (_FIRST_BUCKET + 2 * (len(bounds) + 1))))
    for tally in tallies:
        for place, number in enumerate(tally._numbers):  # noqa: SLF001 - its own kind
            if number:
                total[place] += number
    return Tally(total, bounds)


def histogram_quantile(quantile: float, counts: Sequence[int], bounds: Sequence[float]) -> float:
    """As PromQL's function of that name: straight lines within buckets, the last bound for what lies beyond it.

    https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
    """
    rank, below = quantile * sum(counts), 0
    for bucket, count in enumerate(counts):
        if below + count >= rank and (count or bucket == len(bounds)):
            break
        below += count
    if bucket >= len(bounds):
        return bounds[-1]
    start = bounds[bucket - 1] if bucket else 0.0
    return start + (bounds[bucket] - start) * (rank - below) / count
