"""The kinds of tasks that chaos throws at the queue: what each does, how it is sent, and how it must end.

To add a kind: write its function (what one run does), give it a row in `KINDS`, and say what is expected of it.
A kind that is more than one task (a group, a pipeline) also gets a way to be sent of its own.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from limelight import CancelExecution, RetryTask, Task
from limelight.task import TaskOptions

from .sender import Sender
from .story import Story


# -- What one run does -----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Run:
    """One run as its code sees it.

    Attributes:
        key: What the task was sent with; a successful run returns it.
        chance: Of this run alone: the same run would do the same again.
        sender: To enqueue more tasks.
    """

    key: str
    chance: random.Random
    sender: Sender


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


def fails_sometimes(run: Run) -> str:
    """Fail every second time."""
    if run.chance.random() < 0.5:
        raise ValueError("not this time")
    return run.key


def fails(run: Run) -> str:
    """Fail always."""
    raise LookupError("never")


def asks_again(run: Run) -> str:
    """Ask to be run again every second time, at once or later."""
    if run.chance.random() < 0.5:
        raise RetryTask(delay=run.chance.choice([None, 0.2]))
    return run.key


def cancels(run: Run) -> str:
    """Give up."""
    raise CancelExecution("enough")


def cancels_and_asks(run: Run) -> str:
    """Give up every second time, and ask to be run again."""
    if run.chance.random() < 0.5:
        raise CancelExecution("not now", retry=True)
    return run.key


def returns_what_cannot_travel(run: Run) -> object:
    """Return what no result can hold."""
    return object()


def enqueues(run: Run) -> str:
    """Enqueue a child before it returns."""
    run.sender.put(Task(options=TaskOptions(name="instant"), args=("child",)), "instant")
    return run.key


def kills_its_worker(run: Run) -> str:
    """Take the whole consumer down with it every second time, and three other tasks."""
    if run.chance.random() < 0.5:
        run.sender.ledger.note(say="lethal", pid=os.getpid())
        os.kill(os.getpid(), signal.SIGKILL)
    return run.key


# -- How one run closes, by its chance --------------------------------------------------------------------
def success(chance: random.Random) -> str:
    """Every run succeeds."""
    return "success"


def always(outcome: str) -> Callable[[random.Random], str]:
    """Every run closes so."""
    return lambda chance: outcome


def every_second(outcome: str) -> Callable[[random.Random], str]:
    """Every second run closes so, the others succeed."""
    return lambda chance: outcome if chance.random() < 0.5 else "success"


# -- How it is sent --------------------------------------------------------------------------------------
def at_once(kind: Kind, sender: Sender, chance: random.Random) -> None:
    """Enqueue one task, now and then with a priority."""
    sender.put(kind.task(chance, priority=chance.choice([0, 0, 0, 5, -5])), kind.name)


def with_delay(kind: Kind, sender: Sender, chance: random.Random) -> None:
    """Enqueue one task for later, by Redis' clock."""
    sender.put(kind.task(chance, delay=chance.uniform(0.1, 4.0)), kind.name)


def with_eta(kind: Kind, sender: Sender, chance: random.Random) -> None:
    """Enqueue one task for a moment by this machine's clock, which is not Redis' clock."""
    at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=chance.uniform(0.0, 3.0))
    sender.put(kind.task(chance, execute_at=at.timestamp()), kind.name)


def and_revoke(kind: Kind, sender: Sender, chance: random.Random) -> None:
    """Enqueue one task for later and revoke it meanwhile."""
    task = kind.task(chance, delay=chance.uniform(0.5, 3.0))
    if sender.put(task, kind.name):
        sender.revoke(task.id)


# -- What is expected ------------------------------------------------------------------------------------
def nothing_more(story: Story) -> Iterator[str]:
    """What holds for every task is enough."""
    return iter(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of task.

    Attributes:
        name: Also the task's name on the queue.
        share: How many of a thousand tasks are of this kind.
        run: What one run does; None: no consumer knows such a task.
        ends: How it may end, unless too many of its workers were lost.
        outcome: How a run closes, by its chance, unless its worker was lost or told to stop.
        options: As a declaration has them.
        send: How one of it is enqueued.
        expect: What else must be true of one of it, once it has ended.
    """

    name: str
    share: int
    run: Callable[[Run], object] | None
    ends: frozenset[str]
    outcome: Callable[[random.Random], str] = success
    options: Mapping[str, Any] = field(default_factory=dict)
    send: Callable[[Kind, Sender, random.Random], None] = at_once
    expect: Callable[[Story], Iterator[str]] = nothing_more

    def task(self, chance: random.Random, *, priority: int = 0, **when: Any) -> Task:
        """A task of this kind, ready to be enqueued."""
        key = format(chance.getrandbits(64), "016x")
        return Task(
            options=TaskOptions(name=self.name, priority=priority, **self.options), args=(key,), **when
        )


_SUCCESS: Final = frozenset({"success"})
_EITHER: Final = frozenset({"success", "dead"})

KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind(name="instant", share=390, run=returns, ends=_SUCCESS),
        Kind(name="nap", share=150, run=naps, ends=_SUCCESS),
        Kind(name="long", share=4, run=naps_long, ends=_SUCCESS),
        Kind(name="flaky", share=80, run=fails_sometimes, ends=_EITHER, outcome=every_second("error"),
             options={"retries": 3}),
        Kind(name="flaky_later", share=60, run=fails_sometimes, ends=_EITHER, outcome=every_second("error"),
             options={"retries": 2, "retry_delay": 0.3, "retry_backoff": 2}),
        Kind(name="hopeless", share=40, run=fails, ends=frozenset({"dead"}), outcome=always("error"),
             options={"retries": 1, "retry_delay": 0.1}),
        Kind(name="again", share=40, run=asks_again, ends=_SUCCESS, outcome=every_second("retry")),
        Kind(name="stop", share=20, run=cancels, ends=frozenset({"canceled"}), outcome=always("canceled")),
        Kind(name="stop_again", share=20, run=cancels_and_asks, ends=frozenset({"canceled", "success"}),
             outcome=every_second("canceled"), options={"retries": 1}),
        Kind(name="later", share=80, run=returns, ends=_SUCCESS, send=with_delay),
        Kind(name="at", share=30, run=returns, ends=_SUCCESS, send=with_eta),
        Kind(name="revoked", share=40, run=returns, ends=frozenset({"success", "revoked"}), send=and_revoke),
        Kind(name="unstorable", share=10, run=returns_what_cannot_travel, ends=frozenset({"result_error"}),
             outcome=always("result_error")),
        Kind(name="nowhere", share=5, run=None, ends=frozenset({"dead"})),
        Kind(name="parent", share=30, run=enqueues, ends=_SUCCESS),
        Kind(name="lethal", share=1, run=kills_its_worker, ends=_SUCCESS),
    )
}  # fmt: skip
"""All kinds, by name."""


def drawn(chance: random.Random) -> Kind:
    """A kind, each as likely as its share."""
    return chance.choices(list(KINDS.values()), [kind.share for kind in KINDS.values()])[0]
