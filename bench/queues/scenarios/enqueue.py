"""Enqueue: one producer, one task after the other, no consumer; and many at once where a queue offers that."""

from collections.abc import Sequence
from typing import Final

from queues.contenders import THREADS_UNTOLD, Contender
from queues.figures import Case, Figure, Scenario, Sizes
from queues.stand import Stand

RATE: Final = "tasks/s"
_WARM: Final = 100


def cases(contenders: Sequence[Contender], sizes: Sizes) -> list[Case]:
    """Each queue once, and ours without events."""
    return [Case(one) for one in contenders if one.main or one == THREADS_UNTOLD]


def bulk_cases(contenders: Sequence[Contender], sizes: Sizes) -> list[Case]:
    """Each queue once, and ours without events."""
    return [case for case in cases(contenders, sizes) if not case.contender.limit]


def measure(case: Case, sizes: Sizes) -> list[Figure]:
    """One by one."""
    count = max(1, round(sizes.enqueued * case.contender.share))
    with Stand(case.contender) as stand:
        stand.producer.call("seconds_one_by_one", count=_WARM)
        redis_began = stand.redis_cpu_seconds()
        seconds = stand.producer.call("seconds_one_by_one", count=count)
        redis_seconds = stand.redis_cpu_seconds() - redis_began
    return [
        Figure(RATE, count / seconds, "more"),
        Figure("Redis CPU µs/task", redis_seconds / count * 1e6, "less"),
    ]


def measure_bulk(case: Case, sizes: Sizes) -> list[Figure]:
    """All at once."""
    with Stand(case.contender) as stand:
        stand.producer.call("seconds_in_bulk", count=_WARM)
        seconds = stand.producer.call("seconds_in_bulk", count=sizes.bulk)
    return [Figure(RATE, sizes.bulk / seconds, "more")]


ENQUEUE: Final = Scenario("enqueue", RATE, cases, measure)
BULK: Final = Scenario("bulk", RATE, bulk_cases, measure_bulk)
