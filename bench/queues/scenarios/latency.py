"""Latency: tasks reach an idle consumer one at a time, at random moments; how long from the call to the start?

The pauses are random, so that no poll of a contender can be met or missed by habit.
"""

import random
import statistics
from collections.abc import Sequence
from typing import Final

from queues.contenders import HUEY_ONE_THREAD, ONE_THREAD, Contender
from queues.figures import Case, Figure, Scenario, Sizes
from queues.stand import Stand

P50: Final = "p50 ms"
P99: Final = "p99 ms"
ONE_WORKER: Final = "one worker"
SEVERAL_WORKERS: Final = "several workers"


def cases(contenders: Sequence[Contender], sizes: Sizes) -> list[Case]:
    """Each queue as it usually runs; ours and Huey's with one worker, too."""
    several = [Case(one, SEVERAL_WORKERS) for one in contenders if one.main and not one.limit]
    alone = [Case(one, ONE_WORKER) for one in contenders if one in {ONE_THREAD, HUEY_ONE_THREAD}]
    return several + alone


def measure(case: Case, sizes: Sizes) -> list[Figure]:
    """So many samples of one consumer, after a few that warm all its workers."""
    chance = random.Random(1)
    warming = sizes.samples // 10
    pauses = [chance.uniform(*sizes.pause_seconds) for _ in range(warming + sizes.samples)]
    with Stand(case.contender) as stand, stand.consumer() as consumer:
        stand.warm(consumer)
        warmed = stand.begun.count()
        called = stand.producer.call("paced", pauses=pauses)
        stand.wait_begun(warmed + len(called), consumer)
        began = stand.begun.times()[warmed:]
    waits = [(start - call) / 1e6 for call, start in zip(called, began, strict=True)][warming:]
    return [
        Figure(P50, statistics.median(waits), "less"),
        Figure(P99, statistics.quantiles(waits, n=100)[98], "less"),
    ]


LATENCY: Final = Scenario("latency", P50, cases, measure)
