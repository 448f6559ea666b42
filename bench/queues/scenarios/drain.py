"""Drain: no-op tasks were enqueued beforehand, one consumer is started; how fast does it get through?

The clock runs from the beginning of the first task to the moment when all have run *and* Redis holds none any
more, so what is settled in batches counts only when it is settled. Fewer runs than tasks fail the measurement;
more of them are told in a column of their own.
"""

import time
from collections.abc import Sequence
from typing import Final

from queues.contenders import Contender
from queues.figures import Case, Figure, Scenario, Sizes
from queues.processes import Failed
from queues.stand import Stand

LIMIT_SECONDS: Final = 300.0
RATE: Final = "tasks/s"


def cases(contenders: Sequence[Contender], sizes: Sizes) -> list[Case]:
    """All contenders, without and with results; what runs in several processes is compared apart."""
    return [
        Case(one, setting(one_process=one.single_process, results=results), results)
        for results in (False, True)
        for one in contenders
        if one.drained
    ]


def setting(*, one_process: bool, results: bool) -> str:
    """What contenders of a drain have in common."""
    return f"{'one process' if one_process else 'several processes'}, results {'on' if results else 'off'}"


def measure(case: Case, sizes: Sizes) -> list[Figure]:
    """One drain."""
    count = max(1, round(sizes.drained * case.contender.share))
    with Stand(case.contender, results=case.results) as stand:
        stand.consumer_command()
        empty = stand.memory_bytes()
        stand.producer.call("fill", count=count)
        queued_bytes = (stand.memory_bytes() - empty) / count
        with stand.consumer() as consumer:
            stand.wait_begun(1, consumer)
            redis_began, consumer_began = stand.redis_cpu_seconds(), consumer.cpu_seconds()
            stand.wait_begun(count, consumer, LIMIT_SECONDS)
            stand.wait_settled(consumer)
            settled_at = time.monotonic_ns()
            redis_seconds = stand.redis_cpu_seconds() - redis_began
            consumer_seconds = consumer.cpu_seconds() - consumer_began
            stand.check_stored(count)
        began = stand.begun.times()
    if len(began) < count:
        raise Failed(f"{len(began)} runs of {count} tasks")
    return [
        Figure(RATE, (count - 1) / (settled_at - began[0]) * 1e9, "more"),
        Figure("Redis CPU µs/task", redis_seconds / count * 1e6, "less"),
        Figure("consumer CPU µs/task", consumer_seconds / count * 1e6, "less"),
        Figure("Redis bytes/queued task", queued_bytes, "less"),
        Figure("runs too many", len(began) - count, "less"),
    ]


DRAIN: Final = Scenario("drain", RATE, cases, measure)
