"""The application that chaos' consumers run: every kind of task, each run noted in the ledger before it begins.

Wants CHAOS_LEDGER (a path) and LIMELIGHT_REDIS_URL in the environment; CHAOS_PLANT names a bug to plant.
"""

from __future__ import annotations

import datetime as dt
import inspect
import os
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

from limelight import SKIPPED, TaskException, crontab, every
from limelight.tracecontext import current_run

from .kinds import KINDS, Kind
from .ledger import PROCESSES, Ledger
from .plants import plant_from
from .runs import Run
from .sender import Sender
from .target import chaos_queue

plant_from(os.environ)
queue = chaos_queue()
ledger = Ledger(os.environ["CHAOS_LEDGER"])
processes = Ledger(Path(os.environ["CHAOS_LEDGER"]).with_name(PROCESSES))


def here() -> None:
    """Note a process of a consumer, and to which it belongs: each consumer leads a session of its own."""
    processes.note(say="process", pid=os.getpid(), parent=os.getppid(), session=os.getsid(0))


here()
os.register_at_fork(after_in_child=here)


def noted(key: str = "", inputs: tuple[object, ...] = ()) -> Run:
    """Note that a run is being executed, and what it was given; returns the run."""
    run = current_run.get()
    assert run is not None
    ledger.note(say="ran", span=run.span_id, pid=os.getpid(), given=[shown(one) for one in inputs])
    chance = random.Random(run.span_id)
    return Run(key, run.span_id, chance, Sender(queue, ledger, chance))


def shown(given: object) -> object:
    """What an earlier task left, as the ledger has it."""
    if isinstance(given, list):
        return [shown(one) for one in given]
    if isinstance(given, TaskException):
        return "failure"
    return "skipped" if given is SKIPPED else given


def declared(kind: Kind, run: Callable[[Run], object]) -> Callable[..., object]:
    """A kind as a function that the queue can run."""

    def execute(key: str, *inputs: object) -> object:
        return run(noted(key, inputs))

    async def execute_async(key: str, *inputs: object) -> object:
        return await cast("Coroutine[Any, Any, object]", run(noted(key, inputs)))

    return execute_async if inspect.iscoroutinefunction(run) else execute


for one in KINDS.values():
    if one.run is not None:
        queue.task(name=one.name, **one.options)(declared(one, one.run))


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


@queue.periodic_task(every(5))
def pulse() -> None:
    """Run every five seconds."""
    noted()


@queue.periodic_task(every(15), catch_up="all")
def makeup() -> None:
    """Run every fifteen seconds, and once for each time that was missed."""
    noted()
