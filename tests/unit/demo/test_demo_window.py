"""The last seconds are remembered, and no more than these."""

import pytest

from limelight_exporter.demo.window import MOST_VALUES, PerSecond, Recent


def test_a_total_counts_the_whole_seconds_before_now() -> None:
    counts = PerSecond(60)
    for at in (100.1, 100.9, 101.5, 109.99, 110.0):
        counts.add(at)
    assert counts.total(110.5, 10) == 4
    assert counts.total(110.5, 9) == 2
    assert counts.total(111, 1) == 1


def test_what_is_older_than_the_window_is_forgotten() -> None:
    counts = PerSecond(10)
    counts.add(100)
    counts.add(111)
    assert counts.total(112, 100) == 1
    counts.add(99)
    assert counts.total(112, 100) == 1


def test_a_long_silence_leaves_nothing_behind() -> None:
    counts = PerSecond(10)
    counts.add(100)
    assert counts.total(1_000_000, 10) == 0
    counts.add(1_000_000)
    assert counts.total(1_000_001, 10) == 1


def test_the_history_s_spans_stand_still_while_time_goes_on() -> None:
    counts = PerSecond(60)
    for at in (90.0, 91.0, 93.0, 97.0, 98.0):
        counts.add(at)
    assert counts.history(99.0, 3, 3) == counts.history(100.9, 3, 3) == (2, 1, 2)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.95, 95), (1.0, 100)])
def test_a_quantile_is_a_value_that_was_there(share: float, expected: float) -> None:
    values = Recent()
    for value in range(1, 101):
        values.add(10, value)
    assert values.quantile(share, since=0) == expected


def test_a_quantile_of_too_few_or_too_old_values_is_none() -> None:
    values = Recent()
    for value in range(4):
        values.add(10, value)
    assert values.quantile(0.95, since=0) is None
    values.add(10, 4)
    assert values.quantile(0.95, since=0) == 4
    assert values.quantile(0.95, since=11) is None


def test_only_so_many_values_are_kept() -> None:
    values = Recent()
    for value in range(MOST_VALUES + 10):
        values.add(10, value)
    assert values.quantile(0.0001, since=0) == 10
