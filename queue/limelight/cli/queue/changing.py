"""`limelight queue flush`, `cancel`, `pause`, `resume` and `revoke`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import rich_click as click

from limelight.cli.text import counted, number
from limelight.errors import TaskNotFound
from limelight.inspection import queue_view
from limelight.storage.administration import Cancellation
from limelight.storage.links import Links

from .opening import checked_task_id, open_queue
from .options import common, queue_argument, yes_option
from .output import Output
from .work import confirm, worked_off

ids_argument = click.argument("ids", metavar="ID...", nargs=-1, required=True)


@click.command()
@queue_argument
@click.option(
    "--only", type=click.Choice(["ready", "scheduled"]), help="Only what could run now, or only the rest."
)
@yes_option
@common
def flush(name: str, only: str | None, yes: bool, url: str, color: bool, as_json: bool) -> None:
    """Take everything off a queue that waits. It asks first.

    Each task is told as canceled. What runs, dead letters and results stay.
    """
    output, queue = Output(as_json=as_json, color=color), open_queue(name, url)
    counts = queue.storage.administration.counts()
    ready, scheduled = only in {None, "ready"}, only in {None, "scheduled"}
    expected = counts.ready * ready + counts.scheduled * scheduled
    if expected:
        parts = f"{number(counts.ready * ready)} ready, {number(counts.scheduled * scheduled)} scheduled"
        where = f"queue {name} at {queue.storage.address.shown}"
        confirm(output, f"Cancel {counted(expected, 'task')} ({parts}) of {where} for good", yes=yes)
    tally = Tally(queue.flush_steps(ready=ready, scheduled=scheduled))
    canceled = worked_off(output, tally, expected, doing="canceled")
    if output.as_json:
        output.record({"queue": name, "canceled": canceled, "unreadable": tally.unreadable})
        return
    output.say(f"{counted(canceled, 'task')} of {name} {'is' if canceled == 1 else 'are'} canceled.")
    if tally.unreadable:
        output.note(f"{number(tally.unreadable)} could not be read: see limelight queue dead ls {name}")


class Tally:
    """Steps of a flush as counts of canceled tasks; sums up the unreadable ones."""

    def __init__(self, steps: Iterable[Cancellation]) -> None:
        self.unreadable = 0
        self._steps = steps

    def __iter__(self) -> Iterator[int]:
        for step in self._steps:
            self.unreadable += step.unreadable
            yield step.canceled


@click.command()
@queue_argument
@ids_argument
@yes_option
@common
def cancel(name: str, ids: tuple[str, ...], yes: bool, url: str, color: bool, as_json: bool) -> None:
    """Take single tasks off a queue that wait. It asks first.

    A task that a worker holds already is left to it; `revoke` reaches it, if it is not running yet.
    """
    output, queue = Output(as_json=as_json, color=color), open_queue(name, url)
    chosen = list(dict.fromkeys(map(checked_task_id, ids)))
    where = f"queue {name} at {queue.storage.address.shown}"
    confirm(output, f"Cancel {counted(len(chosen), 'task')} of {where} for good", yes=yes)
    canceled = queue.cancel(*chosen)
    if output.as_json:
        output.record({"queue": name, "canceled": canceled})
    elif canceled:
        output.say(f"{counted(canceled, 'task')} of {name} {'is' if canceled == 1 else 'are'} canceled.")
    if canceled < len(chosen):
        raise TaskNotFound(
            f"{number(len(chosen) - canceled)} of {number(len(chosen))} did not wait on {name!r}"
        )


@click.command()
@queue_argument
@common
def pause(name: str, url: str, color: bool, as_json: bool) -> None:
    """Have all workers of a queue begin nothing new.

    What runs goes on to its end. Tasks may still be enqueued; they wait.
    """
    output, queue = Output(as_json=as_json, color=color), open_queue(name, url)
    changed, now = queue.pause(), queue.storage.administration.now_us() / 1e6
    since = queue.paused
    if output.as_json:
        output.record({"queue": name, "paused": since, "changed": changed})
    elif changed:
        running = queue_view(Links(queue.storage.address), name).running
        rest = f" {counted(running, 'task')} still {'runs' if running == 1 else 'run'}." if running else ""
        output.say(f"{name} is paused: nothing new begins.{rest}")
    else:
        output.say(f"{name} was paused already, since {output.at(since, now)}.")


@click.command()
@queue_argument
@common
def resume(name: str, url: str, color: bool, as_json: bool) -> None:
    """Have the workers of a paused queue go on."""
    output, queue = Output(as_json=as_json, color=color), open_queue(name, url)
    changed = queue.resume()
    if output.as_json:
        output.record({"queue": name, "paused": None, "changed": changed})
    else:
        output.say(f"{name} goes on." if changed else f"{name} was not paused.")


@click.command()
@queue_argument
@ids_argument
@click.option("--restore", is_flag=True, help="Take the mark away again.")
@common
def revoke(name: str, ids: tuple[str, ...], restore: bool, url: str, color: bool, as_json: bool) -> None:
    """Have tasks end as revoked when a worker pulls them.

    Until then they can be restored. A task that runs already runs to its end.
    """
    output, queue = Output(as_json=as_json, color=color), open_queue(name, url)
    chosen = list(dict.fromkeys(map(checked_task_id, ids)))
    changed = queue.restore_by_id(chosen) if restore else queue.revoke_by_id(chosen)
    word = "restored" if restore else "revoked"
    if output.as_json:
        output.record({"queue": name, word: changed})
    elif changed:
        output.say(f"{counted(changed, 'task')} of {name} {'is' if changed == 1 else 'are'} {word}.")
    if changed < len(chosen):
        missing = "were not revoked" if restore else "are not on the queue"
        raise TaskNotFound(f"{number(len(chosen) - changed)} of {number(len(chosen))} {missing}: {name!r}")
