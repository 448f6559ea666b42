"""`limelight events`: look at what was told, and at what is being told. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar

import rich_click as click

from limelight.event_log import Entry, EventLog, Item
from limelight.storage.address import Address

from .event_filter import EventFilter, statuses
from .event_line import clock
from .event_printer import printer, remark_on
from .moment import unix_seconds
from .redis_options import checked, color_option, url_option
from .terminal import quiet_end

_Command = TypeVar("_Command", bound=Callable[..., Any])


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def events() -> None:
    """Look at what the queues tell: every change in the life of every task.

    Both commands read the durable streams and change nothing.
    """


def _several(name: str, variable: str, metavar: str, text: str) -> Callable[[_Command], _Command]:
    return click.option(name, variable, multiple=True, metavar=metavar, help=text)


def _choices(command: _Command) -> _Command:
    """What both commands can be asked."""
    options = (
        click.option("-q", "--queue", "queues", multiple=True, metavar="QUEUE", help="Only this queue."),
        _several("--task", "tasks", "TASK", "Only this task; send_* takes several."),
        _several("--status", "statuses", "STATUS,…", "Only these: finished, dead, lost, …"),
        click.option("--errors", is_flag=True, help="Only failures, and tasks given up."),
        _several("--id", "ids", "UUID", "Only this task; the first digits will do."),
        _several("--worker", "workers", "WORKER", "Only this worker or host; web-* takes several."),
        click.option("--traceback", is_flag=True, help="Print tracebacks below their events."),
        click.option("--json", "as_json", is_flag=True, help="One event per line, as it was told."),
        color_option,
        url_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@events.command()
@click.option(
    "--since", metavar="WHEN", help="Begin with what was told since: 5m, 1h30m, 15:05, 2026-11-22T15:05."
)
@click.option("--from-start", is_flag=True, help="Begin with the oldest event there is.")
@_choices
def tail(since: str | None, from_start: bool, **choices: Any) -> None:
    """Show events as they come, until Ctrl-C.

    Redis may go away and come back, and events may be trimmed before they are read: it is said, and for trimmed
    events how many.

    \b
    Examples:
    limelight events tail
    limelight events tail -q mail --errors --traceback --since 1h
    limelight events tail --json --status finished | jq .duration
    """  # noqa: D301 - \b keeps the lines apart
    if since and from_start:
        raise click.UsageError("give --since or --from-start, not both")
    with quiet_end(), _Reading(**choices) as reading:
        begin = 0.0 if from_start else reading.moment(since)
        reading.say_where_streams_begin(begin)
        reading.show(reading.log.follow(begin))


@events.command()
@click.option(
    "--since",
    metavar="WHEN",
    help="Begin there: 5m, 1h30m, 15:05, 2026-11-22T15:05; by default with the oldest.",
)
@click.option("--until", metavar="WHEN", help="End there; by default with the newest.")
@click.option(
    "-n", "--limit", type=click.IntRange(1), metavar="N", help="Only the newest N of those that are wanted."
)
@_choices
def replay(since: str | None, until: str | None, limit: int | None, **choices: Any) -> None:
    """Show the events that are still on the streams, oldest first.

    How far back they go: as far as no exporter has passed, or else by count and age; `limelight doctor` tells.

    \b
    Examples:
    limelight events replay --id 77d1e0b4
    limelight events replay --since 15:00 --until 15:10 --worker 'web-2/*'
    limelight events replay --errors -n 20 --traceback
    """  # noqa: D301 - \b keeps the lines apart
    with quiet_end(), _Reading(**choices) as reading:
        first, last = reading.moment(since), reading.moment(until)
        if limit is None:
            reading.say_where_streams_begin(first or 0.0)
            reading.show(reading.log.between(first, last))
        else:
            newest = reading.log.between(first, last, newest_first=True)
            wanted = (item for item in newest if isinstance(item, Entry) and reading.filter.wants(item.event))
            reading.show(reversed(list(islice(wanted, limit))))


class _Reading:
    """The log that the options name, the filter they describe, and a printer that suits stdout."""

    def __init__(
        self, *, url: str, queues: tuple[str, ...], as_json: bool, color: bool, traceback: bool, **wanted: Any
    ) -> None:
        self.filter = EventFilter(
            tasks=wanted["tasks"],
            statuses=statuses(wanted["statuses"]),
            errors=wanted["errors"],
            ids=wanted["ids"],
            workers=wanted["workers"],
        )
        self._address = Address(url, {})
        self.log = EventLog(self._address, queues or None)
        self._queues = queues
        self._printer = printer(as_json=as_json, color=color, tracebacks=traceback)

    def __enter__(self) -> Self:
        self._now = self.log.now()
        known = EventLog(self._address).queues()
        checked(self._queues, known, self._address.shown)
        if not known:
            self._printer.remark(f"no queue yet in {self._address.shown}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.log.close()

    def moment(self, text: str | None) -> float | None:
        """Unix seconds by Redis' clock, which the streams are ordered by."""
        return None if text is None else unix_seconds(text, now=self._now)

    def say_where_streams_begin(self, since: float | None) -> None:
        """Where a stream does not reach back as far as is asked for, say so."""
        if since is None:
            return
        for queue, entry in self.log.oldest().items():
            told = entry.event
            if told.seq > 1 and told.timestamp > since:
                self._printer.remark(
                    f"the stream of {queue} begins at {clock(told.timestamp)} with seq {told.seq}: "
                    "what was told before has been trimmed"
                )

    def show(self, items: Iterable[Item]) -> None:
        """Print the events that are wanted, and everything else that there is to say."""
        for item in items:
            if not isinstance(item, Entry):
                self._printer.remark(remark_on(item))
            elif self.filter.wants(item.event):
                self._printer.event(item)
