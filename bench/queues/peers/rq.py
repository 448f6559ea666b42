"""RQ, run by `rq worker` with its SimpleWorker, which forks no process for each job and is therefore its fastest."""

from typing import Any

from rq import Queue

from queues.adapter import QUEUE, RESULTS, URL, Adapter, command
from queues.notes import note_begin

TTL = 500 if RESULTS else 0
"""Seconds that a job and its result are kept."""


class Contender(Adapter):
    """RQ keeps a job in a registry while it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = Queue(QUEUE, connection=self.redis)

    def consumer(self, kind: str, workers: int) -> list[str]:
        """`rq worker`; one job at a time."""
        words = ["--url", URL, "--worker-class", "rq.worker.SimpleWorker", "--quiet"]
        return [command("rq"), "worker", *words, "--disable-job-desc-logging", QUEUE]

    def enqueue(self) -> Any:
        """One job."""
        self.queue.enqueue(note_begin, result_ttl=TTL)

    def enqueue_bulk(self, count: int) -> None:
        """`enqueue_many`, a pipeline."""
        self.queue.enqueue_many([Queue.prepare_data(note_begin, result_ttl=TTL) for _ in range(count)])

    def held(self) -> int:
        """What waits and what runs."""
        return int(self.redis.llen(self.queue.key)) + int(self.redis.zcard(f"rq:wip:{QUEUE}"))

    def stored(self) -> int:
        """A result is a key."""
        return self.count_keys("rq:results:*")
