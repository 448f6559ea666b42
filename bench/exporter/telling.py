"""Tells events by really enqueueing and running tasks: `python telling.py URL TASKS NAMES EVENTS-PER-SECOND`.

So the events are what the library makes today, whatever that is. A task that does nothing has three.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from limelight import RedisEventEmitter, RedisQueue, Task
from limelight.consumer import Consumer
from limelight.embedded import bound_to_parent

QUEUE = "bench"
EVENTS_PER_TASK = 3
NAMES = 100
"""Task names, all with objectives: about 10,000 series."""
SLO = {"wait": (5, 0.99), "duration": (1, 0.99), "latency": (60, 0.99), "success": 0.999}
KEPT = 20_000_000
"""Entries that the stream may hold: more than anybody tells."""
_AT_ONCE = 10_000
_TICK_SECONDS = 0.05
_THREADS = 8


def queue_at(url: str) -> RedisQueue:
    """The queue that is told of."""
    emitter = RedisEventEmitter(max_events=KEPT, max_age_seconds=0)
    return RedisQueue(QUEUE, url=url, results=False, emitter=emitter)


def tell(url: str, tasks: int, names: int = NAMES) -> None:
    """Have so many tasks run in a process of their own; returns when all of it was told."""
    subprocess.run(_command(url, tasks, names, 0.0), check=True)


def begin_to_tell(url: str, tasks: int, events_per_second: float) -> subprocess.Popen[bytes]:
    """The same at a pace, and without waiting: the process, which ends by itself."""
    return subprocess.Popen(_command(url, tasks, NAMES, events_per_second))


def _command(url: str, tasks: int, names: int, events_per_second: float) -> list[str]:
    words = [sys.executable, str(Path(__file__)), url, str(tasks), str(names), str(events_per_second)]
    return list(bound_to_parent(words))


def run(url: str, tasks: int, names: int, events_per_second: float) -> None:
    """Enqueue and run, both in this process."""
    queue = queue_at(url)
    makers = [queue.task(name=f"task{number}", slo=SLO)(lambda: None).s for number in range(names)]
    held = queue.storage.address.client()
    consumer = Consumer(queue, workers=_THREADS)
    consumer.start()
    try:
        done, began = 0, time.monotonic()
        while done < tasks:
            due = _due(done, tasks, events_per_second, time.monotonic() - began)
            queue.enqueue_many(_calls(makers, done, due))
            done += due
            _wait(lambda: held.hlen(queue.keys["tasks"]) < _AT_ONCE // 2)
        _wait(lambda: not held.hlen(queue.keys["tasks"]))
    finally:
        consumer.stop()


def _due(done: int, tasks: int, events_per_second: float, passed_seconds: float) -> int:
    """How many tasks to enqueue now."""
    if not events_per_second:
        return min(_AT_ONCE, tasks - done)
    time.sleep(_TICK_SECONDS)
    wanted = int(passed_seconds * events_per_second / EVENTS_PER_TASK)
    return max(0, min(wanted, tasks) - done)


def _calls(makers: list[Callable[[], Task]], begin: int, count: int) -> list[Task]:
    return [makers[number % len(makers)]() for number in range(begin, begin + count)]


def _wait(is_done: Callable[[], bool]) -> None:
    while not is_done():
        time.sleep(0.01)


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
