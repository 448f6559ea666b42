"""Events: how many a no-op task has, how long they are, and what one costs in Redis' memory."""

from collections.abc import Sequence
from typing import Any, Final

from limelight.keys import QueueKeys
from queues.adapter import QUEUE
from queues.contenders import THREADS, Contender
from queues.figures import Case, Figure, Scenario, Sizes
from queues.stand import Stand

BYTES: Final = "bytes/event"
STREAM: Final = QueueKeys(QUEUE)["events"]
_TASKS: Final = 1_000


def cases(contenders: Sequence[Contender], sizes: Sizes) -> list[Case]:
    """Ours."""
    return [Case(one) for one in contenders if one == THREADS]


def measure(case: Case, sizes: Sizes) -> list[Figure]:
    """The stream after some tasks."""
    count = min(_TASKS, sizes.drained)
    with Stand(case.contender) as stand:
        stand.producer.call("fill", count=count)
        with stand.consumer() as consumer:
            stand.wait_begun(count, consumer)
            stand.wait_settled(consumer)
            entries = stand.events()
            used: Any = stand.redis.memory_usage(STREAM, samples=0)
    lengths = [sum(map(len, fields.values())) for _, fields in entries]
    return [
        Figure(BYTES, sum(lengths) / len(lengths), "less"),
        Figure("Redis bytes/event", used / len(lengths), "less"),
        Figure("events/task", len(lengths) / count),
    ]


EVENTS: Final = Scenario("events", BYTES, cases, measure, once=True)
