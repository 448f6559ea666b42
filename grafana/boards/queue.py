"""What is the matter with one queue? Its backlog, its waits, its workers, and which tasks use them."""

from __future__ import annotations

from typing import Final

from limelight_exporter import catalog
from limelight_exporter.thresholds import RUNNING_TOO_LONG_SECONDS, WAIT_OBJECTIVE

from .panel import ORANGE, RED, Board, Column, Limit, Panel, Query, Row, Style, graph, heatmap, stat, table
from .promql import (
    QUEUES,
    RANGE,
    failed_share,
    gauge,
    increase,
    most,
    oldest_ready,
    oldest_running,
    or_zero,
    overdue,
    quantile,
    rate,
    series,
    total,
    within,
)
from .shared import (
    AGE,
    FAILED_LIMITS,
    FROM_ONE,
    TO_TASK,
    age_limit,
    quantiles,
    time_spent,
    wait_limit,
)

MONTH_SECONDS: Final = 30 * 86_400
"""A backlog that lasts longer is one that will not end."""


def _state(state: str) -> str:
    return total(gauge(catalog.QUEUE_TASKS, within(QUEUES, state=state)))


def _time_to_drain() -> str:
    pace = or_zero(total(rate(catalog.COMPLETED)))
    return f"clamp_max({_state('ready')} / ({pace}), {MONTH_SECONDS}) >= 0 or {_state('ready')} * 0"


def _within_limit() -> str:
    """Bucket bounds are written 30 by some Prometheus and 30.0 by others."""
    fast = total(rate(f"{catalog.WAIT}_bucket", QUEUES + ',le=~"$slo_wait([.]0)?"'))
    every = total(rate(f"{catalog.WAIT}_count"))
    return f"{fast} / ({every} > 0) or {every} * 0 + 1"


_STATS: Final = (
    stat("Ready", "Tasks that could run now and wait for a worker.", _state("ready"), width=3),
    stat(
        "Oldest ready task",
        "How long the task waits that has waited longest. 0 while nothing waits.",
        most(f"({oldest_ready('job', 'queue')})"),
        unit="s",
        width=3,
        limits=AGE,
    ),
    stat(
        "Time to drain",
        "How long the ready tasks would last at the pace of completions of now, if nothing came in. 0 while "
        "nothing waits.",
        _time_to_drain(),
        unit="s",
        width=3,
        words=((MONTH_SECONDS, "not at this pace", RED),),
    ),
    stat("Running", "Tasks that workers run now.", _state("running"), width=3),
    stat(
        "Longest run",
        "How long the run has lasted that began first. Workers that hang show here even if nothing waits. 0 "
        "while nothing runs.",
        most(f"({oldest_running('job', 'queue')})"),
        unit="s",
        width=3,
        limits=(Limit(RUNNING_TOO_LONG_SECONDS / 2, ORANGE), Limit(RUNNING_TOO_LONG_SECONDS, RED)),
    ),
    stat(
        "Scheduled",
        "Tasks whose time has not come: delayed, or backing off before a retry.",
        _state("scheduled"),
        width=3,
    ),
    stat(
        "Dead letters",
        "Tasks that failed for good and wait for somebody to look at them.",
        _state("dead"),
        width=3,
        limits=FROM_ONE,
    ),
    stat(
        "Paused",
        "Whether a chosen queue is paused: nothing new begins, what runs goes on.",
        most(series(catalog.PAUSED, QUEUES)),
        unit="bool_yes_no",
        width=3,
        limits=(Limit(1, ORANGE),),
    ),
)

_FLOW: Final = (
    graph(
        "In and out",
        "Tasks that arrive, end, go back to be tried again, or come back because their worker was lost.",
        Query(or_zero(total(rate(catalog.ENQUEUED))), "enqueued"),
        Query(or_zero(total(rate(catalog.COMPLETED))), "completed"),
        Query(or_zero(total(rate(catalog.RETRIES))), "retried"),
        Query(or_zero(total(rate(catalog.REDELIVERIES))), "redelivered"),
        unit="ops",
    ),
    graph(
        "Oldest ready task by queue",
        "How long the oldest ready task has waited. A straight climb means that nothing is taken from the queue.",
        Query(oldest_ready("queue"), "{{queue}}"),
        age_limit(),
        unit="s",
    ),
    graph(
        "Tasks by state",
        "What the queue holds now.",
        Query(total(gauge(catalog.QUEUE_TASKS), "state"), "{{state}}"),
        style=Style.STACKED,
    ),
    graph(
        "Wait",
        "From when a task could run to its start; delays and back-off excluded. Points lead to traces. 0 "
        "while nothing started.",
        *quantiles(catalog.WAIT, QUEUES),
        wait_limit(),
        unit="s",
    ),
    graph(
        "Waits within the limit",
        "Share of starts that came within the wait limit chosen above. 1 while nothing started.",
        Query(or_zero(_within_limit()), "within $slo_wait s"),
        Query(f"vector({WAIT_OBJECTIVE})", "objective", is_limit=True),
        unit="percentunit",
        top=1,
    ),
    heatmap(
        "Wait distribution",
        "Starts by how long the task had waited. Two bands are two kinds of tasks, or two kinds of days.",
        or_zero(total(increase(f"{catalog.WAIT}_bucket"), "le"), "le"),
    ),
    graph(
        "Latency",
        "From when a task could first run to its end, retries included: what whoever enqueued it lives "
        "through. Points lead "
        "to traces. 0 while nothing ended.",
        *quantiles(catalog.LATENCY, QUEUES),
        unit="s",
    ),
    time_spent(QUEUES),
    graph(
        "Overdue schedule",
        "By how long the first scheduled task is late. More than seconds mean that nobody moves due tasks to "
        "the queue. 0 while none is.",
        Query(overdue("queue"), "{{queue}}"),
        unit="s",
    ),
)


def _tasks_table() -> Panel:
    return table(
        "Tasks",
        "Tasks of the chosen queues. Busy workers are seconds of work per second: who uses the capacity. A "
        "name leads to "
        "its own page.",
        Column("Busy workers", total(rate(f"{catalog.DURATION}_sum"), "queue", "task")),
        Column("Done", total(rate(catalog.COMPLETED), "queue", "task"), "ops"),
        Column("Failed", failed_share(QUEUES, RANGE, "queue", "task"), "percentunit", limits=FAILED_LIMITS),
        Column("Attempts", total(increase(catalog.ATTEMPTS, window=RANGE), "queue", "task"), "short"),
        Column("Retries", total(increase(catalog.RETRIES, window=RANGE), "queue", "task"), "short"),
        Column("Wait p95", quantile(0.95, catalog.WAIT, QUEUES, "queue", "task"), "s"),
        Column("Run p95", quantile(0.95, catalog.DURATION, QUEUES, "queue", "task"), "s"),
        empty="no task is known: no consumer has started, and nothing was enqueued",
        label_links=(TO_TASK,),
    )


_WORK: Final = (
    graph(
        "Attempts by outcome",
        "Runs that came to a close. lost: its worker died; locked, rate_limited: put off at the start, and "
        "no failure.",
        Query(or_zero(total(rate(catalog.ATTEMPTS), "outcome"), "outcome"), "{{outcome}}"),
        unit="ops",
        style=Style.STACKED,
    ),
    graph(
        "Workers",
        "Workers of consumers that are alive. A consumer of several queues counts once in each.",
        Query(total(gauge(catalog.WORKERS), "state"), "{{state}}"),
        style=Style.STACKED,
    ),
    graph(
        "Locks held",
        "Locks that are taken; one whose time is over counts until somebody asks for it.",
        Query(most(series(catalog.LOCKS, QUEUES), "queue"), "{{queue}}"),
    ),
    graph(
        "Events",
        "Everything that is told on the queue's stream, by status: the raw material of all counters.",
        Query(or_zero(total(rate(catalog.EVENTS), "event"), "event"), "{{event}}"),
        unit="ops",
        width=16,
        style=Style.STACKED,
    ),
    graph(
        "Index mismatch",
        "Task records minus the sum of all states. Anything but 0 for longer than a scrape is a fault to report.",
        Query(most(series(catalog.INDEX_MISMATCH, QUEUES), "queue"), "{{queue}}"),
        bottom=None,
    ),
)

QUEUE: Final = Board(
    name="queue",
    title="Queue",
    description="What is the matter with this queue? Backlog, age, waits, workers, and which tasks use them.",
    rows=(Row("", (*_STATS, *_FLOW)), Row("Tasks", (_tasks_table(),)), Row("Work", _WORK, collapsed=True)),
    variables=("queue", "slo_wait", "queue_age"),
)
