"""A queue and its tasks. Run them with: limelight consumer tasks:queue --workers 4."""

import random
import urllib.error

from limelight import RedisQueue, crontab

queue = RedisQueue("examples", service_name="examples")  # LIMELIGHT_REDIS_URL, else redis://localhost:6379/0


@queue.task()
def add(a: int, b: int) -> int:
    """Return a sum; its result is stored for a day."""
    return a + b


@queue.task(retries=3, retry_delay=0.5, retry_backoff=2)
def fetch(url: str) -> str:
    """Fail half of the time: retried after 0.5, 1 and 2 seconds, then a dead letter."""
    if random.random() < 0.5:
        raise urllib.error.URLError("the other side does not answer")
    return f"fetched {url}"


@queue.periodic_task(crontab(minute="0", hour="3", tz="Europe/Berlin"))
def nightly() -> None:
    """Run at three in the morning in Berlin, once, however many consumers there are."""
