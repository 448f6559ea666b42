"""What one run of a task does, kind by kind. Nothing here knows how it is sent or what is expected of it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from limelight import CancelExecution, RetryTask, Task, TaskLocked
from limelight.errors import RateLimitExceeded, RedisError
from limelight.task import TaskOptions
from limelight.tracecontext import current_run

from .sender import Sender

LOCKS: Final = ("north", "south")
LIMIT: Final = 10
"""Uses of the rate limit in a second."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run as its code sees it.

    Attributes:
        key: What the task was sent with; a successful run returns it.
        span: Names the run wherever it is told of.
        chance: Of this run alone: the same run would do the same again.
        sender: To enqueue more tasks, and to note things.
    """

    key: str
    span: str
    chance: random.Random
    sender: Sender


def success(chance: random.Random) -> str:
    """How a run closes, by its chance: it succeeds."""
    return "success"


def always(outcome: str) -> Callable[[random.Random], str]:
    """Every run closes so."""
    return lambda chance: outcome


def every_second(outcome: str) -> Callable[[random.Random], str]:
    """Every second run closes so, the others succeed."""
    return lambda chance: outcome if is_unlucky(chance) else "success"


def is_unlucky(chance: random.Random) -> bool:
    """The first thing that a run asks its chance, if it asks for anything."""
    return chance.random() < 0.5


# -- Plain -----------------------------------------------------------------------------------------------
def returns(run: Run) -> str:
    """Return at once."""
    return run.key


def naps(run: Run) -> str:
    """Take 5 to 200 ms."""
    time.sleep(run.chance.uniform(0.005, 0.2))
    return run.key


def naps_long(run: Run) -> str:
    """Take about as long as a lease, and longer than a stop waits."""
    time.sleep(run.chance.uniform(1.5, 3.0))
    return run.key


def computes(run: Run) -> str:
    """Take some 100 ms in C code that lets no other thread of its process run."""
    sum(range(5_000_000))
    return run.key


# -- Coroutines ------------------------------------------------------------------------------------------
async def awaits(run: Run) -> str:
    """Take its time without a thread, and see whether it still knows then who it is."""
    await asyncio.sleep(run.chance.uniform(0.0, 0.1))
    return resumed(run)


async def awaits_long(run: Run) -> str:
    """Take about as long as a lease, and longer than a stop waits."""
    await asyncio.sleep(run.chance.uniform(1.5, 3.0))
    return resumed(run)


async def awaits_and_fails_sometimes(run: Run) -> str:
    """Fail every second time, after a while."""
    unlucky = is_unlucky(run.chance)
    await asyncio.sleep(run.chance.uniform(0.0, 0.1))
    if unlucky:
        raise ValueError("not this time")
    return resumed(run)


async def awaits_too_long(run: Run) -> str:
    """Take longer than it may every second time."""
    await asyncio.sleep(2.0 if is_unlucky(run.chance) else 0.0)
    return resumed(run)


async def awaits_with_a_lock(run: Run) -> str:
    """Hold one of two locks across a pause, in which others of the same loop ask for it."""
    name = run.chance.choice(LOCKS)
    with taken(lambda: run.sender.queue.lock_task(name)):
        since = time.time()
        await asyncio.sleep(run.chance.uniform(0.01, 0.05))
        run.sender.ledger.note(say="held", lock=name, span=run.span, since=since, until=time.time())
    return resumed(run)


def resumed(run: Run) -> str:
    """Note which run this is for whoever asks after a pause: its own, or contexts are mixed up."""
    now = current_run.get()
    run.sender.ledger.note(say="resumed", span=run.span, current=now and now.span_id)
    return run.key


# -- Leaving nothing -------------------------------------------------------------------------------------


def returns_what_cannot_travel(run: Run) -> object:
    """Return what no result can hold."""
    return object()


# -- Failing, retrying, giving up ------------------------------------------------------------------------
def fails_sometimes(run: Run) -> str:
    """Fail every second time."""
    if is_unlucky(run.chance):
        raise ValueError("not this time")
    return run.key


def fails(run: Run) -> str:
    """Fail always."""
    raise LookupError("never")


def asks_again(run: Run) -> str:
    """Ask to be run again every second time, at once or later."""
    if is_unlucky(run.chance):
        raise RetryTask(delay=run.chance.choice([None, 0.2]))
    return run.key


def cancels(run: Run) -> str:
    """Give up."""
    raise CancelExecution("enough")


def cancels_and_asks(run: Run) -> str:
    """Give up every second time, and ask to be run again."""
    if is_unlucky(run.chance):
        raise CancelExecution("not now", retry=True)
    return run.key


def takes_too_long(run: Run) -> str:
    """Take longer than it may every second time, in steps that can be interrupted."""
    if is_unlucky(run.chance):
        for _ in range(100):
            time.sleep(0.02)
    return run.key


def kills_its_worker(run: Run) -> str:
    """Take the whole consumer down every second time, and all that runs beside it."""
    if is_unlucky(run.chance):
        run.sender.ledger.note(say="lethal", pid=os.getpid())
        os.kill(os.getpid(), signal.SIGKILL)
    return run.key


# -- With others -----------------------------------------------------------------------------------------
def enqueues(run: Run) -> str:
    """Enqueue a child before it returns."""
    child = Task(options=TaskOptions(name="instant"), args=("child",))
    run.sender.put(child, {"id": child.id, "kind": "instant", "key": "child"})
    return run.key


def holds_a_lock(run: Run) -> str:
    """Hold one of two locks for a while, and note from when to when."""
    name = run.chance.choice(LOCKS)
    with taken(lambda: run.sender.queue.lock_task(name)):
        since = time.time()
        time.sleep(run.chance.uniform(0.01, 0.05))
        run.sender.ledger.note(say="held", lock=name, span=run.span, since=since, until=time.time())
    return run.key


def keeps_to_a_rate(run: Run) -> str:
    """Use a rate limit."""
    with taken(lambda: run.sender.queue.rate_limit("chaos", LIMIT, per=1.0)):
        return run.key


def taken(guard: Callable[[], Any]) -> Any:
    """A lock or a limit; one that Redis cannot be asked for is tried again later."""
    held = guard()
    try:
        held.acquire()
    except (TaskLocked, RateLimitExceeded):
        raise
    except RedisError as error:
        raise RetryTask(str(error), delay=0.2) from None
    return _Taken(held)


class _Taken:
    """Frees what is held at the end of a block; what cannot be freed now is freed where the run ends."""

    def __init__(self, held: Any) -> None:
        self._held = held

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        if hasattr(self._held, "release"):
            try:
                self._held.release()
            except RedisError:
                return
