"""saq on Redis, run by `saq`."""

from typing import Any

from saq import Queue

from queues.adapter import QUEUE, RESULTS, URL, AsyncAdapter, command
from queues.notes import note_begin

queue = Queue.from_url(URL, name=QUEUE)
TTL = 600 if RESULTS else -1
"""Seconds that a job and its result are kept; -1: not at all."""


async def nothing(_context: object) -> int:
    """The no-op."""
    return note_begin()


def settings(workers: int) -> dict[str, Any]:
    """What `saq` reads."""
    return {"queue": queue, "functions": [nothing], "concurrency": workers}


settings_1, settings_8 = settings(1), settings(8)


class Contender(AsyncAdapter):
    """saq takes a job off its lists when it has run, and keeps it for its result."""

    async def connect(self) -> None:
        """Connects."""
        await queue.connect()

    def consumer(self, kind: str, workers: int) -> list[str]:
        """`saq`; `workers` coroutines at once."""
        return [command("saq"), f"queues.peers.saq.settings_{workers}", "--quiet"]

    def enqueue(self) -> Any:
        """One job."""
        return queue.enqueue("nothing", ttl=TTL)

    def held(self) -> int:
        """What is not complete."""
        return int(self.redis.zcard(f"saq:{QUEUE}:incomplete"))

    def stored(self) -> int:
        """A job that is kept has its result."""
        return self.count_keys(f"saq:job:{QUEUE}:*")
