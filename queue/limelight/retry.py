"""How long a task waits before it runs again. Pure: no clock, no Redis."""

from __future__ import annotations

from typing import Final

LONGEST_DELAY_SECONDS: Final = 10 * 366 * 86_400.0
"""No delay grows past ten years, so that none becomes infinite or leaves the calendar."""


def after_retry(delay_seconds: float, backoff: float) -> float:
    """Return the delay of the retry that follows the coming one.

    As in Huey, the first retry waits the task's ``retry_delay`` and each further one ``retry_backoff`` times
    the one before.

    Args:
        delay_seconds: What the coming retry waits.
        backoff: The factor; 0 or less keeps the delay constant.

    Returns:
        Seconds, at most ``LONGEST_DELAY_SECONDS`` if the delay grew.
    """
    if backoff <= 0:
        return delay_seconds
    return min(delay_seconds * backoff, LONGEST_DELAY_SECONDS)
