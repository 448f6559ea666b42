"""A queue without a server: for tests, and for trying things out."""

from __future__ import annotations

from typing import Any

from . import memory
from .errors import ConfigurationError
from .immediate import InlineWorker
from .task_queue import RedisQueue


class MemoryQueue(RedisQueue):
    """The same queue, held in this process: the same scripts, events, results and consumers, no Redis.

    What is on it ends with the process, and other processes do not see it.

    Args:
        name: As of `RedisQueue`.
        store: Where the data is; queues that are given the same one share it. By default a new one.
        options: Those of `RedisQueue`, without those that say where Redis is.

    Attributes:
        store: Where the data is.

    Raises:
        ConfigurationError: The extra ``limelight[memory]`` is not installed, or an option is about a server.
    """

    def __init__(
        self, name: str = "limelight", *, store: memory.MemoryStore | None = None, **options: Any
    ) -> None:
        if wrong := sorted(options.keys() & {"url", "host", "port", "path", "immediate_use_memory"}):
            raise ConfigurationError(f"MemoryQueue {name!r} has no server, so it takes no {', '.join(wrong)}")
        self.store = store or memory.MemoryStore()
        super().__init__(name, immediate_use_memory=False, **memory.in_memory(self.store), **options)
        self._drainer = InlineWorker(self)

    def drain(self) -> int:
        """Run, here and now, whatever is ready and what becomes ready by it; returns how many runs that were.

        Nothing runs that is not due yet; `advance` makes it so.
        """
        return self._drainer.drain()

    def advance(self, seconds: float) -> None:
        """Move the clock of the queue's store, and make ready what is due then; an immediate queue runs it.

        Schedules, leases and the lives of results go by that clock; Python's own stays where it is.
        """
        self._drainer.schedule()
        self.store.advance(seconds)
        self._drainer.promote()
        if self.immediate:
            self.drain()
