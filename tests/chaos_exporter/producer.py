"""A producer: ``python -m chaos_exporter.producer COUNT DEADLY SECONDS``.

It enqueues COUNT tasks, spread over SECONDS; DEADLY of them kill their worker, one in ten is hopeless. What may have
been enqueued is sent again as the same task until Redis says so; then it is noted.
"""

from __future__ import annotations

import sys
import time

from limelight import Task
from limelight.errors import RedisError

from .app import deadly, fine, hopeless, ledger, queue

_PAUSE_SECONDS = 0.1
_MOST_LATE_SECONDS = 0.5


def task_of(number: int, count: int, deadlies: int) -> Task:
    """The task with this number."""
    if deadlies and number % max(1, count // deadlies) == count // deadlies // 2:
        return deadly.s(number)
    return hopeless.s(number) if number % 10 == 3 else fine.s(number)


def put(task: Task) -> None:
    """Enqueue it, however long that takes."""
    while True:
        try:
            queue.enqueue(task)
        except RedisError:
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def produce(count: int, deadlies: int, seconds: float) -> None:
    """Enqueue all."""
    began = time.monotonic()
    for number in range(count):
        late = time.monotonic() - began - number * seconds / count
        time.sleep(max(0.0, -late))
        began += max(
            0.0, late - _MOST_LATE_SECONDS
        )  # what an outage or a stop took is not made up for in a rush
        task = task_of(number, count, deadlies)
        put(task)
        ledger.note(enqueued=task.name, key=number)


if __name__ == "__main__":
    produce(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
