"""The kinds of tasks that chaos throws at the queue: what each does, how it is sent, and how it must end.

To add a kind: write what one run does (`runs`), give it a row in `KINDS`, and say what else is expected of it. A kind
that is more than one task also gets a way to be sent (`sending`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from limelight import Task
from limelight.task import TaskOptions

from . import runs, sending
from .runs import Run, always, every_second, success
from .sender import Sender
from .story import Story

Send = Callable[["Kind", Mapping[str, "Kind"], Sender, random.Random], None]
EXPIRES_SECONDS: Final = 1.0


# -- What is expected ------------------------------------------------------------------------------------
def nothing_more(story: Story) -> Iterator[str]:
    """What holds for every task is enough."""
    return iter(())


def in_time(story: Story) -> Iterator[str]:
    """No run starts when it is too late, and none is given up before."""
    enqueued = next((event for event in story.events if event.status == "enqueued"), None)
    if enqueued is None:
        return
    late = enqueued.timestamp + EXPIRES_SECONDS
    for event in story.events:
        if event.status == "started" and event.timestamp > late + 0.001:
            yield f"run {event.run} started {event.timestamp - late:.3f} s too late"
        if event.end == "expired" and event.timestamp < late - 0.001:
            yield f"it expired {late - event.timestamp:.3f} s too early"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of task.

    Attributes:
        name: Also the task's name on the queue.
        share: How many of a thousand sent tasks are of this kind; 0: sent only with others.
        run: What one run does; None: no consumer knows such a task.
        ends: How it may end, unless too many of its workers were lost.
        outcome: How a run closes, by its chance, unless its worker was lost or told to stop; None: chance alone
            does not say.
        options: As a declaration has them.
        send: How one of it is enqueued.
        expect: What else must be true of one of it, once it has ended.
    """

    name: str
    share: int
    run: Callable[[Run], object] | None
    ends: frozenset[str]
    outcome: Callable[[random.Random], str] | None = success
    options: Mapping[str, Any] = field(default_factory=dict)
    send: Send = sending.at_once
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
        Kind(name="instant", share=254, run=runs.returns, ends=_SUCCESS),
        Kind(name="nap", share=140, run=runs.naps, ends=_SUCCESS),
        Kind(name="long", share=10, run=runs.naps_long, ends=_SUCCESS),
        Kind(name="computing", share=10, run=runs.computes, ends=_SUCCESS),
        Kind(name="coroutine", share=40, run=runs.awaits, ends=_SUCCESS),
        Kind(name="coroutine_long", share=5, run=runs.awaits_long, ends=_SUCCESS),
        Kind(name="coroutine_flaky", share=20, run=runs.awaits_and_fails_sometimes, ends=_EITHER,
             outcome=every_second("error"), options={"retries": 3}),
        Kind(name="coroutine_overlong", share=10, run=runs.awaits_too_long, ends=_EITHER, outcome=None,
             options={"retries": 1, "timeout": 0.4}),
        Kind(name="coroutine_locking", share=15, run=runs.awaits_with_a_lock,
             ends=frozenset({"success", "locked"}), outcome=None, options={"retries": 5, "retry_delay": 0.1}),
        Kind(name="flaky", share=70, run=runs.fails_sometimes, ends=_EITHER, outcome=every_second("error"),
             options={"retries": 3}),
        Kind(name="flaky_later", share=60, run=runs.fails_sometimes, ends=_EITHER, outcome=every_second("error"),
             options={"retries": 2, "retry_delay": 0.3, "retry_backoff": 2, "retry_jitter": 0.5}),
        Kind(name="hopeless", share=40, run=runs.fails, ends=frozenset({"dead"}), outcome=always("error"),
             options={"retries": 1, "retry_delay": 0.1}),
        Kind(name="again", share=40, run=runs.asks_again, ends=_SUCCESS, outcome=every_second("retry")),
        Kind(name="stop", share=20, run=runs.cancels, ends=frozenset({"canceled"}), outcome=always("canceled")),
        Kind(name="stop_again", share=20, run=runs.cancels_and_asks, ends=_SUCCESS,
             outcome=every_second("canceled"), options={"retries": 1}),
        # Whoever is frozen is over its time when it wakes, however short its work.
        Kind(name="overlong", share=10, run=runs.takes_too_long, ends=_EITHER, outcome=None,
             options={"retries": 1, "timeout": 0.4}),
        Kind(name="later", share=70, run=runs.returns, ends=_SUCCESS, send=sending.with_delay),
        Kind(name="at", share=30, run=runs.returns, ends=_SUCCESS, send=sending.with_eta),
        Kind(name="awaited", share=10, run=runs.returns, ends=_SUCCESS, send=sending.and_wait),
        Kind(name="revoked", share=40, run=runs.returns, ends=frozenset({"success", "revoked"}),
             send=sending.and_revoke),
        Kind(name="expiring", share=20, run=runs.returns, ends=frozenset({"success", "expired"}),
             options={"expires": EXPIRES_SECONDS}, expect=in_time),
        Kind(name="unstorable", share=10, run=runs.returns_what_cannot_travel, ends=frozenset({"result_error"}),
             outcome=always("result_error")),
        Kind(name="nowhere", share=5, run=None, ends=frozenset({"dead"})),
        Kind(name="parent", share=20, run=runs.enqueues, ends=_SUCCESS),
        Kind(name="locking", share=30, run=runs.holds_a_lock, ends=frozenset({"success", "locked"}), outcome=None,
             options={"retries": 5, "retry_delay": 0.1}),
        Kind(name="limited", share=10, run=runs.keeps_to_a_rate, ends=_SUCCESS, outcome=None),
        Kind(name="first", share=20, run=runs.fails_sometimes, ends=_EITHER, outcome=every_second("error"),
             send=sending.as_pipeline),
        Kind(name="step", share=0, run=runs.returns, ends=_SUCCESS),
        Kind(name="mourner", share=0, run=runs.returns, ends=_SUCCESS),
        Kind(name="gathered", share=20, run=runs.returns, ends=_SUCCESS, send=sending.as_chord),
        Kind(name="lethal", share=1, run=runs.kills_its_worker, ends=_SUCCESS),
    )
}  # fmt: skip
"""All kinds, by name."""


def drawn(chance: random.Random) -> Kind:
    """A kind, each as likely as its share."""
    return chance.choices(list(KINDS.values()), [kind.share for kind in KINDS.values()])[0]
