"""Moments as people write them: ``5m`` ago, ``15:05`` today, ``2026-11-22T15:05``."""

from __future__ import annotations

import re
from datetime import datetime, time
from typing import Final

from limelight.errors import ConfigurationError

_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SPAN: Final = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+")
_OF_DAY: Final = re.compile(r"\d\d:\d\d(:\d\d(\.\d+)?)?")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def unix_seconds(text: str, *, now: float) -> float:
    """The moment that a text means; times without a zone are local.

    Args:
        text: ``90s``, ``5m``, ``1h30m``, ``2d`` for so long before `now`; ``15:05`` for its day; or ISO 8601.
        now: Unix seconds.

    Raises:
        ConfigurationError: It is none of these; the message names them.
    """
    if _SPAN.fullmatch(text):
        return now - sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    try:
        return _clock_time(text, now).timestamp()
    except (ValueError, OverflowError):
        raise ConfigurationError(
            f"{text!r} is no moment: write 5m, 1h30m or 2d for so long ago, 15:05 for today, or 2026-11-22T15:05"
        ) from None


def _clock_time(text: str, now: float) -> datetime:
    if _OF_DAY.fullmatch(text):
        return datetime.combine(datetime.fromtimestamp(now), time.fromisoformat(text))
    return datetime.fromisoformat(text)
