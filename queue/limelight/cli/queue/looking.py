"""`limelight queue ls`, `show` and `peek`: reads only."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import chain
from typing import Final

import rich_click as click
from rich.console import Group
from rich.live import Live

from limelight.cli.terminal import quiet_end
from limelight.contents import Arguments, arguments_of, state_of
from limelight.errors import TaskNotFound
from limelight.inspection import QueueView, queue_names, queue_view
from limelight.lifecycle import State
from limelight.storage.address import Address
from limelight.storage.links import Links
from limelight.storage.stored import Stored
from limelight.task_queue import RedisQueue

from . import listing
from .opening import checked_task_id, open_queue
from .options import common, queue_argument
from .output import Cell, Column, Output
from .pages import called_with, queue_page, task_page, task_record

_WATCH_SECONDS: Final = 2.0
_UNREADABLE: Final = Arguments(hidden="its record is unreadable")


# -- All queues --------------------------------------------------------------------------------------------
@click.command("ls")
@click.option(
    "--sort",
    type=click.Choice(listing.SORTS),
    default="oldest",
    show_default=True,
    help="What comes first.",
)
@click.option("-w", "--watch", is_flag=True, help="Look again every 2 seconds, until Ctrl-C.")
@common
def list_queues(sort: str, watch: bool, url: str, color: bool, as_json: bool) -> None:
    """List all queues: depth, age, workers, dead letters.

    For machines: limelight queue ls --json | jq 'select(.dead > 0)'

    \b
    READY   tasks that could run now
    OLDEST  for how long the oldest of them has waited
    RUN     running tasks, of so many workers
    SCHED   tasks that wait for their time
    DEAD    tasks that failed for good
    STATE   idle, running, busy, late (over a minute), paused, no consumer
    """  # noqa: D301 - \b keeps the lines apart
    output, links = Output(as_json=as_json, color=color), Links(Address(url, {}))
    if watch and not output.live:
        raise click.UsageError("--watch needs a terminal to draw on, and no --json")
    views = _look(links)
    if as_json:
        for view in listing.ordered(views, sort):
            output.record(listing.record(view, view.now))
    elif not views:
        output.say("No queue yet.")
    elif watch:
        _watch(output, links, sort)
    else:
        output.table(listing.COLUMNS, _rows(output, views, sort))


def _look(links: Links) -> list[QueueView]:
    return [queue_view(links, name) for name in queue_names(links)]


def _rows(output: Output, views: Sequence[QueueView], sort: str) -> list[list[Cell]]:
    return [listing.row(view, view.now, output.none) for view in listing.ordered(views, sort)]


def _watch(output: Output, links: Links, sort: str) -> None:
    with quiet_end(), Live(console=output.screen, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            rows = _rows(output, _look(links), sort)
            live.update(Group(*output.lines(listing.COLUMNS, rows)), refresh=True)
            time.sleep(_WATCH_SECONDS)


# -- One queue, one task -----------------------------------------------------------------------------------
@click.command()
@queue_argument
@click.argument("id_", metavar="[ID]", required=False)
@common
def show(name: str, id_: str | None, url: str, color: bool, as_json: bool) -> None:
    """Show one queue in full; with an ID, where that task is.

    \b
    Examples:
    limelight queue show mail
    limelight queue show mail 3f2a91bc-5b1e-4c55-9f0e-3d3b3a1f2c77
    """  # noqa: D301 - \b keeps the lines apart
    output, queue = Output(as_json=as_json, color=color), open_queue(name, url)
    now = queue.storage.administration.now_us() / 1e6
    if id_ is None:
        address = queue.storage.address
        queue_page(output, queue_view(Links(address), name), now, address.shown)
        return
    stored = _stored(queue, checked_task_id(id_))
    task_page(output, state_of(stored), _arguments(queue, stored), now)


def _stored(queue: RedisQueue, task_id: str) -> Stored:
    (stored,) = queue.storage.administration.look([task_id])
    if stored is None:
        result, _ = queue.storage.result(task_id)
        ended = "it has ended, and its result is kept" if result else "it has ended, or never came"
        raise TaskNotFound(f"queue {queue.name!r} holds nothing of task {task_id}: {ended}")
    return stored


def _arguments(queue: RedisQueue, stored: Stored) -> Arguments:
    return arguments_of(stored.record, queue.serializer) if stored.record else _UNREADABLE


# -- What waits --------------------------------------------------------------------------------------------
@click.command()
@queue_argument
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, 1_000),
    metavar="N",
    default=10,
    show_default=True,
    help="How many at most.",
)
@click.option("--scheduled", is_flag=True, help="What waits for its time, not what could run now.")
@common
def peek(name: str, limit: int, scheduled: bool, url: str, color: bool, as_json: bool) -> None:
    """Show what runs next, and what it would call.

    Arguments that an application signed are not shown. What a worker holds already is not among these.
    """
    output, queue = Output(as_json=as_json, color=color), open_queue(name, url)
    now = queue.storage.administration.now_us() / 1e6
    waiting = _waiting(queue, limit, scheduled=scheduled)
    if as_json:
        for stored in waiting:
            output.record(task_record(state_of(stored), _arguments(queue, stored)))
    elif waiting:
        output.table(_columns(scheduled=scheduled), [_row(output, queue, one, now) for one in waiting])
    else:
        output.note(f"nothing {'is scheduled' if scheduled else 'is ready'} on {name}")


def _waiting(queue: RedisQueue, limit: int, *, scheduled: bool) -> list[Stored]:
    redis = queue.storage.administration
    states = (State.DELAYED, State.SCHEDULED) if scheduled else (State.READY,)
    found = chain.from_iterable(redis.look(redis.waiting_ids(state, 0, limit)) for state in states)
    return sorted((stored for stored in found if stored), key=_due)[:limit]


def _due(stored: Stored) -> float:
    """Zero for what is ready: its order stays."""
    waits = stored.record is not None and stored.state is not State.READY
    return (stored.record.due or 0.0) if waits and stored.record else 0.0


def _columns(*, scheduled: bool) -> tuple[Column, ...]:
    since = Column("DUE", right=True) if scheduled else Column("SINCE", right=True)
    return (
        Column("ID"),
        Column("TASK", gives=True),
        since,
        Column("TRY", right=True),
        Column("ARGUMENTS", gives=True),
    )


def _row(output: Output, queue: RedisQueue, stored: Stored, now: float) -> list[Cell]:
    found = state_of(stored)
    waits = output.ago(found.since, now) if found.due is None else output.until(found.due, now)
    return [
        Cell(stored.id),
        Cell(found.task or "(unreadable)"),
        Cell(waits),
        Cell(f"{found.attempt + 1}/{found.max_attempts}" if found.task else output.none),
        Cell(called_with(_arguments(queue, stored))),
    ]
