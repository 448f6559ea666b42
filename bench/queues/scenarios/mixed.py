"""Mixed: one task in twenty takes 200 ms, the others nothing; does a ready task wait while a worker idles?

Two loads: a backlog that was there before the consumer, and bursts of ten tasks (two of eight workers' work).
The figure is exact: of all pairs of a task and a worker, the longest time for which the task was ready and not
started while this one worker ran nothing. The time between two tasks of a busy worker counts as idling, too, so
a contender's own overhead is the least that can be measured.

In the same run: when is the `started` event of a 200 ms task on the stream, after its code began? The stream's
ids say when, in whole milliseconds of a clock that both processes share; an event that came first counts as 0.
"""

import itertools
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from limelight import events
from limelight.packed_event import as_json
from queues.adapter import QUEUE
from queues.contenders import HUEY, PROCESSES, THREADS, Contender
from queues.figures import Case, Figure, Scenario, Sizes
from queues.notes import Reader
from queues.processes import Child, Failed, poll
from queues.stand import Stand

BACKLOG: Final = "backlog"
BURSTS: Final = "bursts"
WAIT: Final = "longest wait beside an idle worker ms"
TOLD: Final = "started event, latest ms"
_LONG_SECONDS: Final = 0.2
_SHARE: Final = 0.05
_BURST: Final = 10
_BURST_PAUSE_SECONDS: Final = 0.05
_LIMIT_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one task; times are ns of the monotonic clock.

    Attributes:
        ready: Since when it could have begun.
        began, ended: When its code did.
        worker: The thread that ran it.
    """

    ready: int
    began: int
    ended: int
    worker: int


def cases(contenders: Sequence[Contender], sizes: Sizes) -> list[Case]:
    """Ours, and Huey, which never holds anything back."""
    chosen = [one for one in contenders if one in {THREADS, PROCESSES, HUEY}]
    return [Case(one, load) for load in (BACKLOG, BURSTS) for one in chosen]


def measure(case: Case, sizes: Sizes) -> list[Figure]:
    """One load."""
    chance = random.Random(2)
    seconds = [_LONG_SECONDS if chance.random() < _SHARE else 0.0 for _ in range(sizes.mixed)]
    seconds[sizes.mixed // 2] = _LONG_SECONDS  # one at least
    with Stand(case.contender) as stand:
        stand.consumer_command()
        spans = Reader(stand.folder, "spans")
        offset_ns = time.time_ns() - time.monotonic_ns()
        if case.setting == BACKLOG:
            told = stand.producer.call("mixed", seconds=seconds, pauses=[0.0] * len(seconds))
            with stand.consumer() as consumer:
                _wait(spans, len(seconds), consumer)
            up = spans.times()[0]
        else:
            with stand.consumer() as consumer:
                stand.warm(consumer)
                up = time.monotonic_ns()
                told = stand.producer.call("mixed", seconds=seconds, pauses=_pauses(len(seconds)))
                _wait(spans, len(seconds), consumer)
        records = spans.records()
        delays = _started_delays(stand, records, seconds, [task_id for _, task_id in told], offset_ns)
    runs = [Run(told[index][0], began, ended, worker) for began, ended, index, worker in records]
    figures = [Figure(WAIT, longest_wait(runs, case.contender.workers, up) / 1e6, "less")]
    if delays:
        figures.append(Figure(TOLD, max(0.0, *delays), "less"))
        figures.append(Figure("started event, median ms", max(0.0, statistics.median(delays)), "less"))
    return figures


def longest_wait(runs: Sequence[Run], workers: int, up: int) -> int:
    """How long, at most, a task was ready and not started while one worker ran nothing; all in ns.

    Args:
        runs: One for each task.
        workers: How many there are, whether or not they ran anything.
        up: Since when they could have.
    """
    longest = 0
    for begin, end in sorted(_idle(runs, workers, up), key=lambda gap: gap[0] - gap[1]):
        if end - begin <= longest:
            break
        longest = max(longest, *(min(run.began, end) - max(run.ready, begin) for run in runs))
    return longest


def _idle(runs: Sequence[Run], workers: int, up: int) -> Iterable[tuple[int, int]]:
    """When a worker ran nothing, while there was still something to start."""
    last = max(run.began for run in runs)
    by_worker: dict[int, list[Run]] = defaultdict(list)
    for run in sorted(runs, key=lambda one: one.began):
        by_worker[run.worker].append(run)
    for own in by_worker.values():
        ends = [up, *(run.ended for run in own)]
        begins = [*(run.began for run in own), last]
        yield from zip(ends, begins, strict=True)
    yield from itertools.repeat((up, last), max(0, workers - len(by_worker)))


def _started_delays(
    stand: Stand,
    records: Sequence[tuple[int, ...]],
    seconds: Sequence[float],
    ids: Sequence[str],
    offset_ns: int,
) -> list[float]:
    """For each long task of ours, the ms from the start of its code to its `started` event."""
    if not stand.contender.ours:
        return []
    told_ms = {}
    for entry_id, fields in stand.events():
        event = events.decode(as_json(QUEUE, fields))
        if event.status == events.EVENT_STARTED:
            told_ms[event.id] = int(entry_id.partition(b"-")[0])
    began_ms = {ids[index]: (began + offset_ns) / 1e6 for began, _, index, _ in records if seconds[index]}
    if missing := began_ms.keys() - told_ms.keys():
        raise Failed(f"{len(missing)} long tasks have no started event")
    return [told_ms[task_id] - began for task_id, began in began_ms.items()]


def _wait(spans: Reader, count: int, consumer: Child) -> None:
    for _ in poll(_LIMIT_SECONDS, 0.005):
        if spans.count() >= count:
            return
        consumer.check()


def _pauses(count: int) -> list[float]:
    return [_BURST_PAUSE_SECONDS if index % _BURST == 0 else 0.0 for index in range(count)]


MIXED: Final = Scenario("mixed", WAIT, cases, measure)
