"""No queue, but the limit of all that append an event with each enqueue: redis-py's XADD, one by one."""

from typing import Any, Final

from queues.adapter import QUEUE, Adapter, NotThere

_EVENT: Final = "x" * 545


class Contender(Adapter):
    """Appends to a stream."""

    def consumer(self, kind: str, workers: int) -> list[str]:
        """Nothing reads it."""
        raise NotThere("nothing consumes a limit")

    def enqueue(self) -> Any:
        """One XADD."""
        self.redis.xadd(QUEUE, {"e": _EVENT})

    def held(self) -> int:
        """What was appended."""
        return int(self.redis.xlen(QUEUE))
