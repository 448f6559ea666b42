"""Failures, tasks, consumers, schedules: the sections below the queues."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from limelight.inspection import Consumer, PeriodicRuns
from limelight_exporter import thresholds

from . import formats
from .charts import boxes
from .facts import Facts, QueueFacts, overdue_seconds
from .failures import Group
from .history import SLOTS
from .links import Links, to_queue, to_task
from .nodes import Node, el
from .tallies import Tally
from .verdict import short_name
from .words import cell, pair, quiet, section, since, table, until, zero

MOST_FAILURES: Final = 12
MOST_TASKS: Final = 20
MOST_ROWS: Final = 50
_OLDEST_FAILURE_SECONDS: Final = 3_600.0
_TASK_HEADS: Final = (
    ("", "Task"), ("l", "Queue"), ("", "Completed"), ("", "Share of worker time"), ("", "Run p50 · p95"),
    ("", "Wait p95"), ("", "Retries"), ("", "Errors"),
)  # fmt: skip
_CONSUMER_HEADS: Final = (("", "Host"), ("l", "Queue"), ("", "Busy"), ("", "Version"), ("", "Heartbeat"))
_SCHEDULE_HEADS: Final = (("", "Task"), ("l", "Queue"), ("", "Last success"), ("", "Next"))


def failure_list(facts: Facts, links: Links, *, tracebacks: bool, opened: bool) -> Node:
    """The section.

    Args:
        facts: The moment.
        links: To traces.
        tracebacks: Whether they may be shown.
        opened: Whether the first one's is open.
    """
    oldest = facts.latest - SLOTS
    shown = [group for group in facts.failures if facts.now - group.last_at < _OLDEST_FAILURE_SECONDS]
    now = [group for group in shown if group.within(oldest)]
    items = [
        _failure(group, facts, links, tracebacks=tracebacks, opened=opened and at == 0)
        for at, group in enumerate(shown[:MOST_FAILURES])
    ]
    said = "Still reading." if facts.replay else "None in the last 5 minutes."
    none = el("p", said, cls="none") if not now else None
    return section(
        "failures", "Failures", "last 5 min, grouped",
        el("div", none, key="failures:none"), el("ol", items, key="failures", cls="fails", data_hold="failures"),
    )  # fmt: skip


def _failure(group: Group, facts: Facts, links: Links, *, tracebacks: bool, opened: bool) -> Node:
    key = "f:" + hashlib.sha256("\0".join(group.key).encode("utf-8", "replace")).hexdigest()[:12]
    kind, task = formats.visible(short_name(group.error_type)), formats.visible(group.task)
    times, message = (
        group.within(facts.latest - SLOTS),
        formats.visible(group.message, formats.LONGEST_MESSAGE),
    )
    row = el(
        "div",
        el("b", kind, title=formats.visible(group.error_type)),
        el("span", f"×{formats.count(times)}", cls="times") if times > 1 else None,
        el("span", to_task(group.task_id, task) if group.task_id else task, cls="dim"),
        since(group.last_at, facts.now),
        key=f"{key}:row", cls="row",
    )  # fmt: skip
    return el(
        "li", row,
        el("p", message, key=f"{key}:message", title=message) if message else None,
        _traceback(key, group, opened=opened) if tracebacks and group.traceback else None,
        _ways(key, group, links),
        key=key, cls="" if times else "past", data_f=f"{kind} {task} {message}".lower(),
    )  # fmt: skip


def _traceback(key: str, group: Group, *, opened: bool) -> Node:
    of = f", attempt {group.attempt} of {group.max_attempts}" if group.max_attempts > 1 else ""
    return el(
        "details",
        el("summary", f"Traceback of the last one{of}", key=f"{key}:summary"),
        el("pre", traceback(group.traceback), key=f"{key}:traceback", tabindex="0"),
        key=f"{key}:details", open="" if opened else None,
    )  # fmt: skip


def traceback(text: str) -> Iterator[Node | str]:
    """A traceback, the error's name in its last line marked."""
    shown = formats.visible(text.rstrip("\n"), len(text), lines=True)
    head, _, last = shown.rpartition("\n")
    name, colon, rest = last.partition(":")
    yield f"{head}\n" if head else ""
    yield el("span", name, cls="e")
    yield colon + rest


def _ways(key: str, group: Group, links: Links) -> Node | None:
    """Where to go on from a failure."""
    link = links.trace(group.trace_id, "Trace")
    command = f"limelight queue dead ls {group.queue}" if group.dead_at else ""
    copy = (
        el("button", "Copy command", type="button", cls="small", data_copy=command, title=command)
        if command else None
    )  # fmt: skip
    return el("div", link, copy, key=f"{key}:ways", cls="ways") if link or copy else None


def task_table(facts: Facts, *, most: int = MOST_TASKS) -> Node:
    """The section: the busiest tasks by the time that they took."""
    rows = [
        (queue, task, tally)
        for queue in facts.queues
        if queue.flow
        for task, tally in queue.flow.window.items()
    ]
    rows.sort(key=lambda one: (-one[2].ran_seconds, -one[2].completed, one[1]))
    spent = sum(tally.ran_seconds for _, _, tally in rows)
    shown = [_task_row(*row, spent) for row in rows[:most]]
    more = len(rows) - len(shown)
    return section(
        "tasks", "Tasks", f"the {most} busiest by time spent, 5 min" if more > 0 else "by time spent, 5 min",
        table("Tasks", _TASK_HEADS, shown, key="tasks"),
        el("div", el("p", f"and {formats.count(more)} more", cls="more") if more > 0 else None, key="tasks:more"),
    )  # fmt: skip


def _task_row(queue: QueueFacts, task: str, tally: Tally, spent: float) -> Node:
    key, name = f"n:{queue.name}:{task}", formats.visible(task)
    wait = tally.wait_quantile(0.95)
    late = wait is not None and wait > thresholds.QUEUE_AGE_SECONDS
    runs = [formats.duration(tally.run_quantile(quantile)) for quantile in (0.5, 0.95)]
    return el(
        "tr",
        el("td", el("span", name, cls="name"), role="cell"),
        cell(f"{key}:queue", "Queue", to_queue(queue.name, queue.name), cls="l dim"),
        cell(f"{key}:completed", "Completed", formats.count(tally.completed)),
        cell(f"{key}:time", "Worker time", *quiet(formats.share(tally.ran_seconds, spent))),
        cell(f"{key}:run", "Run p50 · p95", pair(*runs)),
        cell(f"{key}:wait", "Wait p95", *quiet(formats.duration(wait)), cls="is-warn" if late else ""),
        cell(f"{key}:retries", "Retries", formats.count(tally.retries), cls=zero(tally.retries)),
        cell(f"{key}:errors", "Errors", formats.count(tally.failed),
             cls="is-fail" if tally.failed else "zero"),
        key=key, role="row", data_f=f"{name} {queue.name}".lower(),
    )  # fmt: skip


def consumer_table(facts: Facts) -> Node:
    """The section."""
    seen = [(queue, consumer) for queue in facts.queues if queue.view for consumer in queue.view.consumers]
    alive = len({consumer.id for queue in facts.queues for consumer in queue.consumers})
    seen.sort(key=lambda one: (one[1].alive(facts.now), one[1].host, one[0].name))
    rows = [_consumer_row(queue, consumer, facts.now) for queue, consumer in seen[:MOST_ROWS]]
    more = len(seen) - len(rows)
    return section(
        "consumers", "Consumers", f"{formats.count(alive)} alive",
        table("Consumers", _CONSUMER_HEADS, rows, key="consumers", stacks=False) if rows else None,
        el("p", "None has been seen.", cls="none") if not rows else None,
        el("p", f"and {formats.count(more)} more", cls="more") if more > 0 else None,
    )  # fmt: skip


def _consumer_row(queue: QueueFacts, consumer: Consumer, now: float) -> Node:
    key, host = f"c:{queue.name}:{consumer.id}", formats.visible(consumer.host or consumer.id)
    silent = now - consumer.seen_at > thresholds.CONSUMER_SILENT_SECONDS
    busy = min(consumer.busy, consumer.workers)
    beat = el("span", "silent, ", cls="is-warn") if silent else None
    return el(
        "tr",
        el("td", host, role="cell", title=formats.visible(consumer.id)),
        cell(f"{key}:queue", "Queue", queue.name, cls="l dim"),
        cell(f"{key}:busy", "Busy", boxes(busy, consumer.workers), str(busy),
             el("span", f"/{consumer.workers}", cls="dim")),
        cell(f"{key}:version", "Version", formats.visible(consumer.version, 20), cls="dim"),
        cell(f"{key}:beat", "Heartbeat", beat, since(consumer.seen_at, now)),
        key=key, role="row", data_f=f"{host} {queue.name}".lower(),
    )  # fmt: skip


def schedule_table(facts: Facts) -> Node:
    """The section."""
    rows = [(queue, one) for queue in facts.queues if queue.view for one in queue.view.periodic]
    late = sum(overdue_seconds(one, facts.now) > 0 for _, one in rows)
    rows.sort(key=lambda one: (-overdue_seconds(one[1], facts.now), one[1].name))
    more = len(rows) - MOST_ROWS
    note = f"{formats.count(late)} late" if late else "all on time" if rows else ""
    shown = [_schedule_row(queue, one, facts.now) for queue, one in rows[:MOST_ROWS]]
    return section(
        "schedules", "Schedules", note,
        table("Schedules", _SCHEDULE_HEADS, shown, key="schedules", stacks=False) if shown else None,
        el("p", "No periodic task.", cls="none") if not shown else None,
        el("p", f"and {formats.count(more)} more", cls="more") if more > 0 else None,
    )  # fmt: skip


def _schedule_row(queue: QueueFacts, runs: PeriodicRuns, now: float) -> Node:
    key, name = f"s:{queue.name}:{runs.name}", formats.visible(runs.name)
    overdue = overdue_seconds(runs, now) > 0
    word = el("span", "late", cls="flag warn") if overdue else None
    return el(
        "tr",
        el("td", name, word, key=f"{key}:name", role="cell"),
        cell(f"{key}:queue", "Queue", queue.name, cls="l dim"),
        cell(f"{key}:success", "Last success", since(runs.success, now) if runs.success else "never"),
        cell(f"{key}:next", "Next", until(runs.next, now) if runs.next else formats.NOTHING),
        key=key, role="row", data_f=f"{name} {queue.name}".lower(),
    )  # fmt: skip
