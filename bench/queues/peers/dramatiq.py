"""dramatiq on Redis, run by `dramatiq` with one process."""

from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from queues.adapter import QUEUE, RESULTS, URL, Adapter, command
from queues.notes import note_begin

broker = RedisBroker(url=URL, namespace=QUEUE)
if RESULTS:
    broker.add_middleware(Results(backend=RedisBackend(url=URL, namespace="result")))
dramatiq.set_broker(broker)
options: dict[str, Any] = {"store_results": True} if RESULTS else {}


@dramatiq.actor(queue_name="default", **options)
def nothing() -> int | None:
    """The no-op; dramatiq warns of a value that nobody stores."""
    one = note_begin()
    return one if RESULTS else None


class Contender(Adapter):
    """dramatiq acknowledges a task when it has run and its result is stored."""

    def consumer(self, kind: str, workers: int) -> list[str]:
        """`dramatiq` with so many threads."""
        words = ["queues.peers.dramatiq", "--processes", "1", "--threads", str(workers), "--skip-logging"]
        return [command("dramatiq"), *words]

    def enqueue(self) -> Any:
        """One `send`."""
        nothing.send()

    def held(self) -> int:
        """A message stays in a hash until it is acknowledged."""
        return int(self.redis.hlen(f"{QUEUE}:default.msgs"))

    def stored(self) -> int:
        """A result is a key, whose name is a digest."""
        return sum(len(key) == 32 for key in self.redis.scan_iter("*", count=1_000))
