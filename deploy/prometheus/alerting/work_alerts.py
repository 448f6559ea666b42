"""Alerts on the work itself: does it go on, in time, and without loss?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from limelight_exporter import catalog

from . import recording
from .promql import QUEUE, TASK, by, change, grown, indented, lately, newest, paused
from .rule import Alert, Group
from .settings import Settings, written

_KEEP: Final = "15m"
_PROGRESS: Final = 'outcome=~"success|error|timeout|retry|result_error|canceled"'
"""Runs that used a worker and came to something; a lost, an interrupted or a parked one did not."""
_PARKED: Final = 'outcome=~"locked|rate_limited"'
_TRIED: Final = 'outcome!~"locked|rate_limited|interrupted"'


def group(settings: Settings) -> Group:
    """All of them."""
    rules = [
        _queue_age(settings),
        _queue_stalled(settings),
        _running_too_long(settings),
        _retry_storm(settings),
        *_dead_letters(settings),
        _tasks_lost(settings),
        _index_mismatch(settings),
        _paused_long(settings),
    ]
    return Group(name="limelight.work", rules=rules)


def _queue_age(settings: Settings) -> Alert:
    declared = lately(catalog.SLO_THRESHOLD, settings.span("1h"), *QUEUE, where='objective="wait"')
    on = f"on ({by(*QUEUE)})"
    old = (
        f"{recording.AGE} > {on} {declared}\n"
        f"or\n({recording.AGE} > {settings.limits.queue_age:g} unless {on} {declared})"
    )
    return Alert(
        name="QueueAge",
        expr=f"(\n{indented(old)}\n)\nunless {on} {paused()}",
        wait=settings.span("2m"),
        severity="warning",
        summary="The oldest ready task waits too long.",
        description="The oldest ready task of {{ $labels.queue }} waits for {{ $value | humanizeDuration }}.",
        dashboard="queue",
        about=QUEUE,
    )


def _queue_stalled(settings: Settings) -> Alert:
    limits, on = settings.limits, f"on ({by(*QUEUE)})"
    window = written(limits.stalled)
    ready = f'min_over_time({catalog.QUEUE_TASKS}{{state="ready"}}[{window}])'
    progress = change("increase", catalog.ATTEMPTS, window, *QUEUE, where=_PROGRESS)
    age = f"time() - {newest(catalog.OLDEST_RUNNING, *QUEUE, how='min')}"
    longest = f"{limits.longest_run_factor:g} * {recording.recorded(settings, recording.LONGEST_RUN)}"
    busy = f"({age} > {limits.stalled:g}) < {on} ({longest})"
    lag = f"{newest(catalog.LAG_SECONDS, *QUEUE)} > {limits.event_lag:g}"
    return Alert(
        name="QueueStalled",
        expr=f"(max by ({by(*QUEUE)}) ({ready}) > 0)\nunless {on} ({progress} > 0)\n"
        f"unless {on} ({busy})\nunless {on} {paused()}\nunless {on} ({lag})",
        wait=settings.span("5m"),
        keep=settings.span(_KEEP),
        severity="critical",
        summary="A queue has ready tasks and nothing is finished.",
        description="{{ $value | humanize }} tasks of {{ $labels.queue }} are ready, and no run came to anything in "
        f"{window}.",
        dashboard="queue",
        about=QUEUE,
    )


def _running_too_long(settings: Settings) -> Alert:
    oldest = newest(catalog.OLDEST_RUNNING, *QUEUE, how="min")
    return Alert(
        name="TaskRunningTooLong",
        expr=f"time() - {oldest} > {settings.limits.running_too_long:g}",
        wait=settings.span("2m"),
        severity="warning",
        summary="A task runs for hours.",
        description="A task of {{ $labels.queue }} runs for {{ $value | humanizeDuration }}.",
        dashboard="queue",
        about=QUEUE,
    )


def _retry_storm(settings: Settings) -> Alert:
    limits, window = settings.limits, settings.span("10m")
    retried = change("rate", catalog.RETRIES, window, *TASK)
    parked = change("rate", catalog.ATTEMPTS, window, *TASK, where=_PARKED)
    tried = change("rate", catalog.ATTEMPTS, window, *TASK, where=_TRIED)
    volume = change("increase", catalog.ATTEMPTS, window, *TASK, where=_TRIED)
    return Alert(
        name="RetryStorm",
        expr=f"(\n  ({retried} - ({parked} or {retried} * 0))\n  / ({tried} > 0)\n) > {limits.retry_share:g}\n"
        f"and\n{volume} >= {limits.fewest_retried_attempts}",
        wait=settings.span("5m"),
        severity="warning",
        summary="A large share of runs is repeated.",
        description="{{ $value | humanizePercentage }} of the runs of {{ $labels.task }} on {{ $labels.queue }} end in "
        "a retry.",
        dashboard="task",
        about=TASK,
    )


def _dead_letters(settings: Settings) -> Iterator[Alert]:
    window = settings.span("15m")
    dead = 'state="dead"'
    more = f"max by ({by(*QUEUE)}) (delta({catalog.QUEUE_TASKS}{{{dead}}}[{window}])) > 0"
    died = grown(catalog.COMPLETED, window, *QUEUE, where='outcome="dead"')
    yield Alert(
        name="DeadLettersGrowing",
        expr=f"{more}\nor\n{died}",
        severity="warning",
        summary="Tasks fail for good.",
        description="{{ $value | humanize }} tasks of {{ $labels.queue }} became dead letters in 15 minutes.",
        dashboard="queue",
        about=QUEUE,
    )
    yield Alert(
        name="DeadLettersPresent",
        expr=f"{lately(catalog.QUEUE_TASKS, settings.span('15m'), *QUEUE, where=dead)} > 0",
        wait=written(settings.limits.dead_letters_kept),
        severity="warning",
        summary="Dead letters lie about, and nobody decides.",
        description="{{ $value | humanize }} dead letters of {{ $labels.queue }} wait for somebody to requeue or purge "
        "them.",
        dashboard="queue",
        about=QUEUE,
    )


def _tasks_lost(settings: Settings) -> Alert:
    return Alert(
        name="TasksLost",
        expr=grown(catalog.ATTEMPTS, settings.span("15m"), *QUEUE, where='outcome="lost"'),
        severity="warning",
        summary="Workers die while they run tasks.",
        description="{{ $value | humanize }} runs of {{ $labels.queue }} lost their worker in 15 minutes.",
        dashboard="consumers",
        about=QUEUE,
    )


def _index_mismatch(settings: Settings) -> Alert:
    off = f"abs({catalog.INDEX_MISMATCH})"
    return Alert(
        name="QueueIndexMismatch",
        expr=f"max by ({by(*QUEUE)}) ({off}) > 0",
        wait=settings.span("5m"),
        severity="warning",
        summary="Tasks of a queue stand in no index, or in two.",
        description="The records of {{ $labels.queue }} and its indexes differ by {{ $value | humanize }} tasks; "
        "`limelight doctor --repair` puts them right.",
        dashboard="queue",
        about=QUEUE,
    )


def _paused_long(settings: Settings) -> Alert:
    return Alert(
        name="PausedLong",
        expr=f"{lately(catalog.PAUSED, settings.span('15m'), *QUEUE)} > 0",
        wait=written(settings.limits.paused_long),
        severity="warning",
        summary="A queue has been paused for long.",
        description=f"{{{{ $labels.queue }}}} has been paused for {settings.limits.paused_long / 3_600:g} hours.",
        dashboard="queue",
        about=QUEUE,
    )
