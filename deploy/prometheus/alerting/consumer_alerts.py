"""Alerts on those who do the work: consumers, their schedulers, their clocks, their own faults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from limelight_exporter import catalog

from . import recording
from .promql import QUEUE, TASK, by, change, grown, newest, paused
from .rule import Alert, Group
from .settings import Settings, written

_KEEP: Final = "15m"


def group(settings: Settings) -> Group:
    """All of them."""
    rules = [
        *_error_events(settings),
        _no_consumers(settings),
        _saturated(settings),
        _gone(settings),
        _threads_abandoned(settings),
        _clock_skew(settings),
        _periodic_missed(settings),
        _scheduler_stalled(settings),
        _overdue(settings),
    ]
    return Group(name="limelight.consumers", rules=rules)


def _error_events(settings: Settings) -> Iterator[Alert]:
    lasting, window, labels = settings.limits.errors_lasting, settings.span("5m"), ("queue", "event")
    still = f"{change('increase', catalog.CONSUMER_ERRORS, window, *labels)} > 0"
    for severity, wait, expr, text in (
        ("warning", "", grown(catalog.CONSUMER_ERRORS, window, *labels), "at least one"),
        ("critical", written(lasting), still, f"for {lasting / 60:g} minutes on end"),
    ):
        yield Alert(
            name="ErrorEvents",
            expr=expr,
            wait=wait,
            severity=severity,
            summary="A consumer reports a fault of its own.",
            description="{{ $labels.event }} on {{ $labels.queue }}: {{ $value | humanize }} in 5 minutes "
            f"({text}).",
            dashboard="consumers",
            about=QUEUE,
        )


def _no_consumers(settings: Settings) -> Alert:
    on = f"on ({by(*QUEUE)})"
    work = newest(catalog.QUEUE_TASKS, *QUEUE, where='state=~"ready|running"')
    due = newest(catalog.OLDEST_DUE, *QUEUE, how="min")
    workers = f"sum by ({by(*QUEUE)}) ({newest(catalog.WORKERS, *QUEUE, 'state')})"
    return Alert(
        name="NoConsumers",
        expr=f"(\n  {work} > 0\n  or\n  time() - {due} > 0\n)\nunless {on} ({workers} > 0)\nunless {on} {paused()}",
        wait=written(settings.limits.no_consumers),
        keep=settings.span(_KEEP),
        severity="critical",
        summary="A queue has work and nobody to do it.",
        description="{{ $labels.queue }} has tasks that could run now, and no worker is alive.",
        dashboard="consumers",
        about=QUEUE,
    )


def _saturated(settings: Settings) -> Alert:
    limits = settings.limits
    return Alert(
        name="ConsumersSaturated",
        expr=f"{recording.BUSY} > {limits.saturated_share:g}\n"
        f"and on ({by(*QUEUE)})\n{recording.AGE} > {limits.wait:g}",
        wait=settings.span("15m"),
        severity="warning",
        summary="All workers are busy, and tasks wait.",
        description="{{ $value | humanizePercentage }} of the workers of {{ $labels.queue }} have been busy for 15 "
        "minutes while tasks wait.",
        dashboard="consumers",
        about=QUEUE,
    )


def _gone(settings: Settings) -> Alert:
    seen = newest(catalog.HEARTBEAT, "queue", "consumer")
    return Alert(
        name="ConsumerGone",
        expr=f"time() - {seen} > {settings.limits.consumer_silent:g}",
        wait=settings.span("1m"),
        severity="warning",
        summary="A consumer fell silent without saying that it stops.",
        description="Consumer {{ $labels.consumer }} of {{ $labels.queue }} was last heard of "
        "{{ $value | humanizeDuration }} ago.",
        dashboard="consumers",
        about=QUEUE,
    )


def _threads_abandoned(settings: Settings) -> Alert:
    return Alert(
        name="ThreadsAbandoned",
        expr=f"{newest(catalog.ABANDONED, 'queue', 'consumer')} > 0",
        wait=settings.span("1m"),
        severity="warning",
        summary="Tasks would not stop when their time was over.",
        description="{{ $value | humanize }} threads of consumer {{ $labels.consumer }} of {{ $labels.queue }} are "
        "stuck; after ten it ends itself.",
        dashboard="consumers",
        about=QUEUE,
    )


def _clock_skew(settings: Settings) -> Alert:
    return Alert(
        name="ClockSkew",
        expr=f"max by ({by('host')}) (abs({catalog.CLOCK_SKEW})) > {settings.limits.clock_skew:g}",
        wait=settings.span("5m"),
        severity="warning",
        summary="A host's clock is wrong, or Redis' is.",
        description="The clocks of {{ $labels.host }} and of Redis are {{ $value | humanizeDuration }} apart.",
        dashboard="exporter",
    )


def _periodic_missed(settings: Settings) -> Alert:
    unmet = newest(f"{catalog.PERIODIC_UNMET} > 0", *TASK)
    grace = newest(catalog.PERIODIC_GRACE, *TASK)
    return Alert(
        name="PeriodicMissed",
        expr=f"time() - {unmet}\n> on ({by(*TASK)})\n{grace}\nunless on ({by(*QUEUE)}) {paused()}",
        wait=settings.span("1m"),
        severity="warning",
        summary="A periodic task did not succeed in time.",
        description="{{ $labels.task }} on {{ $labels.queue }} was due {{ $value | humanizeDuration }} ago, and has "
        "not succeeded since.",
        dashboard="consumers",
        about=TASK,
    )


def _scheduler_stalled(settings: Settings) -> Alert:
    periodic = f"group by ({by(*QUEUE)}) ({catalog.PERIODIC_NEXT})"
    checked = newest(catalog.SCHEDULER_CHECK, *QUEUE)
    return Alert(
        name="SchedulerStalled",
        expr=f"time() - {checked} > {settings.limits.scheduler_stalled:g}\nand on ({by(*QUEUE)})\n{periodic}",
        wait=settings.span("1m"),
        keep=settings.span(_KEEP),
        severity="critical",
        summary="Nobody looks which periodic tasks are due.",
        description="The periodic tasks of {{ $labels.queue }} were last looked at {{ $value | humanizeDuration }} "
        "ago; it happens once a minute.",
        dashboard="consumers",
        about=QUEUE,
    )


def _overdue(settings: Settings) -> Alert:
    due = newest(catalog.OLDEST_DUE, *QUEUE, how="min")
    return Alert(
        name="OverdueScheduled",
        expr=f"time() - {due} > {settings.limits.overdue_schedule:g}",
        wait=settings.span("1m"),
        keep=settings.span(_KEEP),
        severity="critical",
        summary="Scheduled tasks are due, and nobody puts them on the queue.",
        description="The first scheduled task of {{ $labels.queue }} has been due for {{ $value | humanizeDuration }}.",
        dashboard="queue",
        about=QUEUE,
    )
