"""The delays between retries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limelight.retry import LONGEST_DELAY_SECONDS, after_retry


def delays(first: float, backoff: float, count: int) -> list[float]:
    """What `count` retries wait, one after the other."""
    waits = [first]
    while len(waits) < count:
        waits.append(after_retry(waits[-1], backoff))
    return waits


@pytest.mark.parametrize(
    ("first", "backoff", "expected"),
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
    first: float, backoff: float, expected: list[float]
) -> None:
    assert delays(first, backoff, 4) == expected


@given(st.floats(0, 1e6), st.floats(0, 1e9), st.integers(1, 50))
def test_no_delay_leaves_the_calendar(first: float, backoff: float, count: int) -> None:
    assert all(0 <= wait <= LONGEST_DELAY_SECONDS for wait in delays(first, backoff, count))


def test_a_long_delay_that_was_asked_for_is_kept() -> None:
    assert after_retry(2 * LONGEST_DELAY_SECONDS, 0) == 2 * LONGEST_DELAY_SECONDS
