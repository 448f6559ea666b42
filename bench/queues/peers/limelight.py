"""Ours: `limelight consumer`, with durable events unless they are switched off."""

import sys
from typing import Any, Final

from limelight import RedisQueue
from limelight.cli.consumer import consumer as consumer_command
from queues.adapter import EVENTS, KIND, QUEUE, RESULTS, URL, Adapter, NotThere
from queues.notes import note_begin, note_span


def _kinds() -> tuple[str, ...]:
    """What ``-k`` of the command takes; nothing if there is no such option."""
    found = [option for option in consumer_command.params if "-k" in option.opts]
    choices: Any = found[0].type if found else None
    return tuple(str(getattr(one, "value", one)) for one in choices.choices) if choices else ()


async def _note_begin() -> int:
    """The no-op as a coroutine."""
    return note_begin()


KINDS: Final = _kinds()
queue = RedisQueue(QUEUE, url=URL, results=RESULTS, events=EVENTS)
nothing = queue.task(name="nothing")(_note_begin if KIND == "async" and KIND in KINDS else note_begin)
mixed = queue.task(name="mixed")(note_span)


class Contender(Adapter):
    """Limelight of this checkout."""

    def consumer(self, kind: str, workers: int) -> list[str]:
        """`limelight consumer`; kinds other than threads once it has ``-k``."""
        words = [sys.executable, "-m", "limelight", "consumer", "queues.peers.limelight:queue"]
        words += ["--workers", str(workers), "--log-level", "warning"]
        if kind not in (KINDS or ("thread",)):
            raise NotThere(f"limelight consumer has no -k {kind} yet")
        return [*words, "-k", kind] if KINDS else words

    def enqueue(self) -> Any:
        """One call of a task."""
        nothing()

    def enqueue_bulk(self, count: int) -> None:
        """`queue.enqueue_many`, given a generator."""
        queue.enqueue_many(nothing.s() for _ in range(count))

    def enqueue_span(self, index: int, seconds: float) -> str:
        """One call with two arguments."""
        return mixed(index, seconds).id

    def held(self) -> int:
        """Every task that is not done has a record."""
        return int(self.redis.hlen(queue.keys["tasks"]))

    def stored(self) -> int:
        """A result is a key."""
        return self.count_keys(queue.keys.result("*"))
