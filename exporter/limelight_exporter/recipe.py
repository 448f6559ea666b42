"""What all events of one kind do to which numbers, worked out once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress
from math import isnan
from operator import attrgetter
from typing import Final

from .cells import MICROS, Counter, Exemplar, Histogram, micros
from .fold import LONGEST_SECONDS, Told
from .ops import Measure
from .spans import exported_span
from .trace_keep import TraceKeep

_SUMMANDS: Final = (Measure.WAITED, Measure.RAN, Measure.BACKED_OFF, Measure.PARKED)


@dataclass(slots=True)
class Reading:
    """What is done with one measure.

    Attributes:
        histograms: Take the values.
        spent: Are raised by their sum.
        judges: Threshold in µs, and who counts what is within it and what is not.
    """

    histograms: list[Histogram] = field(default_factory=list)
    spent: list[Counter] = field(default_factory=list)
    judges: list[tuple[int, Counter, Counter]] = field(default_factory=list)

    def take(self, values: Sequence[int], events: Sequence[Told], *, exemplars: TraceKeep | None) -> None:
        """Count values in µs, one of each of these events; histograms point at spans that are exported by the rules."""
        for counter in self.spent:
            counter.value += sum(values)
        for histogram in self.histograms:
            touched = histogram.observe(values)
            if exemplars is not None:
                _exemplify(histogram, touched, values, events, exemplars)
        for threshold, good, bad in self.judges:
            within = sum(value <= threshold for value in values)
            good.value += within
            bad.value += len(values) - within


@dataclass(slots=True)
class Recipe:
    """Applies events of one kind, many at a time.

    Attributes:
        malformed: Counts values that can be no duration.
        exemplars: By which rules spans are exported that histograms and `failures` may point at; None: none are.
        counters: Are raised by one per event.
        failures: Those of them that count failures.
        readings: What is done with what the events measured.
    """

    malformed: Counter
    exemplars: TraceKeep | None
    counters: list[Counter] = field(default_factory=list)
    failures: list[Counter] = field(default_factory=list)
    readings: dict[Measure, Reading] = field(default_factory=dict)

    def apply(self, events: Sequence[Told]) -> None:
        """Count events of the recipe's kind, in stream order."""
        for counter in self.counters:
            counter.value += len(events)
        if self.exemplars is not None and self.failures:
            self._point_at_failure(events, self.exemplars)
        for measure in (Measure.WAIT, Measure.DURATION):
            if (reading := self.readings.get(measure)) is not None:
                self._read(measure, reading, events)
        if Measure.LATENCY in self.readings:
            self._read_latency(events)

    def _read(self, measure: Measure, reading: Reading, events: Sequence[Told]) -> None:
        told = list(map(attrgetter(measure.value), events))
        if None in told:
            events = [event for event, value in zip(events, told, strict=True) if value is not None]
            told = [value for value in told if value is not None]
        events, (values,) = self._sound(events, [told])
        if events:
            reading.take(values, events, exemplars=self.exemplars)

    def _read_latency(self, events: Sequence[Told]) -> None:
        """The four summands are read together: of an event that has one wrong, none reaches a sum."""
        told = [list(map(attrgetter(measure.value), events)) for measure in _SUMMANDS]
        events, columns = self._sound(events, told)
        if not events:
            return
        latencies = list(map(sum, zip(*filter(any, columns), strict=True))) or [0] * len(events)
        self.readings[Measure.LATENCY].take(latencies, events, exemplars=self.exemplars)
        for measure, column in zip(_SUMMANDS, columns, strict=True):
            if measure in self.readings:
                self.readings[measure].take(column, events, exemplars=self.exemplars)

    def _sound(
        self, events: Sequence[Told], columns: Sequence[Sequence[float]]
    ) -> tuple[Sequence[Told], Sequence[Sequence[int]]]:
        """Events whose values can all be durations, and these in µs; the others are counted as malformed."""
        if all(map(_are_sound, columns)):
            return events, [micros(column) for column in columns]
        kept = [_are_sound(row) for row in zip(*columns, strict=True)]
        self.malformed.value += kept.count(False)
        return list(compress(events, kept)), [micros(list(compress(column, kept))) for column in columns]

    def _point_at_failure(self, events: Sequence[Told], keep: TraceKeep) -> None:
        for event in reversed(events):
            if (ids := exported_span(event, keep)) is not None:
                for counter in self.failures:
                    counter.exemplar = Exemplar(*ids, 1.0, event.timestamp)
                return


def _are_sound(seconds: Sequence[float]) -> bool:
    """Whether numbers can be durations: neither negative nor beyond ten years, nor not a number."""
    return not seconds or (min(seconds) >= 0 and max(seconds) <= LONGEST_SECONDS and not isnan(sum(seconds)))


def _exemplify(
    histogram: Histogram,
    touched: int,
    values: Sequence[int],
    events: Sequence[Told],
    keep: TraceKeep,
) -> None:
    """The newest value in each bucket, if its span is exported, stands for those before it."""
    found = set[int]()
    for at in range(len(values) - 1, -1, -1):
        bucket = histogram.bucket_of(values[at])
        if bucket not in found and (ids := exported_span(events[at], keep)) is not None:
            histogram.exemplars[bucket] = Exemplar(*ids, values[at] / MICROS, events[at].timestamp)
            found.add(bucket)
            if len(found) == touched:
                return
