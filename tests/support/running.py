"""Running consumers in tests, and reading what they told."""

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import redis

from limelight import RedisQueue, TaskWrapper
from limelight.consumer import Consumer
from limelight.packed_event import as_json


@contextlib.contextmanager
def consuming(queue: RedisQueue | Sequence[RedisQueue], **options: Any) -> Iterator[Consumer]:
    """A consumer in this process; stopped at the end, also when the test fails."""
    consumer = Consumer(queue, **{"workers": 2, "lease_seconds": 3, "shutdown_timeout": 5, **options})
    consumer.start()
    try:
        yield consumer
    finally:
        consumer.stop()


def client_of(queue: RedisQueue) -> redis.Redis:
    """A client of the server that has the queue."""
    return queue.storage.address.client(queue.keys["meta"])


def told(queue: RedisQueue, **wanted: Any) -> list[dict[str, Any]]:
    """The events on the queue's stream, in order; only those with the wanted keys."""
    entries = client_of(queue).xrange(queue.keys["events"])
    events = [json.loads(as_json(queue.name, fields)) for _, fields in entries]
    return [event for event in events if all(event.get(key) == value for key, value in wanted.items())]


def statuses(queue: RedisQueue, **wanted: Any) -> list[str]:
    """Their statuses."""
    return [event["status"] for event in told(queue, **wanted)]


def has_ended(queue: RedisQueue, task_id: str) -> bool:
    """Whether the task's last event has been told."""
    return any("end" in event for event in told(queue, id=task_id))


def is_accounted_for(queue: RedisQueue) -> None:
    """Assert the conservation laws that must hold at every moment (reliability: I2, I3, I4, I5, I7, I8)."""
    client, keys = client_of(queue), queue.keys
    indexes = {
        name: {member.decode() for member in client.zrange(keys[name], 0, -1)}
        for name in ("delayed", "scheduled", "ready", "reserved", "running", "dead")
    }
    records = {task_id.decode() for task_id in client.hkeys(keys["tasks"])}
    assert sum(len(ids) for ids in indexes.values()) == len(records), indexes
    assert set().union(*indexes.values()) == records
    assert {m.decode() for m in client.zrange(keys["running_since"], 0, -1)} == indexes["running"]
    waiting = indexes["ready"] | indexes["reserved"]
    assert {m.decode() for m in client.zrange(keys["ready_since"], 0, -1)} == waiting
    events = told(queue)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    starts = [(event["id"], event["run"]) for event in events if event["status"] == "started"]
    closes = [(event["id"], event["run"]) for event in events if "outcome" in event]
    assert len(set(starts)) == len(starts), "a run was started twice"
    assert len(set(closes)) == len(closes), "a run was closed twice"
    assert set(closes) <= set(starts), "a run was closed that never started"
    assert {task_id for task_id, _ in set(starts) - set(closes)} == indexes["running"]
    enqueued = [event["id"] for event in events if event["status"] == "enqueued"]
    ended = [event["id"] for event in events if "end" in event]
    lives = Counter(enqueued)  # a dead letter that was requeued has more than one
    assert all(count <= lives[task_id] for task_id, count in Counter(ended).items()), "a task ended twice"
    assert len(enqueued) == len(ended) + len(records - indexes["dead"])


def timed(
    queue: RedisQueue, func: Callable[..., Any], timeout: float, **options: Any
) -> TaskWrapper[..., Any]:
    """Declare a task with a timeout."""
    return queue.task(name=func.__name__, timeout=timeout, **options)(func)


def worker_threads(others: set[threading.Thread]) -> list[threading.Thread]:
    """The worker threads of this process that are none of `others`: an earlier test may have left one in a task."""
    return [
        thread
        for thread in threading.enumerate()
        if thread.name.startswith("worker-") and thread not in others
    ]
