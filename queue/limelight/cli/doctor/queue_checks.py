"""What is well with a queue, and what is not. Each check is a pure function of the facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from limelight.cli.text import counted, duration, number

from .facts import QueueFacts
from .finding import Finding, Status

LATE_SECONDS: Final = 300.0
OVERDUE_SECONDS: Final = 60.0
LEASE_OVER_SECONDS: Final = 120.0
_SHOWN: Final = 3


def consumers(facts: QueueFacts) -> Finding:
    """Whether anybody works."""
    view = facts.view
    alive = [one for one in view.consumers if one.alive(facts.now)]
    silent = [one for one in view.consumers if not one.alive(facts.now)]
    if not alive:
        return _nobody(facts)
    workers = sum(one.workers for one in alive)
    seen = facts.now - max(one.seen_at for one in alive)
    versions = Counter(one.version for one in alive)
    found = (
        f"{counted(len(alive), 'consumer')} with {counted(workers, 'worker')}, heard of {duration(seen)} ago"
    )
    if silent:
        names = ", ".join(f"{one.host} pid {one.pid} ({_ago(facts, one.seen_at)})" for one in silent[:_SHOWN])
        return facts.finding(
            "consumers",
            Status.WARN,
            f"{found}; {counted(len(silent), 'other')} fell silent",
            detail=names,
            fix="look at the logs of those: killed, cut off from Redis, or out of memory?",
        )
    told = ", ".join(f"{name} ({count})" for name, count in sorted(versions.items()))
    return facts.finding("consumers", Status.OK, found, detail=f"version {told}")


def _nobody(facts: QueueFacts) -> Finding:
    view = facts.view
    waiting = view.ready and facts.paused is None
    left = [
        f"{number(count)} {state}"
        for state, count in (("ready", view.ready), ("scheduled", view.scheduled), ("running", view.running))
        if count
    ]
    last = max((one.seen_at for one in view.consumers), default=None)
    seen = "" if last is None else f"; the last was heard of {_ago(facts, last)}"
    if not left:
        return facts.finding(
            "consumers", Status.OK, f"No consumer is alive, and there is nothing to do{seen}"
        )
    return facts.finding(
        "consumers",
        Status.FAIL if waiting else Status.WARN,
        f"No consumer is alive{seen}",
        detail=f"tasks: {', '.join(left)}",
        fix="start one: limelight consumer MODULE:QUEUE",
    )


def backlog(facts: QueueFacts) -> Finding:
    """Whether what is ready is also run."""
    view = facts.view
    if not view.ready:
        return facts.finding("backlog", Status.OK, "No task waits for a worker")
    waits = 0.0 if view.oldest_ready is None else max(0.0, facts.now - view.oldest_ready)
    found = f"{counted(view.ready, 'task')} ready, the first for {duration(waits)}"
    if facts.paused is not None:
        return facts.finding(
            "backlog",
            Status.WARN,
            f"{found}; the queue has been paused {_ago(facts, facts.paused)}",
            fix="have it go on when what it was paused for is over",
        )
    alive = [one for one in view.consumers if one.alive(facts.now)]
    if waits < LATE_SECONDS or not alive:
        return facts.finding("backlog", Status.OK, found)
    idle = sum(max(0, one.workers - one.busy) for one in alive)
    if idle:
        return facts.finding(
            "backlog",
            Status.FAIL,
            f"{found}, although {counted(idle, 'worker')} had nothing to do",
            fix="look at the consumers' logs: do they reach this Redis, this queue?",
        )
    return facts.finding(
        "backlog",
        Status.WARN,
        f"{found}, and every worker is busy",
        fix="start more workers or consumers, or look for tasks that became slow",
    )


def schedule(facts: QueueFacts) -> Finding:
    """Whether what is due is made ready in time."""
    view = facts.view
    if view.oldest_due is None:
        return facts.finding("schedule", Status.OK, "No task is scheduled")
    late = facts.now - view.oldest_due
    found = f"{counted(view.scheduled, 'task')} scheduled"
    if late < OVERDUE_SECONDS:
        return facts.finding("schedule", Status.OK, f"{found}, none overdue")
    return facts.finding(
        "schedule",
        Status.FAIL,
        f"{found}, the first overdue by {duration(late)}",
        fix="a consumer does this work: is one alive, and what does its log say?",
    )


def periodic(facts: QueueFacts) -> Finding:
    """Whether periodic tasks run when they should."""
    known = [one for one in facts.view.periodic if one.next is not None]
    late = [(facts.now - one.next, one.name) for one in known if one.next is not None]
    missed = sorted((seconds, name) for seconds, name in late if seconds > OVERDUE_SECONDS)
    if not known:
        return facts.finding("periodic", Status.OK, "No periodic task")
    if not missed:
        return facts.finding("periodic", Status.OK, f"{counted(len(known), 'periodic task')}, none late")
    names = ", ".join(f"{name} by {duration(seconds)}" for seconds, name in missed[:_SHOWN])
    return facts.finding(
        "periodic",
        Status.WARN,
        f"{counted(len(missed), 'periodic task')} late",
        detail=names,
        fix="is a consumer alive that declares them? one that left the code is listed for a day more",
    )


def dead_letters(facts: QueueFacts) -> Finding:
    """Whether tasks were given up."""
    if not facts.view.dead:
        return facts.finding("dead-letters", Status.OK, "No dead letter")
    newest = "" if facts.newest_dead is None else f", the newest {_ago(facts, facts.newest_dead)}"
    return facts.finding(
        "dead-letters",
        Status.WARN,
        f"{counted(facts.view.dead, 'dead letter')}{newest}",
        detail=f"why: limelight events replay -q {facts.view.name} --status dead",
        fix="mend what they failed of, then requeue or purge them",
    )


def conservation(facts: QueueFacts) -> Finding:
    """Whether every task stands in exactly the one index that its record names."""
    view = facts.view
    found = f"{counted(view.records, 'task')}, each in the one index of its state"
    if facts.strays:
        return _strays(facts)
    if view.mismatch:
        return facts.finding(
            "conservation",
            Status.FAIL,
            f"Records and indexes differ by {counted(abs(view.mismatch), 'task')}",
            fix="run doctor again: it found no task out of place, or may not look for one",
        )
    if facts.strays is None:
        return facts.finding(
            "conservation", Status.OK, f"{counted(view.records, 'task')}, as many as the indexes have"
        )
    return facts.finding("conservation", Status.OK, found)


def _strays(facts: QueueFacts) -> Finding:
    strays = facts.strays or ()
    kinds = Counter((one.fault, one.state) for one in strays)
    shown = ", ".join(one.id for one in strays[:_SHOWN]) + (", …" if len(strays) > _SHOWN else "")
    return facts.finding(
        "conservation",
        Status.FAIL,
        "; ".join(_fault(fault, state, count) for (fault, state), count in kinds.items()),
        detail=shown,
        fix=f"limelight doctor {facts.view.name} --repair puts them right; then look for the cause: "
        "eviction, a restore, or somebody's hand",
    )


def _fault(fault: str, state: str, count: int) -> str:
    match fault, state:
        case "gone", _:
            return f"{counted(count, 'place')} in {state} without a task"
        case "double", _:
            return f"{counted(count, f'{state} task')} in a second index too"
        case _, "running" | "reserved":
            return f"{counted(count, f'{state} task')} without a lease, which would never come back"
        case _:
            return f"{counted(count, f'{state} task')} in no index, which nobody would find"


def leases(facts: QueueFacts) -> Finding:
    """Whether tasks of workers that are gone are taken back."""
    held = facts.sizes.get("running", 0) + facts.sizes.get("reserved", 0)
    over = 0.0 if facts.oldest_lease is None else facts.now - facts.oldest_lease
    if over < LEASE_OVER_SECONDS:
        return facts.finding(
            "leases", Status.OK, f"{counted(held, 'task')} with a worker, under valid leases"
        )
    alive = any(one.alive(facts.now) for one in facts.view.consumers)
    return facts.finding(
        "leases",
        Status.FAIL if alive else Status.WARN,
        f"A lease has been over for {duration(over)}, and nobody took the task back",
        fix="look at the consumers' logs: their reaper should"
        if alive
        else "start a consumer: its reaper does",
    )


def _ago(facts: QueueFacts, moment: float) -> str:
    return f"{duration(max(0.0, facts.now - moment))} ago"


QUEUE_CHECKS: Final[tuple[Callable[[QueueFacts], Finding], ...]] = (
    consumers,
    backlog,
    schedule,
    periodic,
    dead_letters,
    conservation,
    leases,
)
