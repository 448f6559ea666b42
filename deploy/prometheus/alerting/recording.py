"""What several alerts, dashboards of one's own and autoscalers read: shares per window, ages, busy workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from limelight_exporter import catalog

from .promql import OBJECTIVE, QUEUE, TASK, by, change, lately, newest
from .rule import Group, Recording
from .settings import Settings

JUDGED: Final = 'outcome=~"success|result_error|dead|expired"'
FAILED: Final = 'outcome=~"result_error|dead|expired"'
"""Ends that are failures; what was revoked, canceled, locked or rate limited is nobody's."""

BUDGET: Final = "queue_task_objective:limelight_task_slo_budget:ratio"
AGE: Final = "queue:limelight_queue_oldest_ready_age_seconds:max"
BUSY: Final = "queue:limelight_queue_workers_busy:ratio"
LONGEST_RUN: Final = "queue:limelight_task_duration_seconds:max1d"
FAILED_DAY: Final = "queue_task:limelight_tasks_failed:increase1d"
SUCCEEDED_DAY: Final = "queue_task:limelight_tasks_succeeded:increase1d"

_FAST: Final = ("5m", "30m", "1h")
_SLOW: Final = ("6h", "3d")
_SLOW_INTERVAL: Final = "5m"
_HELD: Final = "12m"
"""Whoever reads what is recorded every five minutes must look back further than that."""


def completed(window: str) -> str:
    """Recording of ends that were judged, per second."""
    return f"queue_task:limelight_tasks_completed:rate{window}"


def failed_ratio(window: str) -> str:
    """Recording of the failed share of them."""
    return f"queue_task:limelight_tasks_failed:ratio_rate{window}"


def evaluated(window: str) -> str:
    """Recording of evaluations of an objective, per second."""
    return f"queue_task_objective:limelight_task_slo_evaluations:rate{window}"


def bad_ratio(window: str) -> str:
    """Recording of the bad share of them."""
    return f"queue_task_objective:limelight_task_slo_bad:ratio_rate{window}"


def recorded(settings: Settings, name: str) -> str:
    """The recording as it was last, whichever group records it."""
    slow = name.endswith((*(f"rate{window}" for window in _SLOW), "1d"))
    return f"last_over_time({name}[{settings.span(_HELD)}])" if slow else name


def groups(settings: Settings) -> list[Group]:
    """The recording rules. Windows of hours and days read many samples: they are recorded every five minutes."""
    fast = [*_gauges(settings), *_shares(settings, _FAST)]
    slow = [*_shares(settings, _SLOW), *_days(settings)]
    return [
        Group(name="limelight.recording", rules=fast),
        Group(name="limelight.recording.slow", rules=slow, interval=settings.span(_SLOW_INTERVAL)),
    ]


def _gauges(settings: Settings) -> Iterator[Recording]:
    oldest = newest(catalog.OLDEST_READY, *QUEUE, how="min")
    none = newest(catalog.QUEUE_TASKS, *QUEUE, where='state="ready"')
    yield Recording(record=AGE, expr=f"clamp_min(time() - {oldest}, 0)\nor\n{none} * 0")
    busy = newest(catalog.WORKERS, *QUEUE, where='state="busy"')
    workers = f"sum by ({by(*QUEUE)}) ({newest(catalog.WORKERS, *QUEUE, 'state')})"
    yield Recording(record=BUSY, expr=f"{busy}\n/\n({workers} > 0)")
    target = lately(catalog.SLO_TARGET, settings.span("1h"), *OBJECTIVE)
    yield Recording(record=BUDGET, expr=f"clamp_min(1 - {target}, 0.0001)")


def _shares(settings: Settings, windows: tuple[str, ...]) -> Iterator[Recording]:
    for window in windows:
        span = settings.span(window)
        done = change("rate", catalog.COMPLETED, span, *TASK, where=JUDGED)
        failed = change("rate", catalog.COMPLETED, span, *TASK, where=FAILED)
        yield Recording(record=completed(window), expr=done)
        yield Recording(record=failed_ratio(window), expr=f"{failed}\n/\n({completed(window)} > 0)")
        all_of_them = change("rate", catalog.SLO_EVALUATIONS, span, *OBJECTIVE)
        bad = change("rate", catalog.SLO_EVALUATIONS, span, *OBJECTIVE, where='result="bad"')
        yield Recording(record=evaluated(window), expr=all_of_them)
        yield Recording(record=bad_ratio(window), expr=f"{bad}\n/\n({evaluated(window)} > 0)")


def _days(settings: Settings) -> Iterator[Recording]:
    day = settings.span("1d")
    failed = change("increase", catalog.COMPLETED, day, *TASK, where=FAILED)
    succeeded = change("increase", catalog.COMPLETED, day, *TASK, where='outcome="success"')
    yield Recording(record=FAILED_DAY, expr=failed)
    yield Recording(record=SUCCEEDED_DAY, expr=succeeded)
    buckets = f"increase({catalog.DURATION}_bucket[{day}])"
    single = f"max by ({by('queue', 'task', 'result', 'le')}) ({buckets})"
    runs = f"sum by ({by('queue', 'le')}) ({single})"
    yield Recording(record=LONGEST_RUN, expr=f"histogram_quantile(1, {runs}) >= 0")
