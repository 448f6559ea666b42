"""docket on Redis streams, run by `docket worker`."""

import asyncio
import datetime as dt
import sys
from typing import Any

from docket import Docket, Worker

from queues.adapter import QUEUE, RESULTS, URL, AsyncAdapter, command
from queues.notes import note_begin

docket = Docket(name=QUEUE, url=URL)


async def nothing() -> int | None:
    """The no-op; docket stores whatever is not None."""
    one = note_begin()
    return one if RESULTS else None


tasks = [nothing]


class Contender(AsyncAdapter):
    """docket deletes a task from its stream when it has run and its result is stored."""

    async def connect(self) -> None:
        """Registers the task, too."""
        await docket.__aenter__()
        docket.register(nothing)

    def consumer(self, kind: str, workers: int) -> list[str]:
        """`docket worker`; `workers` coroutines at once. It looks for more ten times a second when it is full."""
        if kind == "tuned":
            return [sys.executable, "-m", "queues.peers.docket", str(workers)]
        words = ["--tasks", "queues.peers.docket:tasks", "--docket", QUEUE, "--url", URL]
        words += ["--concurrency", str(workers), "--logging-level", "WARNING"]
        return [command("docket"), "worker", *words]

    def enqueue(self) -> Any:
        """One `add`."""
        return docket.add(nothing)()

    def enqueue_bulk(self, count: int) -> Any:
        """`add_many`, a pipeline for every thousand."""
        return docket.add_many(docket.call(nothing)() for _ in range(count))

    def held(self) -> int:
        """What is on the stream."""
        return int(self.redis.xlen(docket.stream_key))

    def stored(self) -> int:
        """A result is a key."""
        return self.count_keys(f"{docket.results_collection}:*")


async def consume(workers: int) -> None:
    """Work as `docket worker` does, but look for more each millisecond, which the command does not offer."""
    docket.register(nothing)
    pause = dt.timedelta(milliseconds=1)
    async with docket, Worker(docket, concurrency=workers, minimum_check_interval=pause) as worker:
        await worker.run_forever()


if __name__ == "__main__":
    asyncio.run(consume(int(sys.argv[1])))
