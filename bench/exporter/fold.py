"""The exporter: events per second from a real stream to updated metrics, against reading and decoding alone."""

import time

import redis

from limelight import RedisQueue, events
from limelight.consumer import Consumer
from limelight.embedded import EmbeddedRedis
from limelight.storage.links import Links
from limelight_exporter.queue_fold import QueueFold

TASKS = 500
COPIES = 40


def measure() -> dict[str, float]:
    """One round, over real events of real tasks, repeated on a stream."""
    with EmbeddedRedis() as server:
        queue = RedisQueue("bench", url=server.url)
        count, size = fill(queue)
        client = queue.storage.address.client()
        limit = count / seconds_to_decode(client, queue)
        folded = count / seconds_to_fold(Links(queue.storage.address), queue.name)
    return {
        "bytes per event": size,
        "XREAD and decode only, events/s (limit)": limit,
        "XREAD to updated metrics, events/s": folded,
        "fold / limit": folded / limit,
    }


def fill(queue: RedisQueue) -> tuple[int, float]:
    """Run tasks, then repeat their events on the stream with running numbers; returns events and mean size."""
    task = queue.task(name="nothing")(lambda: None)
    for _ in range(TASKS):
        task()
    consumer = Consumer(queue, workers=4)
    client = queue.storage.address.client()
    consumer.start()
    while client.hlen(queue.keys["tasks"]):
        time.sleep(0.01)
    consumer.stop()
    originals = [fields[b"e"] for _, fields in client.xrange(queue.keys["events"])]
    numbered = [(events.decode(one).seq, one) for one in originals]
    pipeline = client.pipeline(transaction=False)
    seq = len(originals)
    for _ in range(COPIES):
        for old, event in numbered:
            seq += 1
            pipeline.xadd(queue.keys["events"], {"e": event.replace(b'"seq":%d,' % old, b'"seq":%d,' % seq)})
        pipeline.execute()
    client.hset(queue.keys["meta"], "seq", seq)
    return seq, sum(map(len, originals)) / len(originals)


def seconds_to_decode(client: redis.Redis, queue: RedisQueue) -> float:
    """Read the stream in batches of 1,000 and decode every event, nothing more."""
    began, position = time.perf_counter(), "0"
    while reply := client.xread({queue.keys["events"]: position}, count=1_000):
        entries = reply[0][1] if isinstance(reply, list) else next(iter(reply.values()))[0]
        for _, fields in entries:
            events.decode(fields[b"e"])
        position = entries[-1][0]
    return time.perf_counter() - began


def seconds_to_fold(links: Links, queue: str) -> float:
    """Fold the stream with the exporter's own code."""
    fold = QueueFold(links, queue, "bench")
    began = time.perf_counter()
    fold.load()
    while fold.step():
        pass
    return time.perf_counter() - began
