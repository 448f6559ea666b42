"""PromQL that every panel is made of.

Three habits hold everywhere. Two exporters serve equal numbers, so one is taken before anything is added up
(``max without (instance, pod)`` inside the sums). Where nothing happened the answer is 0 and not nothing, but only
while the telemetry is current: a zero that nobody counted is a lie. And no recording rule is used, so that a dashboard
works wherever the metrics are.
"""

from __future__ import annotations

from typing import Final

from limelight_exporter import catalog

JOBS: Final = 'job=~"$job"'
"""Selects by what is chosen at the top of a dashboard: the exporters of a Redis, …"""
QUEUES: Final = f'{JOBS},queue=~"$queue"'
"""… their queues, …"""
TASKS: Final = f'{QUEUES},task=~"$task"'
"""… and tasks of these."""

STEP: Final = "$__rate_interval"
RANGE: Final = "$__range"
NONE: Final = "none"
"""Legend of the zero that stands for series which do not exist yet."""

ENDED: Final = "success|dead|expired|result_error"
"""Ends that count for or against a task; what somebody took away, or a lock or a limit held off, does neither."""
FAILED: Final = "dead|expired|result_error"


def series(metric: str, where: str) -> str:
    """A metric's series within a selection."""
    return f"{metric}{{{where}}}"


def within(where: str, **labels: str) -> str:
    """A selection narrowed to label values; several are given as ``a|b``."""
    return ",".join(
        [where, *(f'{name}{"=~" if "|" in value else "="}"{value}"' for name, value in labels.items())]
    )


def gauge(metric: str, where: str = QUEUES) -> str:
    """A gauge, once, however many exporters serve it."""
    return f"max without (instance, pod) ({series(metric, where)})"


def rate(metric: str, where: str = QUEUES, window: str = STEP) -> str:
    """A counter's increase per second, once, however many exporters serve it."""
    return f"max without (instance, pod) (rate({series(metric, where)}[{window}]))"


def increase(metric: str, where: str = QUEUES, window: str = STEP) -> str:
    """A counter's increase over a window, once, however many exporters serve it."""
    return f"max without (instance, pod) (increase({series(metric, where)}[{window}]))"


def total(vector: str, *by: str) -> str:
    """Sum, kept apart by labels."""
    return f"{_aggregate('sum', by)}({vector})"


def most(vector: str, *by: str) -> str:
    """Greatest, kept apart by labels."""
    return f"{_aggregate('max', by)}({vector})"


def ratio(part: str, whole: str) -> str:
    """A share or a mean; 0 where the whole is 0."""
    return f"{part} / ({whole} > 0) or {whole} * 0"


def quantile(q: float, histogram: str, where: str, *by: str) -> str:
    """A quantile of what was observed within the step; 0 where nothing was."""
    buckets = total(rate(f"{histogram}_bucket", where), *by, "le")
    return f"(histogram_quantile({q}, {buckets}) >= 0) or {total(rate(f'{histogram}_count', where), *by)} * 0"


def age(vector: str) -> str:
    """Seconds since a time; a clock that runs ahead makes none negative."""
    return f"clamp_min(time() - {vector}, 0)"


def oldest_ready(*by: str) -> str:
    """How long the oldest ready task has waited; 0 where none waits."""
    since = f"{_aggregate('min', by)}({series(catalog.OLDEST_READY, QUEUES)})"
    return f"{age(since)} or {most(gauge(catalog.QUEUE_TASKS, within(QUEUES, state='ready')), *by)} * 0"


def oldest_running(*by: str) -> str:
    """How long the longest run has lasted; 0 where none runs."""
    since = f"{_aggregate('min', by)}({series(catalog.OLDEST_RUNNING, QUEUES)})"
    return f"{age(since)} or {most(gauge(catalog.QUEUE_TASKS, within(QUEUES, state='running')), *by)} * 0"


def overdue(*by: str) -> str:
    """By how much the first scheduled task is late; 0 where none is."""
    due = f"{_aggregate('min', by)}({series(catalog.OLDEST_DUE, QUEUES)})"
    return f"{age(due)} or {inspected(*by)}"


def busy_share(*by: str) -> str:
    """Share of workers that run a task; 0 where there are none."""
    busy = total(gauge(catalog.WORKERS, within(QUEUES, state="busy")), *by)
    return ratio(busy, total(gauge(catalog.WORKERS), *by))


def failed_share(where: str, window: str, *by: str) -> str:
    """Share of ended tasks that ended badly; 0 where none ended."""
    bad = total(increase(catalog.COMPLETED, within(where, outcome=FAILED), window), *by)
    return ratio(bad, total(increase(catalog.COMPLETED, within(where, outcome=ENDED), window), *by))


def unmet_periodic(*by: str) -> str:
    """Periodic tasks that have not succeeded within their grace after they were due, as a vector of ages."""
    labels = ("job", "queue", "task", *by)
    late = f"time() - ({most(series(catalog.PERIODIC_UNMET, QUEUES), *labels)} > 0)"
    return f"{late} > {most(series(catalog.PERIODIC_GRACE, QUEUES), *labels)}"


def or_zero(vector: str, *by: str) -> str:
    """What was counted from events, or 0 where nothing was, as long as the telemetry is current.

    By ``queue`` each queue without a series is 0; by another label one 0 called ``none`` stands for all that could be.
    """
    current = f"({series(catalog.QUEUE_CURRENT, QUEUES)} or {series(catalog.SUBSCRIBED, QUEUES)}) == 1"
    if by == ("queue",):
        return f"{vector} or on (queue) {most(current, *by)} * 0"
    return _or_zero(vector, current, by)


def or_zero_of_exporters(vector: str, *by: str) -> str:
    """What was counted about exporters, or 0 where nothing was, as long as one answers."""
    return _or_zero(vector, series(catalog.READY, JOBS), by)


def inspected(*by: str) -> str:
    """0 for each queue whose state could be read from Redis."""
    return f"{most(series(catalog.PAUSED, QUEUES), *by)} * 0"


def _or_zero(vector: str, exists: str, by: tuple[str, ...]) -> str:
    zero = f"{most(exists)} * 0"
    return f"{vector} or on () " + (f'label_replace({zero}, "{by[0]}", "{NONE}", "", "")' if by else zero)


def _aggregate(how: str, by: tuple[str, ...]) -> str:
    return f"{how} by ({', '.join(by)}) " if by else how
