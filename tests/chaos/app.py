"""The application that chaos' consumers run: every kind of task, each run noted in the ledger before it begins.

Wants CHAOS_LEDGER (a path) and LIMELIGHT_REDIS_URL in the environment; CHAOS_PLANT names a bug to plant.
"""

from __future__ import annotations

import datetime as dt
import os
import random

from limelight import crontab
from limelight.tracecontext import current_run

from .kinds import KINDS, Kind, Run
from .ledger import Ledger
from .plants import plant_from
from .sender import Sender
from .target import chaos_queue

plant_from(os.environ)
queue = chaos_queue()
ledger = Ledger(os.environ["CHAOS_LEDGER"])


def noted() -> str:
    """Note that this run is being executed; returns its span id, which names the run wherever it is told of."""
    run = current_run.get()
    assert run is not None
    ledger.note(say="ran", span=run.span_id, pid=os.getpid())
    return run.span_id


def declare(kind: Kind) -> None:
    """Make a kind a task of the queue."""
    if (run := kind.run) is None:
        return

    def execute(key: str) -> object:
        chance = random.Random(noted())
        return run(Run(key, chance, Sender(queue, ledger, chance)))

    queue.task(name=kind.name, **kind.options)(execute)


for one in KINDS.values():
    declare(one)


@queue.periodic_task(crontab(minute="*"))
def tick() -> None:
    """Run every minute."""
    noted()


def every_second_minute(when: dt.datetime) -> bool:
    """A schedule as a plain function."""
    return when.minute % 2 == 0


@queue.periodic_task(every_second_minute)
def tock() -> None:
    """Run every second minute."""
    noted()
