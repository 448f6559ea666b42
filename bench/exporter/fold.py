"""From a real stream to updated metrics: events per second of one core, in CPU time, for this machine is shared.

Beside it stand two others, measured in the same round on the same stream. The limit reads with redis-py's XREAD and
decodes whole events, and does nothing with them. prometheus_client is what one would write without Limelight: the
same reading, then ``labels().inc()`` and ``labels().observe()`` for the same families.
"""

import time
from collections.abc import Callable, Iterator

import redis
from exporter import telling
from prometheus_client import CollectorRegistry, Counter, Histogram

from limelight import RedisQueue
from limelight.embedded import EmbeddedRedis
from limelight.events import Event
from limelight.packed_event import PackedEvent, decode_whole
from limelight.storage.links import Links
from limelight_exporter.catalog import BUCKETS, PHASES
from limelight_exporter.page import Memory
from limelight_exporter.queue_fold import QueueFold
from limelight_exporter.trace_keep import NOTHING

TASKS = 40_000
NAMES = 4
XREAD_COUNT = 1_000
SAMPLE = 3_000


def measure() -> dict[str, float]:
    """One round, over real events of real tasks; objectives and exemplars are on."""
    with EmbeddedRedis() as server:
        queue = telling.queue_at(server.url)
        telling.tell(server.url, TASKS, NAMES)
        client = queue.storage.address.client()
        count, size = told(client, queue)
        limit = count / cpu_seconds(lambda: decode_all(client, queue))
        folded = count / cpu_seconds(lambda: fold_all(Links(queue.storage.address), queue))
        watched = count / cpu_seconds(lambda: fold_all(Links(queue.storage.address), queue, page=True))
        plain = count / cpu_seconds(lambda: PrometheusClient().fold(client, queue))
    return {
        "bytes per event": size,
        "XREAD and decode only, events per CPU s (limit)": limit,
        "XREAD to updated metrics, events per CPU s": folded,
        "the same, and what the live page remembers": watched,
        "the same with prometheus_client's own counters": plain,
        "fold ÷ limit": folded / limit,
        "fold ÷ prometheus_client": folded / plain,
    }


def cpu_seconds(work: Callable[[], None]) -> float:
    """What this process spends on it, the kernel's part included."""
    began = time.process_time()
    work()
    return time.process_time() - began


def told(client: redis.Redis, queue: RedisQueue) -> tuple[int, float]:
    """How many events there are, and their mean size."""
    lengths = [
        sum(map(len, fields.values())) for _, fields in client.xrange(queue.keys["events"], count=SAMPLE)
    ]
    return client.xlen(queue.keys["events"]), sum(lengths) / len(lengths)


def read_all(client: redis.Redis, queue: RedisQueue) -> Iterator[Event | PackedEvent]:
    """Read the stream in batches of 1,000 and decode every event."""
    position: bytes | str = "0"
    while reply := client.xread({queue.keys["events"]: position}, count=XREAD_COUNT):
        entries = reply[0][1] if isinstance(reply, list) else next(iter(reply.values()))[0]
        for _, fields in entries:
            yield decode_whole(fields)
        position = entries[-1][0]


def decode_all(client: redis.Redis, queue: RedisQueue) -> None:
    """Nothing but that."""
    position: bytes | str = "0"
    while reply := client.xread({queue.keys["events"]: position}, count=XREAD_COUNT):
        entries = reply[0][1] if isinstance(reply, list) else next(iter(reply.values()))[0]
        for _, fields in entries:
            decode_whole(fields)
        position = entries[-1][0]


def fold_all(links: Links, queue: RedisQueue, *, page: bool = False) -> None:
    """Fold the stream with the exporter's own code; `page`: and with the live page looking on."""
    onlooker = Memory("bench", len(BUCKETS) + 1, tracebacks=True).of(queue.name, links) if page else None
    fold = QueueFold(links, queue.name, "bench", exemplars=NOTHING, onlooker=onlooker)
    fold.load()
    while fold.step():
        pass


class PrometheusClient:
    """The main families, kept by prometheus_client."""

    def __init__(self) -> None:
        registry = CollectorRegistry()

        def counter(name: str, *labels: str) -> Counter:
            return Counter(name, name, ["queue", *labels], registry=registry)

        def histogram(name: str, *labels: str) -> Histogram:
            return Histogram(name, name, ["queue", *labels], registry=registry, buckets=BUCKETS)

        self.events = counter("events", "event")
        self.enqueued = counter("enqueued", "task")
        self.attempts = counter("attempts", "task", "outcome")
        self.completed = counter("completed", "task", "outcome")
        self.spent = counter("spent_seconds", "task", "phase")
        self.evaluations = counter("evaluations", "task", "objective", "result")
        self.wait = histogram("wait_seconds", "task")
        self.duration = histogram("duration_seconds", "task", "result")
        self.latency = histogram("latency_seconds", "task")

    def fold(self, client: redis.Redis, queue: RedisQueue) -> None:
        """Fold the stream, event by event."""
        for event in read_all(client, queue):
            self.count(event)

    def count(self, event: Event | PackedEvent) -> None:
        """Fold one event."""
        where, task = telling.QUEUE, event.task or ""
        self.events.labels(where, event.status).inc()
        if event.status == "enqueued":
            self.enqueued.labels(where, task).inc()
        if event.status == "started" and event.wait is not None:
            self.wait.labels(where, task).observe(event.wait, exemplar(event))
            self.judge(event, "wait", event.wait, 5)
        if event.outcome is not None and event.duration is not None:
            self.attempts.labels(where, task, event.outcome).inc()
            self.duration.labels(where, task, "ok").observe(event.duration, exemplar(event))
            self.judge(event, "duration", event.duration, 1)
        if event.end is not None:
            spent = (event.waited_seconds, event.ran_seconds, event.backed_off_seconds, event.parked_seconds)
            phases = [seconds or 0.0 for seconds in spent]
            self.completed.labels(where, task, event.end).inc()
            self.latency.labels(where, task).observe(sum(phases), exemplar(event))
            for phase, seconds in zip(PHASES, phases, strict=True):
                self.spent.labels(where, task, phase).inc(seconds)
            self.judge(event, "latency", sum(phases), 60)
            self.judge(event, "success", 0, 0)

    def judge(self, event: Event | PackedEvent, objective: str, seconds: float, threshold: float) -> None:
        """Count one evaluation."""
        verdict = "good" if seconds <= threshold else "bad"
        self.evaluations.labels(telling.QUEUE, event.task or "", objective, verdict).inc()


def exemplar(event: Event | PackedEvent) -> dict[str, str] | None:
    """The span to point at."""
    if not event.trace_flags & 1:
        return None
    return {"trace_id": event.trace_id or "", "span_id": event.span_id or ""}
