"""Huey on its Redis list, run by `huey_consumer`."""

from typing import Any

from huey import RedisHuey

from queues.adapter import QUEUE, RESULTS, URL, Adapter, command
from queues.notes import note_begin, note_span

huey = RedisHuey(QUEUE, url=URL, results=RESULTS)
nothing = huey.task()(note_begin)
mixed = huey.task()(note_span)


class Contender(Adapter):
    """Huey takes a task off its list before it runs it, and acknowledges nothing."""

    def consumer(self, kind: str, workers: int) -> list[str]:
        """`huey_consumer -k thread` or `-k process`."""
        target = "queues.peers.huey.huey"
        return [command("huey_consumer"), target, "-k", kind, "-w", str(workers), "-q"]

    def enqueue(self) -> Any:
        """One call of a task."""
        nothing()

    def enqueue_span(self, index: int, seconds: float) -> str:
        """One call with two arguments."""
        mixed(index, seconds)
        return ""

    def held(self) -> int:
        """What waits; what runs is nowhere."""
        return huey.pending_count()

    def stored(self) -> int:
        """One hash of results."""
        return huey.result_count()
