"""The gauges of a scrape: what a look at one queue costs, with nothing queued and with a million tasks."""

import time
from collections.abc import Callable

from limelight import RedisQueue
from limelight.embedded import EmbeddedRedis
from limelight.inspection import queue_view
from limelight.storage.links import Links

QUEUED = 1_000_000
LOOKS = 200
_FILL = """
for n = ARGV[1], ARGV[2] do
  redis.call('HSET', KEYS[1], n, 'x')
  redis.call('ZADD', KEYS[2], n, n)
  redis.call('ZADD', KEYS[3], n, n)
end
"""


def measure() -> dict[str, float]:
    """One round."""
    with EmbeddedRedis() as server:
        queue = RedisQueue("bench", url=server.url)
        links = Links(queue.storage.address)
        empty = microseconds(lambda: queue_view(links, queue.name))
        fill(queue)
        full = microseconds(lambda: queue_view(links, queue.name))
        assert queue_view(links, queue.name).ready == QUEUED
    return {
        "gauges of an empty queue, µs": empty,
        "gauges with 1,000,000 tasks ready, µs": full,
        "full ÷ empty": full / empty,
    }


def microseconds(look: Callable[[], object]) -> float:
    """The fastest of many looks: the others are the machine's noise."""
    best = float("inf")
    for _ in range(LOOKS):
        began = time.perf_counter()
        look()
        best = min(best, time.perf_counter() - began)
    return best * 1e6


def fill(queue: RedisQueue) -> None:
    """As many records and index entries as so many ready tasks have; what is in a record does not matter here."""
    client, keys = queue.storage.address.client(), queue.keys
    for begin in range(1, QUEUED, 10_000):
        client.eval(_FILL, 3, keys["tasks"], keys["ready"], keys["ready_since"], begin, begin + 9_999)
