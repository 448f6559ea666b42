"""The delays between retries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limelight.retry import LONGEST_DELAY_SECONDS, STEADY, Backoff

SECONDS = st.floats(0, LONGEST_DELAY_SECONDS)
CHANCES = st.floats(0, 1, exclude_max=True)
BACKOFFS = st.builds(Backoff, SECONDS, SECONDS, st.floats(0, 1))


def delays(first: float, backoff: Backoff, count: int, chance: float = 0.0) -> list[float]:
    """What `count` retries wait, one after the other."""
    waits, retry_delay = [], first
    for _ in range(count):
        waits.append(backoff.delay(retry_delay, chance))
        retry_delay = backoff.next_delay(retry_delay)
    return waits


@pytest.mark.parametrize(
    ("first", "factor", "expected"),
    [
        (10, 0, [10, 10, 10, 10]),
        (10, 1, [10, 10, 10, 10]),
        (10, 2, [10, 20, 40, 80]),
        (10, 1.5, [10, 15, 22.5, 33.75]),
        (8, 0.5, [8, 4, 2, 1]),
        (0, 2, [0, 0, 0, 0]),
        (10, -1, [10, 10, 10, 10]),
    ],
)
def test_each_retry_waits_the_backoff_times_the_one_before(
    first: float, factor: float, expected: list[float]
) -> None:
    assert delays(first, Backoff(factor), 4) == expected


def test_no_retry_waits_longer_than_the_longest_not_even_the_first() -> None:
    assert delays(10, Backoff(2, longest_seconds=30), 4) == [10, 20, 30, 30]
    assert delays(10, Backoff(0, longest_seconds=3), 2) == [3, 3]


def test_jitter_takes_away_up_to_its_share_and_does_not_add_up() -> None:
    assert delays(10, Backoff(2, jitter=0.5), 3, chance=0.5) == [7.5, 15, 30]
    assert delays(10, Backoff(2, jitter=1), 3, chance=0) == [10, 20, 40]


@given(SECONDS, BACKOFFS, st.integers(1, 50), CHANCES)
def test_no_delay_is_negative_or_leaves_its_bounds(
    first: float, backoff: Backoff, count: int, chance: float
) -> None:
    assert all(0 <= wait <= backoff.longest_seconds for wait in delays(first, backoff, count, chance))


@given(SECONDS, st.floats(1, LONGEST_DELAY_SECONDS), SECONDS, st.floats(0, 1), CHANCES)
def test_delays_that_grow_never_shrink(
    first: float, factor: float, longest: float, jitter: float, chance: float
) -> None:
    waits = delays(first, Backoff(factor, longest, jitter), 20, chance)
    assert waits == sorted(waits)


@given(SECONDS, BACKOFFS, CHANCES, CHANCES)
def test_more_chance_never_waits_longer_and_leaves_what_jitter_leaves(
    first: float, backoff: Backoff, one: float, other: float
) -> None:
    full = backoff.delay(first)
    less, more = backoff.delay(first, max(one, other)), backoff.delay(first, min(one, other))
    assert full * (1 - backoff.jitter) <= less <= more <= full


@given(SECONDS, CHANCES)
def test_without_any_of_it_each_retry_waits_what_was_declared(delay: float, chance: float) -> None:
    assert delays(delay, STEADY, 3, chance) == [delay] * 3
