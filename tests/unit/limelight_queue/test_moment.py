"""Moments are read as people mean them."""

from datetime import UTC, datetime

import pytest

from limelight.cli.moment import unix_seconds
from limelight.errors import ConfigurationError

NOW = datetime(2026, 11, 22, 15, 5, 31).timestamp()


@pytest.mark.parametrize(
    ("text", "ago"),
    [("90s", 90), ("5m", 300), ("1h30m", 5_400), ("2d", 172_800), ("0.5h", 1_800)],
)
def test_a_span_counts_back_from_now(text: str, ago: float) -> None:
    assert unix_seconds(text, now=NOW) == NOW - ago


def test_a_time_of_day_is_of_today_and_local() -> None:
    assert unix_seconds("14:00", now=NOW) == datetime(2026, 11, 22, 14).timestamp()
    assert unix_seconds("14:00:01.5", now=NOW) == datetime(2026, 11, 22, 14, 0, 1, 500_000).timestamp()


def test_a_date_may_have_a_zone() -> None:
    assert unix_seconds("2026-11-22T15:05", now=NOW) == datetime(2026, 11, 22, 15, 5).timestamp()
    assert unix_seconds("2026-11-22T15:05Z", now=0) == datetime(2026, 11, 22, 15, 5, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "text", ["", "5", "5x", "m5", "15", "300", "-5m", "25:00", "soon", "9" * 400 + "-01-01"]
)
def test_anything_else_is_refused_with_what_would_do(text: str) -> None:
    with pytest.raises(ConfigurationError, match="write 5m, 1h30m or 2d"):
        unix_seconds(text, now=NOW)
