"""The queue: enqueue one by one, drain no-op tasks, idle latency; each beside a limit of the same Redis."""

import statistics
import threading
import time

import redis

from limelight import RedisQueue
from limelight.consumer import Consumer
from limelight.embedded import EmbeddedRedis

ENQUEUED = 3_000
LATENCY_SAMPLES = 200
_EVENT = "x" * 545


def measure() -> dict[str, float]:
    """One round. Rates are per second, latencies milliseconds, ratios against the limit named."""
    with EmbeddedRedis() as server:
        trips = round_trips(server.url)
        figures = {"XADD of 545 bytes, one by one /s (limit)": trips}
        figures["enqueue one by one /s"] = enqueue_rate(RedisQueue("bench", url=server.url))
        figures["enqueue / XADD"] = figures["enqueue one by one /s"] / trips
        for workers in (1, 8):
            for results in (False, True):
                queue = RedisQueue(f"drain{workers}{results}", url=server.url, results=results)
                label = f"drain, {workers} threads, results {'on' if results else 'off'}"
                figures[f"{label} /s"] = drain_rate(queue, workers)
        p50, p99 = idle_latency(RedisQueue("idle", url=server.url))
        figures |= {"idle enqueue → start p50 ms": p50, "idle enqueue → start p99 ms": p99}
    return figures


def round_trips(url: str) -> float:
    """How often a second one client can append one event and wait for the answer."""
    client = redis.Redis.from_url(url)
    began = time.perf_counter()
    for _ in range(ENQUEUED):
        client.xadd("limit", {"e": _EVENT})
    return ENQUEUED / (time.perf_counter() - began)


def enqueue_rate(queue: RedisQueue) -> float:
    """Enqueues per second of one thread."""
    task = queue.task(name="nothing")(_nothing)
    task()
    began = time.perf_counter()
    for _ in range(ENQUEUED):
        task()
    return ENQUEUED / (time.perf_counter() - began)


def drain_rate(queue: RedisQueue, workers: int) -> float:
    """No-op tasks per second of one consumer, from a full queue to an empty one."""
    task = queue.task(name="nothing")(_nothing)
    for _ in range(ENQUEUED):
        task()
    consumer = Consumer(queue, workers=workers)
    client = queue.storage.address.client()
    began = time.perf_counter()
    consumer.start()
    while client.hlen(queue.keys["tasks"]):
        time.sleep(0.002)
    rate = ENQUEUED / (time.perf_counter() - began)
    consumer.stop()
    return rate


def idle_latency(queue: RedisQueue) -> tuple[float, float]:
    """Milliseconds from a call of a task to the start of its code, on an idle consumer: median and p99."""
    started, arrived = threading.Event(), [0.0]

    def note() -> None:
        arrived[0] = time.perf_counter()
        started.set()

    task = queue.task(name="note")(note)
    consumer = Consumer(queue, workers=1)
    consumer.start()
    samples = []
    for _ in range(LATENCY_SAMPLES):
        time.sleep(0.005)
        started.clear()
        called = time.perf_counter()
        task()
        started.wait(10)
        samples.append((arrived[0] - called) * 1000)
    consumer.stop()
    return statistics.median(samples), statistics.quantiles(samples, n=100)[98]


def _nothing() -> None:
    """A task that costs nothing."""
