"""An application of Huey 1.x, made to run on today's Python; REDIS_URL says where."""

from __future__ import annotations

import os
import threading
from typing import Any

import redis
from huey import RedisHuey

threading.Thread.isAlive = threading.Thread.is_alive  # gone since Python 3.9
huey: Any = RedisHuey(
    "my-app", connection_pool=redis.ConnectionPool.from_url(os.environ.get("REDIS_URL", "redis://localhost"))
)


@huey.task()
def add(a: int, b: int) -> int:
    return a + b


@huey.task(retries=2)
def fail() -> None:
    raise LookupError("no such thing:\nValueError: not this one")


def run() -> None:
    """Consume until told to stop."""
    huey.create_consumer(workers=2, periodic=False, backoff=1.0, initial_delay=0.05, max_delay=0.1).run()
