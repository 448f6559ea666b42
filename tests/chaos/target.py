"""The queue that chaos is made of: what producers, consumers and judges must agree on."""

from __future__ import annotations

from typing import Any, Final

from limelight import RedisQueue

QUEUE_NAME: Final = "chaos"
MAX_REDELIVERIES: Final = 20
"""High enough that a task is rarely buried because it stood beside others that were killed."""


def chaos_queue(url: str | None = None, **options: Any) -> RedisQueue:
    """The queue; by default at ``LIMELIGHT_REDIS_URL``."""
    return RedisQueue(QUEUE_NAME, url, max_redeliveries=MAX_REDELIVERIES, **options)
