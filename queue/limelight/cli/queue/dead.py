"""`limelight queue dead`: the tasks that failed for good."""

from __future__ import annotations

import datetime as dt

import rich_click as click

from limelight.cli.moment import unix_seconds
from limelight.cli.text import counted, number
from limelight.errors import TaskNotFound
from limelight.lifecycle import State
from limelight.task_queue import RedisQueue

from .opening import full_id, open_queue
from .options import SETTINGS, InOrder, common, queue_argument, yes_option
from .output import Output
from .pages import LETTERS, letter_page, letter_record, letter_row
from .work import confirm, worked_off

task_option = click.option("--task", metavar="NAME", help="Only this task.")
all_option = click.option("--all", "everything", is_flag=True, help="All of them.")


@click.group(cls=InOrder, context_settings=SETTINGS)
def dead() -> None:
    """Tasks that failed for good: why, once more, or away.

    A dead letter stays until one of these commands takes it, or the queue has more of them than it keeps (10,000, see
    max_dead of RedisQueue). ID may be the first digits of one, 4 at least.

    \b
    Examples:
    limelight queue dead ls mail
    limelight queue dead show mail 3f2a91bc
    limelight queue dead requeue mail --task send_email
    limelight queue dead purge mail --older-than 30d
    """  # noqa: D301 - \b keeps the lines apart


@dead.command("ls")
@queue_argument
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    default=20,
    show_default=True,
    help="How many at most.",
)
@click.option(
    "--after", default="", metavar="CURSOR", help="Go on after this one; the end of a list names it."
)
@task_option
@common
def list_letters(
    name: str, limit: int, after: str, task: str | None, url: str, color: bool, as_json: bool
) -> None:
    """List dead letters, the newest first."""
    output, queue = Output(as_json=as_json, color=color), open_queue(name, url)
    letters, now = queue.dead.page(limit, after, task), queue.storage.administration.now_us() / 1e6
    if as_json:
        for letter in letters:
            output.record(letter_record(letter))
    elif letters:
        output.table(LETTERS, [letter_row(output, letter, now) for letter in letters])
        if len(letters) == limit and len(queue.dead) > limit:
            output.note(
                f"{number(limit)} of {number(len(queue.dead))}; for more: --after {letters[-1].cursor}"
            )
    else:
        output.note(
            f"no {'more ' if after else ''}dead letters{f' of task {task}' if task else ''} on {name}"
        )


@dead.command()
@queue_argument
@click.argument("id_", metavar="ID")
@common
def show(name: str, id_: str, url: str, color: bool, as_json: bool) -> None:
    """Show one: what was called, why it failed, and where."""
    output, queue = Output(as_json=as_json, color=color), open_queue(name, url)
    task_id = full_id(queue, id_)
    _check_dead(queue, task_id)
    if letter := queue.dead.get(task_id):
        letter_page(output, letter, queue.storage.administration.now_us() / 1e6)


@dead.command()
@queue_argument
@click.argument("ids", metavar="[ID]...", nargs=-1)
@all_option
@task_option
@yes_option
@common
def requeue(
    name: str,
    ids: tuple[str, ...],
    everything: bool,
    task: str | None,
    yes: bool,
    url: str,
    color: bool,
    as_json: bool,
) -> None:
    """Run dead letters again, as if they had just come.

    They have all their retries. Unreadable ones stay. What dies while the command runs is left alone.
    """
    _check_choice(ids, everything, task)
    output, queue = Output(as_json=as_json, color=color), open_queue(name, url)
    if ids:
        chosen = _chosen(queue, ids)
        expected, requeued = len(chosen), queue.dead.requeue(*chosen)
    else:
        expected = queue.dead.count(task)
        if expected:
            confirm(output, f"Run {_letters(expected, queue, task)} again", yes=yes)
        requeued = worked_off(output, queue.dead.requeue_steps(task), expected, doing="requeued")
    if output.as_json:
        output.record({"queue": name, "requeued": requeued})
    else:
        output.say(f"{counted(requeued, 'task')} of {name} {'is' if requeued == 1 else 'are'} ready again.")
    if requeued < expected:
        output.note(f"{number(expected - requeued)} stayed: what cannot be read can only be purged")
        if not requeued:
            raise SystemExit(1)


@dead.command()
@queue_argument
@click.argument("ids", metavar="[ID]...", nargs=-1)
@all_option
@task_option
@click.option("--older-than", metavar="WHEN", help="Only those that died before: 30d, 12h, 2026-11-01.")
@yes_option
@common
def purge(
    name: str,
    ids: tuple[str, ...],
    everything: bool,
    task: str | None,
    older_than: str | None,
    yes: bool,
    url: str,
    color: bool,
    as_json: bool,
) -> None:
    """Throw dead letters away for good. It asks first."""
    output, queue = Output(as_json=as_json, color=color), open_queue(name, url)
    _check_choice(ids, everything, task, older_than)
    if ids:
        chosen = _chosen(queue, ids)
        confirm(output, f"Throw {_letters(len(chosen), queue, None)} away for good", yes=yes)
        purged = queue.dead.purge(*chosen)
    else:
        before = _moment(queue, older_than)
        expected = queue.dead.count(task, before)
        if expected:
            confirm(output, f"Throw {_letters(expected, queue, task)} away for good", yes=yes)
        purged = worked_off(output, queue.dead.purge_steps(task, before), expected, doing="purged")
    if output.as_json:
        output.record({"queue": name, "purged": purged})
    else:
        output.say(f"{counted(purged, 'dead letter')} of {name} {'is' if purged == 1 else 'are'} gone.")


def _check_choice(
    ids: tuple[str, ...], everything: bool, task: str | None, older_than: str | None = None
) -> None:
    narrowed = task is not None or older_than is not None
    if bool(ids) + (everything or narrowed) != 1:
        raise click.UsageError("say which: give IDs, or --all, or all of one --task")
    if everything and narrowed:
        raise click.UsageError("give --all, or what narrows it down, not both")


def _chosen(queue: RedisQueue, typed: tuple[str, ...]) -> list[str]:
    """The ids that were meant, each once; raises TaskNotFound for one that is no dead letter."""
    chosen = list(dict.fromkeys(full_id(queue, id_) for id_ in typed))
    for task_id in chosen:
        _check_dead(queue, task_id)
    return chosen


def _moment(queue: RedisQueue, text: str | None) -> dt.datetime | None:
    if text is None:
        return None
    now = queue.storage.administration.now_us() / 1e6
    return dt.datetime.fromtimestamp(unix_seconds(text, now=now), dt.UTC)


def _letters(count: int, queue: RedisQueue, task: str | None) -> str:
    of_task = f" of task {task}" if task else ""
    return f"{counted(count, 'dead letter')}{of_task} of queue {queue.name} at {queue.storage.address.shown}"


def _check_dead(queue: RedisQueue, task_id: str) -> None:
    found = queue.task_state(task_id)
    if found is None or found.state is not State.DEAD:
        where = f"it is {found.state}" if found else "the queue holds nothing of it"
        raise TaskNotFound(f"task {task_id} is no dead letter of queue {queue.name!r}: {where}")
