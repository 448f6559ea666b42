"""Is anybody working, and is the clock followed? Consumers, their workers, and periodic tasks."""

from __future__ import annotations

from typing import Final

from limelight_exporter import catalog
from limelight_exporter.thresholds import (
    CONSUMER_SILENT_SECONDS,
    OVERDUE_SCHEDULE_SECONDS,
    PERIODIC_GRACE_SECONDS,
    SCHEDULER_STALLED_SECONDS,
)

from .panel import (
    GREEN,
    ORANGE,
    PLAIN,
    RED,
    Board,
    Column,
    Limit,
    Query,
    Row,
    Style,
    dial,
    graph,
    stat,
    table,
)
from .promql import (
    QUEUES,
    RANGE,
    age,
    busy_share,
    gauge,
    increase,
    inspected,
    most,
    or_zero,
    overdue,
    rate,
    series,
    total,
    unmet_periodic,
    within,
)
from .shared import FROM_ONE, SATURATED, TO_QUEUE, TO_TASK, consumer_errors

_NO_CONSUMER: Final = "no consumer is known"
_NO_PERIODIC: Final = "no periodic task is declared"


def _limits(seconds: float) -> tuple[Limit, Limit]:
    return Limit(seconds / 2, ORANGE), Limit(seconds, RED)


def _consumers(*by: str) -> str:
    known = f"group by (job, queue, consumer) ({series(catalog.CONSUMER_INFO, QUEUES)})"
    counted = f"count by ({', '.join(by)}) ({known})" if by else f"count({known})"
    return f"{counted} or {inspected(*by)}"


def _silence() -> str:
    return age(most(series(catalog.HEARTBEAT, QUEUES), "job", "queue", "consumer"))


def _since_check(*by: str) -> str:
    return f"{age(most(series(catalog.SCHEDULER_CHECK, QUEUES), *by))} or {inspected(*by)}"


def _listed(metric: str) -> str:
    """A gauge of consumers beside what is known of them."""
    known = f"group by (job, queue, consumer, host, version) ({series(catalog.CONSUMER_INFO, QUEUES)})"
    value = most(series(metric, QUEUES), "job", "queue", "consumer")
    return (
        f"max by (queue, consumer, host, version) ({known} * on (job, queue, consumer) group_left () {value})"
    )


_STATS: Final = (
    stat(
        "Consumers",
        "Consumers that the queues know. One of several queues counts once for each.",
        _consumers(),
        limits=(Limit(1, GREEN),),
        base=RED,
    ),
    dial(
        "Workers busy",
        "Share of workers that run a task. 0 while there are none.",
        busy_share(),
        limits=SATURATED,
    ),
    stat(
        "Longest silence",
        "How long ago the consumer was heard that was not heard for longest. One that was stopped in good "
        "order is forgotten "
        "at once. 0 while there is none.",
        f"max({_silence()}) or {inspected()}",
        unit="s",
        limits=_limits(CONSUMER_SILENT_SECONDS),
    ),
    stat(
        "Last schedule check",
        "How long ago the slowest queue's schedule of periodic tasks was looked at; that happens once a "
        "minute. 0 while no "
        "queue has any.",
        most(f"({_since_check('job', 'queue')})"),
        unit="s",
        limits=_limits(SCHEDULER_STALLED_SECONDS),
    ),
    stat(
        "Missed periodic tasks",
        "Periodic tasks without a success since they were due, for longer than they declare.",
        f"count({unmet_periodic()}) or {inspected()}",
        limits=FROM_ONE,
    ),
    stat(
        "Lost in range",
        "Runs whose worker died under them, in the chosen range: killed, out of memory, or cut off from Redis.",
        or_zero(total(increase(catalog.ATTEMPTS, within(QUEUES, outcome="lost"), RANGE))),
        limits=(Limit(0.5, ORANGE),),
        decimals=0,
    ),
)

_WORKERS: Final = (
    graph(
        "Workers by state",
        "Workers of consumers that are alive. A consumer of several queues counts once in each.",
        Query(total(gauge(catalog.WORKERS), "state"), "{{state}}"),
        style=Style.STACKED,
    ),
    graph(
        "Busy share",
        "Share of each queue's workers that run a task.",
        Query(busy_share("queue"), "{{queue}}"),
        unit="percentunit",
        limits=SATURATED[-1:],
        top=1,
    ),
    graph(
        "Consumers by queue",
        "Consumers that each queue knows. A step down without a stop in the annotations is a crash.",
        Query(_consumers("queue"), "{{queue}}"),
    ),
    table(
        "Consumer list",
        "Who works, since when unheard, and threads stuck in tasks that would not stop when their time was over.",
        Column(
            "Silent for",
            f"clamp_min(time() - {_listed(catalog.HEARTBEAT)}, 0)",
            "s",
            limits=_limits(CONSUMER_SILENT_SECONDS),
        ),
        Column("Abandoned threads", _listed(catalog.ABANDONED), limits=FROM_ONE),
        empty=_NO_CONSUMER,
        label_links=(TO_QUEUE,),
    ),
)

_FAULTS: Final = (
    consumer_errors(),
    graph(
        "Lost and redelivered",
        "Runs whose worker died, and tasks that were put back on the queue because of it. What is lost and "
        "not redelivered "
        "has been lost too often and is dead.",
        Query(or_zero(total(increase(catalog.ATTEMPTS, within(QUEUES, outcome="lost")))), "lost"),
        Query(or_zero(total(increase(catalog.REDELIVERIES))), "redelivered"),
        style=Style.BARS,
    ),
    graph(
        "Abandoned threads",
        "Threads stuck in tasks that would not stop at their timeout. They hold memory until the consumer is "
        "restarted.",
        Query(f"{total(gauge(catalog.ABANDONED), 'queue')} or {inspected('queue')}", "{{queue}}"),
    ),
)

_SCHEDULE: Final = (
    table(
        "Schedule",
        "Periodic tasks. Next run in: negative if it is late. Unmet since: age of the first due time without "
        "a success; it is red "
        "beyond two minutes here, alerts go by the grace that the task declares.",
        Column(
            "Next run in",
            f"{most(series(catalog.PERIODIC_NEXT, QUEUES), 'queue', 'task')} - time()",
            "s",
            limits=(Limit(-PERIODIC_GRACE_SECONDS, PLAIN),),
            base=RED,
        ),
        Column(
            "Last success",
            age(most(series(catalog.PERIODIC_SUCCESS, QUEUES), "queue", "task")),
            "s",
            none="never",
        ),
        Column(
            "Unmet since",
            f"time() - ({most(series(catalog.PERIODIC_UNMET, QUEUES), 'queue', 'task')} > 0) "
            f"or {most(series(catalog.PERIODIC_UNMET, QUEUES), 'queue', 'task')} * 0",
            "s",
            limits=_limits(PERIODIC_GRACE_SECONDS),
        ),
        Column("Grace", most(series(catalog.PERIODIC_GRACE, QUEUES), "queue", "task"), "s"),
        Column("Runs", total(increase(catalog.PERIODIC_SCHEDULED, window=RANGE), "queue", "task")),
        empty=_NO_PERIODIC,
        label_links=(TO_TASK,),
    ),
    graph(
        "Missed periodic tasks by queue",
        "Periodic tasks without a success since they were due, for longer than they declare.",
        Query(
            f"count by (queue) ({unmet_periodic()}) or {inspected('queue')}",
            "{{queue}}",
        ),
    ),
    graph(
        "Overdue schedule",
        "By how long the first scheduled task is late: nobody moves due tasks to the queue. 0 while none is.",
        Query(overdue("queue"), "{{queue}}"),
        unit="s",
        limits=(Limit(OVERDUE_SCHEDULE_SECONDS, RED),),
    ),
    graph(
        "Schedule checks",
        "Looks at the schedule of periodic tasks in the step; one scheduler per queue looks once a minute.",
        Query(or_zero(total(rate(catalog.PERIODIC_CHECKS), "queue"), "queue"), "{{queue}}"),
        unit="ops",
    ),
)

CONSUMERS: Final = Board(
    name="consumers",
    title="Consumers and schedules",
    description="Is anybody working, and is the clock followed? Consumers, workers, faults of theirs, periodic tasks.",
    rows=(Row("", (*_STATS, *_WORKERS)), Row("Schedules", _SCHEDULE), Row("Faults", _FAULTS)),
    variables=("queue",),
)
