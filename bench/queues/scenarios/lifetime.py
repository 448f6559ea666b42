"""Lifetime: one consumer runs task after task; does its memory grow?

Only memory of its own counts (RssAnon): what tasks note for the bench is a mapped file. The first fifth of the
tasks warms it up; a line through the rest says how much it grows per million tasks.
"""

import itertools
import statistics
import time
from collections.abc import Sequence
from typing import Final

from queues.contenders import THREADS, Contender
from queues.figures import Case, Figure, Scenario, Sizes
from queues.stand import Stand

GROWTH: Final = "growth MB/million tasks"
MEMORY: Final = "memory MB"
_AHEAD: Final = 10_000
_PORTION: Final = 2_000
_SAMPLE_SECONDS: Final = 0.1
_WARMING: Final = 0.2
_MB: Final = 1_000_000


def cases(contenders: Sequence[Contender], sizes: Sizes) -> list[Case]:
    """Ours."""
    return [Case(one) for one in contenders if one == THREADS]


def measure(case: Case, sizes: Sizes) -> list[Figure]:
    """One life."""
    with Stand(case.contender) as stand, stand.consumer() as consumer:
        stand.warm(consumer)
        samples = []
        enqueued = 0
        while (done := stand.begun.count()) < sizes.lifetime:
            samples.append((done, consumer.anonymous_bytes()))
            consumer.check()
            if enqueued - done < _AHEAD and enqueued < sizes.lifetime:
                stand.producer.call("fill", count=_PORTION)
                enqueued += _PORTION
            else:
                time.sleep(_SAMPLE_SECONDS)
        stand.wait_settled(consumer)
        samples.append((done, consumer.anonymous_bytes()))
    warm = list(itertools.dropwhile(lambda one: one[0] < sizes.lifetime * _WARMING, samples))
    return [
        Figure(GROWTH, growth_per_task(warm) * 1_000_000 / _MB, "less"),
        Figure(MEMORY, samples[-1][1] / _MB, "less"),
        Figure("memory when warm MB", warm[0][1] / _MB),
        Figure("tasks", done),
    ]


def growth_per_task(samples: Sequence[tuple[int, int]]) -> float:
    """Bytes per task of a straight line through them."""
    tasks, sizes = zip(*samples, strict=True)
    return statistics.linear_regression(tasks, sizes).slope if len(set(tasks)) > 1 else 0.0


LIFETIME: Final = Scenario("lifetime", GROWTH, cases, measure, once=True)
