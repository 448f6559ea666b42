"""What more than one board shows: limits by the table of thresholds, ways to other boards, objectives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from limelight_exporter import catalog
from limelight_exporter.thresholds import (
    EVENT_LAG_SECONDS,
    FAILURE_BUDGET,
    QUEUE_AGE_SECONDS,
    SATURATED_SHARE,
)

from .panel import ORANGE, RED, Column, Limit, Panel, Query, Style, graph, stat, table
from .promql import (
    RANGE,
    increase,
    most,
    or_zero,
    quantile,
    rate,
    ratio,
    series,
    total,
    within,
)

FROM_ONE: Final = (Limit(1, RED),)
AGE: Final = (Limit(QUEUE_AGE_SECONDS / 2, ORANGE), Limit(QUEUE_AGE_SECONDS, RED))
FAILED_LIMITS: Final = (Limit(FAILURE_BUDGET / 2, ORANGE), Limit(FAILURE_BUDGET, RED))
SATURATED: Final = (Limit(SATURATED_SHARE - 0.1, ORANGE), Limit(SATURATED_SHARE, RED))
LAG: Final = (Limit(EVENT_LAG_SECONDS / 6, ORANGE), Limit(EVENT_LAG_SECONDS, RED))

PAGE_BURN: Final = 14.4
"""A burn of a 30-day budget that pages: 2 % of it gone in an hour."""
TICKET_BURN: Final = 1.0
"""A burn that just uses the budget up in time."""

_KEPT: Final = "${datasource:queryparam}&${job:queryparam}&${__url_time_range}"
_QUEUE: Final = "var-queue=${__data.fields.queue:percentencode}"
_TASK: Final = "var-task=${__data.fields.task:percentencode}"
TO_QUEUE: Final = ("queue", f"/d/limelight-queue/?{_QUEUE}&{_KEPT}")
TO_TASK: Final = ("task", f"/d/limelight-task/?{_QUEUE}&{_TASK}&{_KEPT}")

QUANTILES: Final = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
_OBJECTIVE: Final = ("queue", "task", "objective")
_EACH: Final = "{{queue}} {{task}} {{objective}}"
_NOT_DECLARED: Final = "no task declares an objective"


def quantiles(histogram: str, where: str) -> tuple[Query, ...]:
    """Three quantiles; the points that lead to traces hang on p95."""
    return tuple(
        Query(or_zero(quantile(q, histogram, where)), name, exemplars=name == "p95") for q, name in QUANTILES
    )


def wait_limit() -> Query:
    """The chosen line on waits."""
    return Query("vector($slo_wait)", "limit", is_limit=True)


def age_limit() -> Query:
    """The chosen line on the age of the oldest ready task."""
    return Query("vector($queue_age)", "limit", is_limit=True)


def budget_limit() -> Query:
    """The chosen line on the share of failed tasks."""
    return Query("vector($failure_budget)", "budget", is_limit=True)


def consumer_errors() -> Panel:
    """Faults of consumers themselves."""
    return graph(
        "Error events",
        "Faults of consumers themselves, not of tasks' code: Redis not reachable, a result that could not be stored. "
        "Each is also a mark on all graphs. 0 while nothing went wrong.",
        Query(or_zero(total(increase(catalog.CONSUMER_ERRORS), "event"), "event"), "{{event}}"),
        style=Style.BARS,
    )


def time_spent(where: str, *, width: int = 8) -> Panel:
    """Where the latency of completed tasks goes."""
    spent = total(rate(catalog.TIME, where), "phase")
    ended = total(rate(f"{catalog.LATENCY}_count", where))
    mean = f"{spent} / on () group_left () ({ended} > 0) or {spent} * 0"
    return graph(
        "Where the time goes",
        "Mean latency of completed tasks by phase: waiting for a worker, running, backing off between "
        "retries, parked by "
        "a lock or a rate limit. The stack's height is the mean latency. More workers help against waiting only.",
        Query(or_zero(mean, "phase"), "{{phase}}"),
        unit="s",
        width=width,
        style=Style.STACKED,
    )


def objectives(where: str) -> Sequence[Panel]:
    """How tasks stand to the objectives that they declare."""
    left, burn = _budget_left(where), _burn(where, "1h")
    return (
        stat(
            "Least budget left",
            "Share of the error budget that the worst objective has left over the chosen range: 1 if nothing "
            "was bad, 0 if "
            "as much was bad as may be, below 0 if more. Widen the range to the objective's own window (30 days).",
            f"min({left})",
            unit="percentunit",
            height=8,
            limits=(Limit(0, ORANGE), Limit(0.25, "green")),
            base=RED,
            empty=_NOT_DECLARED,
        ),
        stat(
            "Fastest burn",
            f"How many times faster than allowed the worst objective used its budget in the last hour. "
            f"{PAGE_BURN} spends 2 % "
            "of a month's budget in an hour, and pages; 1 spends it exactly in time.",
            f"max({burn})",
            height=8,
            limits=(Limit(TICKET_BURN, ORANGE), Limit(PAGE_BURN, RED)),
            empty=_NOT_DECLARED,
            decimals=1,
        ),
        graph(
            "Burn of error budgets",
            "Per objective: bad share of the last hour over the share that may be bad. Above 1 the budget "
            "will not last. "
            "0 while nothing was judged.",
            Query(burn, _EACH),
            width=16,
            limits=(Limit(TICKET_BURN, ORANGE), Limit(PAGE_BURN, RED)),
            empty=_NOT_DECLARED,
        ),
        table(
            "Objectives",
            "What tasks are held to by their declaration, and how they did in the chosen range. A share of 1 with no "
            "evaluations means that nothing was judged.",
            Column("Judged", _judged(where, RANGE)),
            Column("Good", f"1 - ({_bad_share(where, RANGE)})", "percentunit"),
            Column("Target", _target(where), "percentunit"),
            Column("Within", most(series(catalog.SLO_THRESHOLD, where), *_OBJECTIVE), "s", none="–"),
            Column(
                "Budget left",
                left,
                "percentunit",
                limits=(Limit(0, ORANGE), Limit(0.25, "green")),
                base=RED,
            ),
            Column("Burn 1 h", burn, limits=(Limit(TICKET_BURN, ORANGE), Limit(PAGE_BURN, RED))),
            empty=_NOT_DECLARED,
            label_links=(TO_TASK,),
        ),
    )


def _judged(where: str, window: str) -> str:
    return total(increase(catalog.SLO_EVALUATIONS, where, window), *_OBJECTIVE)


def _target(where: str) -> str:
    return most(series(catalog.SLO_TARGET, where), *_OBJECTIVE)


def _bad_share(where: str, window: str) -> str:
    return ratio(_judged(within(where, result="bad"), window), _judged(where, window))


def _burn(where: str, window: str) -> str:
    return f"({_bad_share(where, window)}) / clamp_min(1 - {_target(where)}, 0.0001)"


def _budget_left(where: str) -> str:
    return f"1 - {_burn(where, RANGE)}"
