"""The numbers of the live page: how they are written, cut into ten seconds, and made into percentiles."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limelight_exporter.catalog import BUCKETS
from limelight_exporter.config_file import DEFAULTS
from limelight_exporter.fold import MetricEvent
from limelight_exporter.metric_state import QueueState
from limelight_exporter.page import formats
from limelight_exporter.page.history import SLOT_SECONDS, SLOTS, History, slot_of
from limelight_exporter.page.tallies import Totals, between, done_of, histogram_quantile, summed, totals_of

NOW = 1_795_359_900.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "–"), (0, "0 s"), (0.0004, "0 ms"), (0.31, "310 ms"), (0.9996, "1 s"), (8.44, "8.4 s"), (10, "10 s"),
        (59.94, "59.9 s"), (59.96, "1 m"), (400, "6 m 40 s"), (300, "5 m"), (7_500, "2 h 5 m"), (3_599.7, "1 h"),
        (532_800, "6 d 4 h"), (-3, "0 s"), (float("nan"), "–"), (float("inf"), "–"),
    ],
)  # fmt: skip
def test_durations_have_two_units_at_most(seconds: float | None, words: str) -> None:
    assert formats.duration(seconds) == words


@given(st.floats(min_value=0, max_value=1e9))
def test_no_duration_is_written_with_a_unit_that_is_full(seconds: float) -> None:
    full = {"s": 60, "m": 60, "h": 24, "ms": 1_000}
    parts = formats.duration(seconds).split(" ")
    for number, unit in zip(parts[::2], parts[1::2], strict=True):
        assert float(number) < full.get(unit, float("inf")), (seconds, parts)


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (0, "0"),
        (184.4, "184"),
        (14.21, "14.2"),
        (1.1, "1.1"),
        (0.3, "0.3"),
        (0.0166, "0.02"),
        (12_345.6, "12,346"),
    ],
)
def test_rates_have_three_digits(rate: float, words: str) -> None:
    assert formats.rate(rate) == words


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        (19, 55_214, "0.034 %"),
        (62, 100, "62 %"),
        (0, 9, "0 %"),
        (1, 0, "–"),
        (1, 10**9, "< 0.01 %"),
        (99, 1000, "9.9 %"),
    ],
)
def test_shares_are_percent(part: float, whole: float, words: str) -> None:
    assert formats.share(part, whole) == words


def test_what_changes_how_its_neighbours_look_is_spelt_out() -> None:
    assert formats.visible("pay\u202egnp.exe\x00\u200b") == "pay\\u202egnp.exe\\u0000\\u200b"
    assert formats.visible("a\nb") == "a\\u000ab"
    assert formats.visible("a\n\tb\r", 10, lines=True) == "a\n\tb\\u000d"
    assert formats.visible("x" * 100) == "x" * 80 + "…"


def test_a_moment_that_no_calendar_holds_is_still_written() -> None:
    assert formats.date(1e300).startswith("1 Jan 1970")
    assert formats.clock(float("-inf")) == "00:00:00"


def _event(status: str, at: float, **keys: object) -> MetricEvent:
    return MetricEvent(status=status, queue="mail", seq=1, timestamp=at, task="send", **keys)  # type: ignore[arg-type]


def _finished(at: float) -> MetricEvent:
    return _event("finished", at, outcome="success", end="success", duration=0.03)


class _Watched:
    """A state that is folded as the exporter does it, and its history."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now
        self.state = QueueState("mail")
        self.history = History(lambda: self.now)

    def totals(self) -> Totals:
        return self.state.look(lambda counters, histograms: totals_of(counters, histograms, len(BUCKETS) + 1))

    def fold(self, *events: MetricEvent) -> None:
        for part in self.history.parts(self.totals, events):
            self.state.fold(part)

    def completed(self, back: int) -> int:
        """Since so many ten seconds ago."""
        now = self.totals()
        return done_of(now)[0] - done_of(self.history.at(slot_of(self.now) - back, now))[0]


def test_a_replay_fills_the_slots_by_the_events_own_time() -> None:
    watched = _Watched()
    watched.fold(*(_finished(NOW - seconds) for seconds in range(295, -1, -5)))  # two in each ten seconds
    assert [watched.completed(back) for back in range(4)] == [1, 3, 5, 7]
    assert watched.history.since == slot_of(NOW - 295) * SLOT_SECONDS


def test_a_batch_over_many_slots_counts_as_one_event_at_a_time_does() -> None:
    times = sorted(NOW - random.Random(3).uniform(0, 290) for _ in range(200))
    together, apart = _Watched(), _Watched()
    together.fold(*map(_finished, times))
    for at in times:
        apart.fold(_finished(at))
    assert [together.completed(back) for back in range(SLOTS)] == [
        apart.completed(back) for back in range(SLOTS)
    ]


def test_a_queue_at_rest_keeps_no_rows_and_forgets_what_is_old() -> None:
    watched = _Watched()
    watched.fold(_finished(NOW))
    watched.now += 4_000
    assert watched.completed(SLOTS) == 0
    watched.fold(_finished(watched.now))
    assert watched.completed(SLOTS) == 1


def test_what_is_older_than_five_minutes_is_folded_in_one_piece() -> None:
    watched = _Watched()
    parts = list(watched.history.parts(watched.totals, [_finished(NOW - 9_000 + at) for at in range(500)]))
    assert [len(part) for part in parts] == [500]


def test_an_event_from_a_far_future_cuts_nothing() -> None:
    watched = _Watched()
    watched.fold(_finished(NOW - 5), _finished(NOW + 10**9), _finished(1e300))
    watched.fold(_finished(NOW))
    assert watched.completed(1) == 4
    assert watched.history.at(slot_of(NOW) + 1, watched.totals()) == watched.totals()


def test_after_another_snapshot_nothing_of_before_counts() -> None:
    watched = _Watched()
    watched.fold(_finished(NOW - 60))
    watched.history.begin()
    assert watched.history.since == NOW
    assert watched.completed(SLOTS) == 0


def test_tallies_are_the_difference_of_two_scrapes() -> None:
    watched = _Watched()
    watched.fold(_event("enqueued", NOW - 200), _finished(NOW - 200))
    before = watched.totals()
    watched.fold(
        _event("enqueued", NOW), _event("started", NOW, wait=0.2), _finished(NOW),
        _event("error-task", NOW, outcome="error", error=True, error_type="OSError", duration=0.01),
        _event("retrying", NOW), _event("lost", NOW, outcome="lost", error=True, error_type="WorkerLost"),
        _event("dead", NOW, end="dead"),
    )  # fmt: skip
    (tally,) = between(before, watched.totals(), BUCKETS).values()
    counts = (
        tally.enqueued,
        tally.completed,
        tally.attempts,
        tally.failed,
        tally.retries,
        tally.dead,
        tally.lost,
    )
    assert counts == (1, 2, 3, 2, 1, 1, 1)
    assert tally.ran_seconds == pytest.approx(0.04)
    assert summed([tally, tally], BUCKETS).completed == 4
    assert tally.run_quantile(0.5) is None  # of two values it says nothing


@pytest.mark.parametrize(
    ("quantile", "counts", "answer"),
    [
        (0.5, [0, 10, 0, 0], 1.5),  # a straight line within the bucket
        (0.5, [10, 0, 0, 0], 0.5),  # from zero in the first
        (0.95, [0, 0, 0, 3], 4.0),  # the last bound for what lies beyond it
        (0.5, [5, 0, 5, 0], 1.0),  # the end of the bucket that fills the rank
        (0.0, [0, 4, 0, 0], 1.0),
    ],
)
def test_quantiles_are_those_of_promql(quantile: float, counts: list[int], answer: float) -> None:
    assert histogram_quantile(quantile, counts, (1.0, 2.0, 4.0)) == pytest.approx(answer)


def test_the_default_buckets_are_those_of_the_catalogue() -> None:
    assert DEFAULTS.buckets == BUCKETS
