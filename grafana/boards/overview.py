"""Are users being served? Rate, errors, durations and saturation of all queues, and where to look next."""

from __future__ import annotations

from typing import Final

from limelight_exporter import catalog

from .panel import GREEN, RED, Board, Column, Limit, Query, Row, Style, dial, graph, stat, table
from .promql import (
    QUEUES,
    RANGE,
    STEP,
    busy_share,
    failed_share,
    gauge,
    most,
    oldest_ready,
    oldest_running,
    or_zero,
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
    LAG,
    SATURATED,
    TO_QUEUE,
    age_limit,
    budget_limit,
    consumer_errors,
    objectives,
    time_spent,
    wait_limit,
)

_STATS: Final = (
    stat(
        "Completed per second",
        "Tasks that came to their end, each counted once, however many attempts it took.",
        or_zero(total(rate(catalog.COMPLETED))),
        unit="ops",
        width=3,
    ),
    stat(
        "Failed share",
        "Of the tasks that ended in the chosen range: the share that is dead, expired or lost its result. "
        "What was revoked "
        "or canceled counts neither way. 0 while nothing ended.",
        or_zero(failed_share(QUEUES, RANGE)),
        unit="percentunit",
        width=3,
        limits=FAILED_LIMITS,
    ),
    stat(
        "Oldest ready task",
        "How long the task waits that has waited longest. The first number to look at: it grows when "
        "consumers are gone, "
        "stuck or too few, whatever the depth. 0 while nothing waits.",
        most(f"({oldest_ready('job', 'queue')})"),
        unit="s",
        width=3,
        limits=AGE,
    ),
    stat(
        "Ready",
        "Tasks that could run now and wait for a worker. A number without an age says little.",
        total(gauge(catalog.QUEUE_TASKS, within(QUEUES, state="ready"))),
        width=3,
    ),
    dial(
        "Workers busy",
        "Share of workers that run a task. All busy is fine as long as nothing waits long. 0 while there are "
        "no workers.",
        busy_share(),
        width=3,
        limits=SATURATED,
    ),
    stat(
        "Dead letters",
        "Tasks that failed for good and wait for somebody to look at them: requeue or purge them.",
        total(gauge(catalog.QUEUE_TASKS, within(QUEUES, state="dead"))),
        width=3,
        limits=FROM_ONE,
    ),
    stat(
        "Alerts firing",
        "Alerts of Limelight's rules that fire now, whatever is chosen above. 0 also where the rules are not "
        "installed.",
        'count(ALERTS{alertname=~"Limelight.+",alertstate="firing"}) or on () vector(0)',
        width=3,
        limits=FROM_ONE,
        links=(("All alerts", "/alerting/list"),),
    ),
    stat(
        "Telemetry behind by",
        "How old the newest event is that these numbers contain, while events wait to be read. Read "
        "everything else with "
        "suspicion while this is high.",
        most(series(catalog.LAG_SECONDS, QUEUES)),
        unit="s",
        width=3,
        limits=LAG,
    ),
)

_TRAFFIC: Final = (
    graph(
        "Enqueued and completed",
        "Work that arrives and work that ends. Where the first stays above the second, a backlog grows.",
        Query(or_zero(total(rate(catalog.ENQUEUED))), "enqueued"),
        Query(or_zero(total(rate(catalog.COMPLETED))), "completed"),
        unit="ops",
    ),
    graph(
        "Completions by outcome",
        "How tasks ended. dead: failed for good; expired: too old when its turn came; revoked, canceled: taken away.",
        Query(or_zero(total(rate(catalog.COMPLETED), "outcome"), "outcome"), "{{outcome}}"),
        unit="ops",
        style=Style.STACKED,
    ),
    graph(
        "Failed share by queue",
        "Share of ended tasks that ended badly. 0 while nothing ended.",
        Query(or_zero(failed_share(QUEUES, STEP, "queue"), "queue"), "{{queue}}"),
        budget_limit(),
        unit="percentunit",
        top=1,
    ),
    graph(
        "Oldest ready task by queue",
        "How long the oldest ready task of each queue has waited.",
        Query(oldest_ready("queue"), "{{queue}}"),
        age_limit(),
        unit="s",
    ),
    graph(
        "Wait p95 by queue",
        "From when a task could run to its start, as 5 % exceed it. Delays and back-off do not count. 0 "
        "while nothing started.",
        Query(or_zero(quantile(0.95, catalog.WAIT, QUEUES, "queue"), "queue"), "{{queue}}"),
        wait_limit(),
        unit="s",
    ),
    graph(
        "Run time p95 by queue",
        "Run time of attempts, failed ones included, as 5 % exceed it. 0 while nothing ran.",
        Query(or_zero(quantile(0.95, catalog.DURATION, QUEUES, "queue"), "queue"), "{{queue}}"),
        unit="s",
    ),
)

_QUEUES_TABLE: Final = table(
    "Queues",
    "Every chosen queue at the end of the range; a name leads to its own page.",
    Column("Ready", total(gauge(catalog.QUEUE_TASKS, within(QUEUES, state="ready")), "queue")),
    Column("Oldest ready", oldest_ready("queue"), "s", limits=AGE),
    Column("Running", total(gauge(catalog.QUEUE_TASKS, within(QUEUES, state="running")), "queue")),
    Column("Longest run", oldest_running("queue"), "s"),
    Column("Scheduled", total(gauge(catalog.QUEUE_TASKS, within(QUEUES, state="scheduled")), "queue")),
    Column("Dead", total(gauge(catalog.QUEUE_TASKS, within(QUEUES, state="dead")), "queue"), limits=FROM_ONE),
    Column("In", or_zero(total(rate(catalog.ENQUEUED), "queue"), "queue"), "ops"),
    Column("Out", or_zero(total(rate(catalog.COMPLETED), "queue"), "queue"), "ops"),
    Column(
        "Failed",
        or_zero(failed_share(QUEUES, RANGE, "queue"), "queue"),
        "percentunit",
        limits=FAILED_LIMITS,
    ),
    Column("Wait p95", or_zero(quantile(0.95, catalog.WAIT, QUEUES, "queue"), "queue"), "s"),
    Column("Busy", busy_share("queue"), "percentunit", limits=SATURATED),
    Column(
        "Current",
        most(series(catalog.QUEUE_CURRENT, QUEUES), "queue"),
        "bool_yes_no",
        limits=(Limit(1, GREEN),),
        base=RED,
    ),
    empty="no queue is known",
    label_links=(TO_QUEUE,),
)

_CAUSES: Final = (
    graph(
        "Errors by type",
        "Attempts that failed or were lost, by the error's class. Rare types are counted as _other. 0 while "
        "nothing failed.",
        Query(or_zero(total(rate(catalog.ERRORS), "error_type"), "error_type"), "{{error_type}}"),
        unit="ops",
        style=Style.STACKED,
    ),
    graph(
        "Tasks by state",
        "What the queues hold: ready waits for a worker, scheduled for its time, dead for somebody to look.",
        Query(total(gauge(catalog.QUEUE_TASKS), "state"), "{{state}}"),
        style=Style.STACKED,
    ),
    graph(
        "Busy share by queue",
        "Share of each queue's workers that run a task. 0 while it has none.",
        Query(busy_share("queue"), "{{queue}}"),
        unit="percentunit",
        limits=SATURATED[-1:],
        top=1,
    ),
    time_spent(QUEUES),
    consumer_errors(),
    graph(
        "Paused queues",
        "1 while a queue is paused: nothing new begins there, whatever waits.",
        Query(most(series(catalog.PAUSED, QUEUES), "queue"), "{{queue}}"),
        top=1,
    ),
)

OVERVIEW: Final = Board(
    name="overview",
    title="Overview",
    description="Are tasks done, in time and well? All queues: rate, errors, waits, saturation, objectives.",
    rows=(
        Row("", (*_STATS, *_TRAFFIC)),
        Row("Queues", (_QUEUES_TABLE,)),
        Row("Objectives", objectives(QUEUES)),
        Row("Causes", _CAUSES, collapsed=True),
    ),
    variables=("queue", "slo_wait", "queue_age", "failure_budget"),
)
