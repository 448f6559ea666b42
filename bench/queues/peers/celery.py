"""Celery on Redis, run by `celery worker`."""

from typing import Any

from celery import Celery

from queues.adapter import EVENTS, RESULTS, URL, Adapter, command
from queues.notes import note_begin

app = Celery("bench", broker=URL, backend=URL if RESULTS else None)
app.conf.update(
    task_ignore_result=not RESULTS,
    worker_send_task_events=EVENTS,
    task_send_sent_event=EVENTS,
    broker_connection_retry_on_startup=True,
)
nothing = app.task(name="nothing")(note_begin)


class Contender(Adapter):
    """Celery acknowledges a task before it runs; results are stored after it."""

    def consumer(self, kind: str, workers: int) -> list[str]:
        """`celery worker --pool prefork`, `threads` or `solo`."""
        words = ["--app", "queues.peers.celery", "worker", "--pool", kind, "--concurrency", str(workers)]
        return [command("celery"), *words, "--loglevel", "WARNING"]

    def enqueue(self) -> Any:
        """One `delay`."""
        nothing.delay()

    def held(self) -> int:
        """What waits, and what was not acknowledged."""
        return int(self.redis.llen("celery")) + int(self.redis.hlen("unacked"))

    def stored(self) -> int:
        """A result is a key."""
        return self.count_keys("celery-task-meta-*")
