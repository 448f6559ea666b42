"""taskiq on Redis streams, run by `taskiq worker` with one process."""

from typing import Any

from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from queues.adapter import QUEUE, RESULTS, URL, AsyncAdapter, command
from queues.notes import note_begin

broker = RedisStreamBroker(url=URL, queue_name=QUEUE)
if RESULTS:
    broker = broker.with_result_backend(
        RedisAsyncResultBackend(URL, prefix_str="result", result_ex_time=3_600)
    )


@broker.task
async def nothing() -> int:
    """The no-op."""
    return note_begin()


class Contender(AsyncAdapter):
    """taskiq acknowledges a task when it has run and its result is stored."""

    async def connect(self) -> None:
        """Makes the stream's group, too."""
        await broker.startup()

    def consumer(self, kind: str, workers: int) -> list[str]:
        """`taskiq worker`; `workers` coroutines at once."""
        words = ["queues.peers.taskiq:broker", "--workers", "1", "--max-async-tasks", str(workers)]
        return [command("taskiq"), "worker", *words, "--log-level", "WARNING"]

    def enqueue(self) -> Any:
        """One `kiq`."""
        return nothing.kiq()

    def held(self) -> int:
        """What the group has not read, and what it has not acknowledged."""
        groups: Any = self.redis.xinfo_groups(QUEUE)
        return sum(int(group["pending"]) + int(group["lag"] or 0) for group in groups)

    def stored(self) -> int:
        """A result is a key."""
        return self.count_keys("result:*")
