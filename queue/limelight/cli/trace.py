"""`limelight trace`: the trace of a task, as the events still on the streams tell it. Reads only."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Final
from uuid import UUID

import rich_click as click
from rich.text import Text

from limelight import events as contract
from limelight.emitter import RedisEventEmitter
from limelight.errors import ConfigurationError, TaskNotFound
from limelight.event_log import Entry, EventLog
from limelight.events import Event
from limelight.storage.address import Address
from limelight.task_queue import RedisQueue
from limelight.trace_tree import Node, trees, walk

from .event_line import clock, day
from .redis_options import checked, color_option, url_option
from .terminal import console, quiet_end, speaks_unicode
from .text import compact, shown

_LEAST_PREFIX: Final = 4
_HEX: Final = re.compile(r"[0-9a-f-]{4,36}")
_READS_ONLY: Final = RedisEventEmitter(max_events=10**12)
_DEEPEST: Final = 20
"""Levels that are set in; a pipeline may have thousands of stages."""
_NO_TRACE_ID: Final = "0" * 32


@click.command()
@click.argument("id_", metavar="ID")
@click.option("-q", "--queue", "queues", multiple=True, metavar="QUEUE", help="Only what this queue tells.")
@click.option("--json", "as_json", is_flag=True, help="One span per line.")
@color_option
@url_option
def trace(id_: str, queues: tuple[str, ...], as_json: bool, color: bool, url: str) -> None:
    """Show the trace of a task: its runs, what enqueued it, and what it enqueued.

    ID is that of a task (its first digits will do) or of a trace. A task whose runs began traces of their own is
    shown with each of them. Spans of the application itself are where it sends them, under the same trace id.

    \b
    Examples:
    limelight trace 3f2a91bc
    limelight trace 4bf92f3577b34da6a3ce929d0e0e4736 --json
    """  # noqa: D301 - \b keeps the lines apart
    address = Address(url, {})
    log = EventLog(address, queues or None)
    with quiet_end():
        known = EventLog(address).queues()
        checked(queues, known, address.shown)
        traces = _traces_of(log, _typed(id_), url)
        found = trees(_events(log, lambda event: event.trace_id in traces))
        if not found:
            raise TaskNotFound(_nothing_left(id_, traces))
        screen = console(color=color)
        lines = _json_lines(found) if as_json else _lines(found, unicode=speaks_unicode(screen))
        for line in lines:
            screen.print(line, soft_wrap=True)


def _typed(id_: str) -> str:
    word = id_.strip().lower()
    if not _HEX.fullmatch(word):
        raise ConfigurationError(
            f"{id_!r} is no id: give a task's, or its first {_LEAST_PREFIX} digits, or a trace's 32 digits"
        )
    return word


def _traces_of(log: EventLog, word: str, url: str) -> Collection[str]:
    """The traces of the tasks whose ids begin so, by their events, else by what Redis holds of the task."""
    traces: set[str] = set()
    tasks: set[str] = set()
    digits = word.replace("-", "")

    def wanted(event: Event) -> bool:
        return event.trace_id == digits or (event.id or "").replace("-", "").startswith(digits)

    for event in _events(log, wanted):
        tasks.add(event.id or "")
        traces |= {event.trace_id} if event.trace_id else set()
    if digits not in traces and len(tasks) > 1:
        raise ConfigurationError(
            f"{word!r} begins {len(tasks)} ids: {', '.join(sorted(tasks)[:5])}. Give more digits"
        )
    return traces or _recorded(log.queues(), word, url)


def _recorded(queues: Sequence[str], word: str, url: str) -> Collection[str]:
    try:
        task_id = str(UUID(word))
    except ValueError:
        return ()
    found = {task_id.replace("-", "")}
    for name in queues:
        queue = RedisQueue(name, url=url, emitter=_READS_ONLY)
        (stored,) = queue.storage.administration.look([task_id], bodies=False)
        queue.close()
        if stored is not None and stored.record is not None:
            found.add(stored.record.trace_id)
    return found - {_NO_TRACE_ID}


def _nothing_left(id_: str, traces: Collection[str]) -> str:
    told = (
        f"the streams hold no event of {id_!r}: there was none, or they have been trimmed "
        "(limelight doctor tells how far back they go)"
    )
    if not traces:
        return told
    return f"{told}. Look for trace {' or '.join(sorted(traces))} where your exporter sends spans"


def _events(log: EventLog, wants: Callable[[Event], bool]) -> Iterator[Event]:
    return (item.event for item in log.between() if isinstance(item, Entry) and wants(item.event))


# -- For people ------------------------------------------------------------------------------------------
def _lines(found: dict[str, list[Node]], *, unicode: bool) -> Iterator[Text]:
    branch = "└─ " if unicode else "`- "
    for trace_id, roots in found.items():
        yield Text(f"trace {shown(trace_id)}  {day(roots[0].start)}", "bold")
        for depth, node in walk(roots):
            stem = "   " * (min(depth, _DEEPEST) - 1) + branch if depth else ""
            yield _line(node, stem, found)


def _line(node: Node, stem: str, found: Collection[str]) -> Text:
    took = "" if node.end is None else compact(node.end - node.start)
    line = Text.assemble((clock(node.start), "dim"), f"  {took:>6}  ", (stem, "dim"), no_wrap=True)
    line.append(shown(node.name), _style(node))
    line.append(f"  {shown(str((node.event.service or {}).get('service.name', node.event.queue)))}", "dim")
    details = [*_details(node), *_elsewhere(node, found)]
    if details:
        line.append("  " + shown(", ".join(details)))
    return line


def _style(node: Node) -> str:
    event = node.event
    if event.error or event.status == contract.EVENT_DEAD:
        return "bright_red"
    return "blue" if node.end is None else ""


def _details(node: Node) -> Iterator[str]:
    event = node.event
    if event.batch > 1:
        yield f"{event.batch} tasks"
    if node.operation == "enqueue":
        if event.execute_time is not None:
            yield f"for {clock(event.execute_time)}"
        return
    if node.operation != "process":
        return
    if event.wait:
        yield f"after {compact(event.wait)}"
    if event.max_attempts > 1:
        yield f"attempt {event.attempt}/{event.max_attempts}"
    if node.end is None:
        yield f"running on {event.host}/{event.worker}"
    elif event.outcome != "success":
        yield " ".join(word for word in (event.outcome, _short_type(event)) if word)


def _short_type(event: Event) -> str:
    return (event.error_type or "").rpartition(".")[2]


def _elsewhere(node: Node, found: Collection[str]) -> Iterator[str]:
    for trace_id, _ in node.links:
        if trace_id != node.event.trace_id:
            yield f"linked from trace {trace_id if trace_id not in found else trace_id[:8]}"


# -- For machines ----------------------------------------------------------------------------------------
def _json_lines(found: dict[str, list[Node]]) -> Iterable[str]:
    for roots in found.values():
        for depth, node in walk(roots):
            yield json.dumps(_record(node, depth))


def _record(node: Node, depth: int) -> dict[str, Any]:
    event = node.event
    return {
        "trace_id": event.trace_id,
        "span_id": event.span_id,
        "parent_span_id": event.parent_span_id or None,
        "name": node.name,
        "depth": depth,
        "start": node.start,
        "end": node.end,
        "queue": event.queue,
        "service": (event.service or {}).get("service.name"),
        "id": event.id,
        "run": event.run or None,
        "outcome": event.outcome,
        "error_type": event.error_type,
        "links": [{"trace_id": trace_id, "span_id": span_id} for trace_id, span_id in node.links],
    }
