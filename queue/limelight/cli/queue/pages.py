"""How one thing is shown in full: a queue, a task, a dead letter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final

from limelight.cli.text import counted, duration, number
from limelight.contents import Arguments, TaskState
from limelight.dead_letters import DeadLetter
from limelight.inspection import QueueView
from limelight.lifecycle import State

from .listing import record, state, workers
from .output import FAILED, LATE, QUIET, RUNNING, Cell, Column, Output

_CALL_LIMIT: Final = 2_000
_CONSUMERS: Final = (
    Column("CONSUMER", gives=True),
    Column("HOST", gives=True),
    Column("WORKERS", right=True),
    Column("SEEN", right=True),
    Column("VERSION"),
)
_PERIODIC: Final = (Column("PERIODIC TASK", gives=True), Column("LAST SUCCESS"), Column("NEXT"))
_STYLES: Final = {State.DEAD: FAILED, State.RUNNING: RUNNING, State.RESERVED: RUNNING}
Pair = tuple[str, str]


def _pairs(output: Output, pairs: Iterable[Pair]) -> None:
    """Names and values below each other; without the names there would be nothing to grep for."""
    shown = [pair for pair in pairs if pair[1]]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        output.say(f"  {name:<{width}}  {value}")


# -- A queue -----------------------------------------------------------------------------------------------
def queue_page(output: Output, view: QueueView, now: float, where: str) -> None:
    """A queue in full."""
    if output.as_json:
        output.record(queue_record(view, now))
        return
    output.head(view.name, *state(view, now))
    _pairs(output, _counts(output, view, now, where))
    if view.consumers:
        output.say("")
        output.table(_CONSUMERS, _consumer_rows(output, view, now))
    if view.periodic:
        output.say("")
        rows = [
            [Cell(one.name), Cell(output.at(one.success, now)), Cell(output.at(one.next, now))]
            for one in view.periodic
        ]
        output.table(_PERIODIC, rows)


def _counts(output: Output, view: QueueView, now: float, where: str) -> Sequence[Pair]:
    _, size, consumers = workers(view, now)
    return (
        ("redis", where),
        ("ready", _with(number(view.ready), "oldest since", output.at(view.oldest_ready, now), view.ready)),
        ("scheduled", _with(number(view.scheduled), "next", output.at(view.oldest_due, now), view.scheduled)),
        (
            "running",
            _with(number(view.running), "oldest since", output.at(view.oldest_running, now), view.running),
        ),
        ("dead", number(view.dead)),
        ("workers", f"{size} in {counted(consumers, 'consumer')}"),
        ("paused", output.at(view.paused, now) if view.paused is not None else ""),
        ("events", number(view.seq)),
    )


def _with(count: str, name: str, value: str, shown: int) -> str:
    return f"{count}, {name} {value}" if shown else count


def _consumer_rows(output: Output, view: QueueView, now: float) -> list[list[Cell]]:
    rows = []
    for consumer in sorted(view.consumers, key=lambda one: -one.seen_at):
        alive = consumer.alive(now)
        seen = Cell(output.ago(consumer.seen_at, now) + ("" if alive else ", silent"), "" if alive else LATE)
        size = Cell(f"{min(consumer.busy, consumer.workers)}/{consumer.workers}")
        rows.append(
            [Cell(consumer.id), Cell(f"{consumer.host}:{consumer.pid}"), size, seen, Cell(consumer.version)]
        )
    return rows


def queue_record(view: QueueView, now: float) -> dict[str, Any]:
    """A queue in full, for machines."""
    return record(view, now) | {
        "events": view.seq,
        "consumers": [asdict(consumer) | {"alive": consumer.alive(now)} for consumer in view.consumers],
        "periodic": [asdict(periodic) for periodic in view.periodic],
    }


# -- A task ------------------------------------------------------------------------------------------------
def task_page(output: Output, found: TaskState, arguments: Arguments, now: float) -> None:
    """Where a task is, and what it would call."""
    if output.as_json:
        output.record(task_record(found, arguments))
        return
    output.head(f"{found.task or '(unreadable)'}  {found.id}", found.state, _STYLES.get(found.state, ""))
    revoked = "for good" if found.revoked_until == float("inf") else output.at(found.revoked_until, now)
    _pairs(
        output,
        (
            ("since", output.at(found.since, now)),
            ("due", output.at(found.due, now) if found.due else ""),
            ("attempt", f"{found.attempt} of {found.max_attempts}, {counted(found.run, 'run')}"),
            ("redeliveries", number(found.redeliveries) if found.redeliveries else ""),
            ("revoked", revoked if found.revoked_until else ""),
            ("lease until", output.at(found.lease_until, now) if found.lease_until else ""),
            ("worker", _place(found.host, found.worker)),
            ("call", f"{found.task or ''}{called_with(arguments)}"),
        ),
    )


def task_record(found: TaskState, arguments: Arguments) -> dict[str, Any]:
    """Where a task is, for machines."""
    for_good = found.revoked_until == float("inf")
    revoked = {"revoked": found.revoked_until is not None}
    until = {"revoked_until": None if for_good else found.revoked_until}
    return asdict(found) | revoked | until | call_record(arguments)


def called_with(arguments: Arguments) -> str:
    """Arguments as they would stand in code, at most 2,000 characters of it."""
    text = str(arguments) if arguments.hidden else f"({arguments})"
    return text if len(text) <= _CALL_LIMIT else f"{text[:_CALL_LIMIT]} … {len(text):,} characters"


def call_record(arguments: Arguments) -> dict[str, Any]:
    """A call for machines: values as JSON can hold them, and the call as text."""
    if arguments.hidden:
        return {"args": None, "kwargs": None, "arguments": str(arguments)}
    return {"args": arguments.args, "kwargs": arguments.kwargs or {}, "arguments": str(arguments)}


def _place(host: str | None, worker: str | None) -> str:
    return " on ".join(part for part in (worker, host) if part)


# -- A dead letter -----------------------------------------------------------------------------------------
LETTERS: Final = (
    Column("ID"),
    Column("TASK", gives=True),
    Column("DIED", right=True),
    Column("RUNS", right=True),
    Column("REASON", gives=True),
)


def letter_row(output: Output, letter: DeadLetter, now: float) -> list[Cell]:
    """One line of the list; on a terminal the first 8 digits of an id do."""
    return [
        Cell(letter.id[:8] if output.screen.is_terminal else letter.id),
        Cell(letter.task or "(unreadable)"),
        Cell(output.ago(letter.buried_at, now)),
        Cell(number(letter.run)),
        Cell(reason(letter), FAILED),
    ]


def reason(letter: DeadLetter) -> str:
    """Why it died, in a line: the class without its module, and the message."""
    kind = letter.error_type.rpartition(".")[2]
    message = " ".join(letter.error_message.split())
    return ": ".join(part for part in (kind, message) if part) or "unknown"


def letter_page(output: Output, letter: DeadLetter, now: float) -> None:
    """A dead letter in full."""
    if output.as_json:
        output.record(letter_record(letter))
        return
    output.head(f"{letter.task or '(unreadable)'}  {letter.id}", "dead", FAILED)
    lived = ""
    if letter.enqueued_at is not None:
        lived = f", {duration(letter.buried_at - letter.enqueued_at)} after it came"
    _pairs(
        output,
        (
            ("died", f"{output.at(letter.buried_at, now)}{lived}"),
            ("reason", letter.error_type or "unknown: it is not kept any more"),
            ("message", letter.error_message),
            ("runs", f"{letter.run}, {counted(letter.attempt, 'attempt')} in its last life"),
            ("redeliveries", number(letter.redeliveries) if letter.redeliveries else ""),
            ("worker", _place(letter.host, letter.worker)),
            ("priority", str(letter.priority) if letter.priority else ""),
            ("trace", letter.trace_id),
            ("call", f"{letter.task or ''}{called_with(letter.arguments)}"),
        ),
    )
    if letter.traceback:
        output.say("")
        for line in letter.traceback.rstrip("\n").split("\n"):
            output.say(f"  {line}", QUIET)


def letter_record(letter: DeadLetter) -> dict[str, Any]:
    """A dead letter for machines."""
    fields = asdict(letter)
    del fields["arguments"]
    return fields | call_record(letter.arguments)
