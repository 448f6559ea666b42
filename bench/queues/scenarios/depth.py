"""Depth: with so many tasks queued, what does one more cost, and what does it cost to take one and settle it?

The cost of taking is what Redis spends in scripts (`commandstats`), because with one task queued at a time the
rest is waiting. From an empty queue tasks are sent one at a time to an idle consumer, and what enqueueing them
cost is taken off.
"""

from collections.abc import Sequence
from typing import Any, Final

from queues.contenders import THREADS, Contender
from queues.figures import Case, Figure, Scenario, Sizes
from queues.processes import Child
from queues.stand import Stand

ENQUEUE: Final = "enqueue µs"
RUN: Final = "reserve and settle, Redis µs"
_ENQUEUED: Final = 1_000
_RUN: Final = 5_000
_PAUSE_SECONDS: Final = 0.003


def cases(contenders: Sequence[Contender], sizes: Sizes) -> list[Case]:
    """Ours, at each depth."""
    ours = [one for one in contenders if one == THREADS]
    return [Case(one, queued=queued) for one in ours for queued in sizes.depths]


def measure(case: Case, sizes: Sizes) -> list[Figure]:
    """One depth."""
    count = min(_ENQUEUED, sizes.enqueued)
    with Stand(case.contender) as stand:
        stand.producer.call("fill", count=case.queued, patience=3_600.0)
        before = _script_us(stand)
        seconds = stand.producer.call("seconds_one_by_one", count=count)
        enqueue_us = (_script_us(stand) - before) / count
        with stand.consumer() as consumer:
            if case.queued == 1:
                run_us = _one_at_a_time(stand, consumer, sizes.samples) - enqueue_us
            else:
                run_us = _from_backlog(stand, consumer, min(_RUN, case.queued // 2))
    return [
        Figure(ENQUEUE, seconds / count * 1e6, "less"),
        Figure("enqueue, Redis µs", enqueue_us, "less"),
        Figure(RUN, run_us, "less"),
    ]


def _one_at_a_time(stand: Stand, consumer: Child, count: int) -> float:
    """What scripts cost per task, enqueueing included."""
    stand.wait_settled(consumer)
    stand.warm(consumer)
    warmed, before = stand.begun.count(), _script_us(stand)
    stand.producer.call("paced", pauses=[_PAUSE_SECONDS] * count)
    stand.wait_begun(warmed + count, consumer)
    stand.wait_settled(consumer)
    return (_script_us(stand) - before) / count


def _from_backlog(stand: Stand, consumer: Child, count: int) -> float:
    """What scripts cost per task while there is more to do."""
    stand.wait_begun(count // 10, consumer)
    began, before = stand.begun.count(), _script_us(stand)
    stand.wait_begun(began + count, consumer)
    spent = _script_us(stand) - before
    return spent / (stand.begun.count() - began)


def _script_us(stand: Stand) -> float:
    """Time that Redis has spent in scripts so far, what they call included."""
    stats: Any = stand.redis.info("commandstats")
    return sum(
        float(stats.get(f"cmdstat_{name}", {}).get("usec", 0)) for name in ("eval", "evalsha", "fcall")
    )


DEPTH: Final = Scenario("depth", ENQUEUE, cases, measure, once=True)
