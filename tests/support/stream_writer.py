"""Writes events by hand, as the queue's scripts would: numbered, in one stream, with an epoch."""

from __future__ import annotations

import json
import time
from typing import Any

import redis

from limelight.keys import REGISTRY, QueueKeys

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


def event(status: str, seq: int = 1, **keys: Any) -> dict[str, Any]:
    """An event with the keys that all have; `keys` adds and replaces."""
    common = {"v": 1, "queue": "mail", "seq": seq, "timestamp": 1_700_000_000.5, "emitter": "e1"}
    return {"status": status, "error": False, **common, **keys}


class StreamWriter:
    """Appends events to one queue's stream.

    Args:
        url: Where Redis is.
        queue: Name of the queue; it is announced at once.
        epoch: Which life of the stream this is.
    """

    def __init__(self, url: str, queue: str = "mail", epoch: str = "first") -> None:
        self.client = redis.Redis.from_url(url)
        self.queue, self.keys, self.epoch = queue, QueueKeys(queue), epoch
        self.announce()

    def announce(self) -> None:
        """Have exporters find the queue."""
        self.client.zadd(REGISTRY, {self.queue: time.time()})

    def tell(self, status: str, **keys: Any) -> str:
        """Append one event; returns its stream id."""
        (stream_id,) = self.tell_all([(status, keys)])
        return stream_id

    def tell_all(self, events: list[tuple[str, dict[str, Any]]]) -> list[str]:
        """Append events in one transaction, numbered without a gap."""
        last = int(self.client.hget(self.keys["meta"], "seq") or 0) + len(events)
        pipeline = self.client.pipeline()  # one transaction, as events and their number are in the scripts
        pipeline.hset(self.keys["meta"], "seq", last)
        pipeline.hset(self.keys["meta"], "epoch", self.epoch)
        for seq, (status, keys) in enumerate(events, last - len(events) + 1):
            told = event(status, seq, **{"queue": self.queue, "timestamp": time.time(), **keys})
            pipeline.xadd(self.keys["events"], {"e": json.dumps(told)})
        return [stream_id.decode() for stream_id in pipeline.execute()[2:]]

    def finish_tasks(self, count: int, task: str = "send", **keys: Any) -> None:
        """Tell of tasks that were enqueued, started and finished, two events of ten ms each and three in all."""
        told: list[tuple[str, dict[str, Any]]] = []
        for _ in range(count):
            told.append(("enqueued", {"task": task}))
            told.append(("started", {"task": task, "wait": 0.01, "run": 1}))
            told.append(("finished", finished(task) | keys))
        self.tell_all(told)

    def raw(self, body: bytes) -> None:
        """Append what is no event of ours."""
        self.client.xadd(self.keys["events"], {"e": body})


def finished(task: str = "send") -> dict[str, Any]:
    """What the closing event of a task carries that succeeded at once."""
    return {
        "task": task, "outcome": "success", "end": "success", "duration": 0.02, "run": 1, "attempt": 1,
        "waited_seconds": 0.01, "ran_seconds": 0.02,
    }  # fmt: skip


def run_span(span_id: str, *, trace_flags: int = 1) -> dict[str, Any]:
    """What makes a closing event tell of a span."""
    return {
        "id": "0af76519-16cd-43dd-8448-eb211c80319c", "trace_id": TRACE_ID, "span_id": span_id,
        "parent_span_id": "b7ad6b7169203331", "trace_flags": trace_flags, "host": "web-1", "worker": "w-1",
        "service": {"service.name": "shop"}, "span_start": "1700000000000000001",
        "span_end": "1700000000020000002", "started_at": 1_700_000_000.0,
    }  # fmt: skip
