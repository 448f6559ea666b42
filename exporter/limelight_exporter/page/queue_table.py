"""The table of queues: complete, what needs a look first."""

from __future__ import annotations

from typing import Final

from . import formats
from .charts import boxes, small_spark
from .facts import Facts, Flow, QueueFacts
from .links import to_queue
from .nodes import Node, el
from .verdict import Flag, flag_of
from .words import cell, flag, pair, quiet, section, table, zero

MOST_QUEUES: Final = 200
_HEADS: Final = (
    ("", "Queue"), ("", "Waiting"), ("", "Oldest"), ("", "Workers busy"), ("", "Scheduled"), ("", "Dead"),
    ("", "~Rate, last 5 min"), ("", "In · out /s"), ("", "Wait p50 · p95"), ("", "Run p50 · p95"), ("", "Failed"),
)  # fmt: skip


def queue_table(facts: Facts) -> Node:
    """The section."""
    ranked = sorted(
        ((flag_of(queue), queue) for queue in facts.queues), key=lambda one: (one[0].rank, one[1].name)
    )
    rows = [_row(queue, worst) for worst, queue in ranked[:MOST_QUEUES]]
    more = len(ranked) - len(rows)
    return section(
        "queues", "Queues", _note(facts),
        table("Queues", _HEADS, rows, key="queues"),
        el("p", f"and {formats.plural(more, 'queue')} more", cls="more") if more > 0 else None,
    )  # fmt: skip


def _note(facts: Facts) -> str:
    known = min((queue.flow.window_seconds for queue in facts.queues if queue.flow), default=0.0)
    if known and known < 240:
        return f"rates over 1 min, the rest over {formats.whole_seconds(known // 10 * 10)}"
    return "rates over 1 min, percentiles over 5 min"


def _row(queue: QueueFacts, worst: Flag) -> Node:
    key, now = f"q:{queue.name}", queue.now
    return el(
        "tr",
        el("td", to_queue(queue.name, queue.name, cls="name"), flag(worst.kind, worst.word),
           key=f"{key}:name", role="cell"),
        cell(f"{key}:ready", "Waiting", formats.count(now.ready)),
        cell(f"{key}:oldest", "Oldest", *quiet(formats.duration(now.oldest_seconds if now.ready else None)),
             cls="is-warn" if queue.is_old else ""),
        _busy(key, queue),
        cell(f"{key}:scheduled", "Scheduled", formats.count(queue.scheduled), cls=zero(queue.scheduled)),
        cell(f"{key}:dead", "Dead", formats.count(now.dead), cls=zero(now.dead)),
        *_flow(key, queue.flow, worst),
        key=key, role="row", data_f=queue.name.lower(),
    )  # fmt: skip


def _busy(key: str, queue: QueueFacts) -> Node:
    of = el("span", str(queue.now.busy), el("span", f"/{queue.workers}", cls="dim"), cls="of")
    return cell(f"{key}:busy", "Workers busy", boxes(queue.now.busy, queue.workers), of)


def _flow(key: str, flow: Flow | None, worst: Flag) -> tuple[Node, ...]:
    if flow is None:
        labels = ("In · out /s", "Wait p50 · p95", "Run p50 · p95", "Failed, 5 min")
        blank = cell(f"{key}:line", "", hidden_small=True)
        return (blank, *(cell(f"{key}:{label}", label, formats.NOTHING) for label in labels))
    total, minute, seconds = flow.total, flow.minute, flow.minute_seconds
    kind = "warn" if worst.kind == "warn" else "" if any(flow.out) else "quiet"
    rates = formats.rate(minute.enqueued / seconds), formats.rate(minute.completed / seconds)
    waits = [formats.duration(total.wait_quantile(quantile)) for quantile in (0.5, 0.95)]
    runs = [formats.duration(total.run_quantile(quantile)) for quantile in (0.5, 0.95)]
    return (
        cell(f"{key}:line", "", small_spark(flow.out, kind), hidden_small=True),
        cell(f"{key}:rates", "In · out /s", pair(*rates), cls="num2"),
        cell(f"{key}:wait", "Wait p50 · p95", pair(*waits)),
        cell(f"{key}:run", "Run p50 · p95", pair(*runs)),
        cell(f"{key}:failed", "Failed, 5 min", formats.count(total.failed),
             cls=f"{zero(total.failed)} {'is-fail' if total.failed else ''}"),
    )  # fmt: skip
