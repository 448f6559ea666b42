"""Why is this task slow or failing? Durations with traces, waits, attempts, errors, and its objectives."""

from __future__ import annotations

from typing import Final

from limelight_exporter import catalog

from .panel import ORANGE, RED, Board, Limit, Query, Row, Style, graph, heatmap, stat
from .promql import RANGE, TASKS, failed_share, increase, or_zero, quantile, rate, ratio, total, within
from .shared import FAILED_LIMITS, budget_limit, objectives, quantiles, time_spent, wait_limit


def _per_completion(counter: str) -> str:
    return ratio(total(increase(counter, TASKS, RANGE)), total(increase(catalog.COMPLETED, TASKS, RANGE)))


_STATS: Final = (
    stat(
        "Completed per second",
        "How often the task came to its end, each counted once.",
        or_zero(total(rate(catalog.COMPLETED, TASKS))),
        unit="ops",
    ),
    stat(
        "Failed share",
        "Of those that ended in the chosen range: the share that is dead, expired or lost its result. 0 "
        "while nothing ended.",
        or_zero(failed_share(TASKS, RANGE)),
        unit="percentunit",
        limits=FAILED_LIMITS,
    ),
    stat(
        "Attempts per completion",
        "How many runs it takes to come to an end, in the chosen range. 1 is best. 0 while nothing ended.",
        or_zero(_per_completion(catalog.ATTEMPTS)),
        limits=(Limit(1.5, ORANGE), Limit(3, RED)),
        decimals=2,
    ),
    stat(
        "Run time p95",
        "Run time of attempts, failed ones included, as 5 % exceed it. 0 while nothing ran.",
        or_zero(quantile(0.95, catalog.DURATION, TASKS)),
        unit="s",
    ),
    stat(
        "Wait p95",
        "From when it could run to its start, as 5 % exceed it. 0 while nothing started.",
        or_zero(quantile(0.95, catalog.WAIT, TASKS)),
        unit="s",
    ),
    stat(
        "Workers in use",
        "Seconds of work per second: how many workers the task keeps busy on average.",
        or_zero(total(rate(f"{catalog.DURATION}_sum", TASKS))),
        decimals=2,
    ),
)

_TIMES: Final = (
    graph(
        "Run time",
        "Run time of attempts, failed ones included. Points lead to traces: take one high up. 0 while nothing ran.",
        *quantiles(catalog.DURATION, TASKS),
        unit="s",
    ),
    graph(
        "Run time p95 by result",
        "Apart for attempts that went well and that failed: fast failures pull a mixed quantile down, and "
        "timeouts up.",
        Query(or_zero(quantile(0.95, catalog.DURATION, TASKS, "result"), "result"), "{{result}}"),
        unit="s",
    ),
    heatmap(
        "Run time distribution",
        "Attempts by how long they ran. Two bands are two kinds of input, or a cache that is hit and missed.",
        or_zero(total(increase(f"{catalog.DURATION}_bucket", TASKS), "le"), "le"),
    ),
    graph(
        "Wait",
        "From when it could run to its start; delays and back-off excluded. 0 while nothing started.",
        *quantiles(catalog.WAIT, TASKS),
        wait_limit(),
        unit="s",
    ),
    graph(
        "Latency",
        "From when it could first run to its end, retries included. Points lead to traces. 0 while nothing ended.",
        *quantiles(catalog.LATENCY, TASKS),
        unit="s",
    ),
    time_spent(TASKS),
)

_OUTCOMES: Final = (
    graph(
        "Failed share by task",
        "Share of ended tasks that ended badly. 0 while nothing ended.",
        Query(or_zero(failed_share(TASKS, "$__rate_interval", "task"), "task"), "{{task}}"),
        budget_limit(),
        unit="percentunit",
        top=1,
    ),
    graph(
        "Errors by type",
        "Attempts that failed or were lost, by the error's class. Points lead to traces with the traceback. "
        "0 while nothing failed.",
        Query(
            or_zero(total(increase(catalog.ERRORS, TASKS), "error_type"), "error_type"),
            "{{error_type}}",
            exemplars=True,
        ),
        style=Style.BARS,
    ),
    graph(
        "Retries and redeliveries",
        "Runs that were put back: to be tried again, or because their worker was lost.",
        Query(or_zero(total(rate(catalog.RETRIES, TASKS))), "retried"),
        Query(or_zero(total(rate(catalog.REDELIVERIES, TASKS))), "redelivered"),
        unit="ops",
    ),
    graph(
        "Attempts by outcome",
        "Runs that came to a close. lost: its worker died; locked, rate_limited: put off at the start, and "
        "no failure.",
        Query(or_zero(total(rate(catalog.ATTEMPTS, TASKS), "outcome"), "outcome"), "{{outcome}}"),
        unit="ops",
        style=Style.STACKED,
    ),
    graph(
        "Completions by outcome",
        "How it ended, each task once.",
        Query(or_zero(total(rate(catalog.COMPLETED, TASKS), "outcome"), "outcome"), "{{outcome}}"),
        unit="ops",
        style=Style.STACKED,
    ),
    graph(
        "Timeouts and lost workers",
        "Attempts that ran out of time, and attempts whose worker died under them.",
        Query(or_zero(total(increase(catalog.ATTEMPTS, within(TASKS, outcome="timeout")))), "timeout"),
        Query(or_zero(total(increase(catalog.ATTEMPTS, within(TASKS, outcome="lost")))), "lost"),
        style=Style.BARS,
    ),
)

TASK: Final = Board(
    name="task",
    title="Task",
    description="Why is this task slow or failing? Run time with traces, waits, attempts, errors, and its objectives.",
    rows=(
        Row("", (*_STATS, *_TIMES)),
        Row("Outcomes", _OUTCOMES),
        Row("Objectives", objectives(TASKS), collapsed=True),
    ),
    variables=("queue", "task", "slo_wait", "failure_budget"),
)
