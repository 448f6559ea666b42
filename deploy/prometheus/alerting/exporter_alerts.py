"""Alerts on what all others rest on: the exporter and its way from events to samples and spans."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from limelight_exporter import catalog
from limelight_exporter.catalog import CATALOG

from .promql import QUEUE, by, change, grown, newest
from .rule import Alert, Group
from .settings import Settings

_WANTED_LOSS: Final = 'reason!="unsampled"'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Count:
    """A counter that should stand still."""

    name: str
    metric: str
    severity: str
    summary: str
    description: str


_COUNTS: Final = (
    _Count(
        name="EventsLost",
        metric=catalog.EVENTS_LOST,
        severity="critical",
        summary="Events were never read: counters miss what they told.",
        description="{{ $value | humanize }} events of {{ $labels.queue }} were told and never counted.",
    ),
    _Count(
        name="StreamRolledBack",
        metric=catalog.ROLLBACKS,
        severity="warning",
        summary="Redis went back in time, and tasks may have gone with it.",
        description="The stream of {{ $labels.queue }} is behind what was already read: a restart without persistence, "
        "a failover or FLUSHALL.",
    ),
    _Count(
        name="MalformedEvents",
        metric=catalog.MALFORMED,
        severity="warning",
        summary="Events, or values in them, could not be used.",
        description="{{ $value | humanize }} events of {{ $labels.queue }} were skipped, wholly or in part: "
        "{{ $labels.reason }}.",
    ),
    _Count(
        name="SeriesOverflow",
        metric=catalog.OVERFLOW,
        severity="warning",
        summary="A label has too many values: new ones are counted as _other.",
        description="{{ $labels.metric }} of {{ $labels.queue }}: {{ $value | humanize }} updates were counted as "
        "_other.",
    ),
    _Count(
        name="SnapshotSetAside",
        metric=catalog.SET_ASIDE,
        severity="warning",
        summary="Saved counts could not be read: totals began anew.",
        description="A snapshot of {{ $labels.queue }} is damaged or of a later version, and was set aside.",
    ),
)


def group(settings: Settings) -> Group:
    """All of them."""
    rules = [
        *_exporter_down(settings),
        _exporter_absent(settings),
        _queue_unmonitored(settings),
        _queues_left_out(settings),
        _group_disagrees(settings),
        _event_lag(settings),
        *_counted(settings),
        *_span_export_failing(settings),
        _span_lag(settings),
        _retention_half_used(settings),
        _snapshot_stale(settings),
        _collector_failing(settings),
        _scrape_slow(settings),
        _web_config_refused(settings),
    ]
    return Group(name="limelight.exporter", rules=rules)


def _exporter_down(settings: Settings) -> Iterator[Alert]:
    up = f'up{{job=~"{settings.jobs}"}}'
    yield Alert(
        name="ExporterDown",
        expr=f"max by ({by()}) ({up}) == 0",
        wait=settings.span("2m"),
        severity="critical",
        summary="No exporter answers: nothing is known of the queues.",
        description="No exporter of job {{ $labels.job }} has answered a scrape for 2 minutes.",
        dashboard="exporter",
    )
    yield Alert(
        name="ExporterDown",
        expr=f"max by ({by('instance')}) ({up}) == 0",
        wait=settings.span("2m"),
        severity="warning",
        summary="An exporter does not answer.",
        description="{{ $labels.instance }} has not answered a scrape for 2 minutes.",
        dashboard="exporter",
    )


def _exporter_absent(settings: Settings) -> Alert:
    known = f"group by ({by()}) (last_over_time({catalog.BUILD_INFO}[6h]))"
    up = f'up{{job=~"{settings.jobs}"}}'
    return Alert(
        name="ExporterAbsent",
        expr=f"{known} unless on ({by()}) group by ({by()}) ({up})\n"
        f"or\nabsent({up}) unless on () group (last_over_time({catalog.BUILD_INFO}[6h]))",
        wait=settings.span("5m"),
        severity="critical",
        summary="Prometheus knows of no exporter to scrape.",
        description="There is no target {{ with $labels.job }}in job {{ . }} any more{{ else }}of an exporter"
        "{{ end }}: nothing is known of the queues.",
        dashboard="exporter",
    )


def _queue_unmonitored(settings: Settings) -> Alert:
    hour = settings.span("1h")
    alive = " or ".join(
        f"max by ({by(*QUEUE)}) (max_over_time({metric}[{hour}])) > 0"
        for metric in (catalog.QUEUE_TASKS, catalog.WORKERS)
    )
    return Alert(
        name="QueueUnmonitored",
        expr=f"({alive})\nunless on ({by(*QUEUE)})\n{newest(catalog.QUEUE_CURRENT, *QUEUE)}",
        wait=settings.span("10m"),
        severity="warning",
        summary="A queue that was watched is watched no longer.",
        description="No exporter reports {{ $labels.queue }} any more, which had tasks or workers within the hour.",
        dashboard="exporter",
    )


def _queues_left_out(settings: Settings) -> Alert:
    return Alert(
        name="QueuesLeftOut",
        expr=f"{newest(catalog.QUEUES_LEFT_OUT)} > 0",
        wait=settings.span("5m"),
        severity="warning",
        summary="Some queues are not served at all.",
        description="{{ $value | humanize }} queues are left out: there are more than may be.",
        dashboard="exporter",
    )


def _group_disagrees(settings: Settings) -> Alert:
    return Alert(
        name="GroupDisagrees",
        expr=f"{newest(catalog.GROUP_AGREES, *QUEUE, how='min')} == 0",
        wait=settings.span("10m"),
        severity="warning",
        summary="Exporters of one group have different settings, and so different numbers.",
        description="Exporters of {{ $labels.queue }} share a snapshot, but not their buckets or limits.",
        dashboard="exporter",
    )


def _event_lag(settings: Settings) -> Alert:
    return Alert(
        name="EventLag",
        expr=f"{newest(catalog.LAG_SECONDS, *QUEUE)} > {settings.limits.event_lag:g}",
        wait=settings.span("2m"),
        severity="warning",
        summary="The exporter is behind; metrics from events are left out until it is not.",
        description="The exporter is {{ $value | humanizeDuration }} behind the events of {{ $labels.queue }}.",
        dashboard="exporter",
        about=QUEUE,
    )


def _counted(settings: Settings) -> Iterator[Alert]:
    for count in _COUNTS:
        yield Alert(
            name=count.name,
            expr=grown(count.metric, settings.span("15m"), *CATALOG[count.metric].labels),
            severity=count.severity,
            summary=count.summary,
            description=count.description,
            dashboard="exporter",
            about=QUEUE,
        )


def _span_export_failing(settings: Settings) -> Iterator[Alert]:
    failed = change("increase", catalog.SPAN_FAILURES, settings.span("5m"))
    yield Alert(
        name="SpanExportFailing",
        expr=f"{failed} > 0",
        wait=settings.span("5m"),
        severity="warning",
        labels={"effect": "delayed"},
        summary="The collector takes no spans; they wait.",
        description="{{ $value | humanize }} exports of spans failed in 5 minutes and are repeated.",
        dashboard="exporter",
    )
    yield Alert(
        name="SpanExportFailing",
        expr=grown(catalog.SPANS_DROPPED, settings.span("15m"), where=_WANTED_LOSS),
        severity="warning",
        labels={"effect": "lost"},
        summary="Spans are lost.",
        description="{{ $value | humanize }} spans were dropped in 15 minutes.",
        dashboard="exporter",
    )


def _span_lag(settings: Settings) -> Alert:
    return Alert(
        name="SpanLag",
        expr=f"{newest(catalog.SPAN_LAG, *QUEUE)} > {settings.limits.span_lag:g}",
        wait=settings.span("2m"),
        severity="warning",
        summary="Traces appear late.",
        description="The oldest span of {{ $labels.queue }} waits for {{ $value | humanizeDuration }} to be sent.",
        dashboard="exporter",
        about=QUEUE,
    )


def _retention_half_used(settings: Settings) -> Alert:
    limits = settings.limits
    used = [
        f"{newest(metric, *QUEUE)} / {most:g} > {limits.retention_used_share:g}"
        for metric, most in (
            (catalog.LAG_EVENTS, limits.stream_events),
            (catalog.LAG_SECONDS, limits.stream),
            (catalog.SPAN_LAG, limits.stream),
        )
    ]
    return Alert(
        name="RetentionHalfUsed",
        expr="\nor\n".join(used),
        wait=settings.span("2m"),
        severity="warning",
        summary="Half of what a stream holds is unread; what comes after the other half is lost.",
        description="{{ $value | humanizePercentage }} of what the stream of {{ $labels.queue }} can hold waits to be "
        "read.",
        dashboard="exporter",
        about=QUEUE,
    )


def _snapshot_stale(settings: Settings) -> Alert:
    return Alert(
        name="SnapshotStale",
        expr=f"time() - {newest(catalog.SNAPSHOT_TIME, *QUEUE)} > {settings.limits.snapshot_age:g}",
        wait=settings.span("2m"),
        severity="warning",
        summary="The exporter cannot save what it counted.",
        description="What was counted of {{ $labels.queue }} was last saved {{ $value | humanizeDuration }} ago.",
        dashboard="exporter",
        about=QUEUE,
    )


def _collector_failing(settings: Settings) -> Alert:
    return Alert(
        name="CollectorFailing",
        expr=f"{newest(catalog.COLLECTOR_SUCCESS, 'collector', how='min')} == 0",
        wait=settings.span("5m"),
        severity="warning",
        summary="A part of the metrics is missing.",
        description="Scrapes go without their part “{{ $labels.collector }}”.",
        dashboard="exporter",
    )


def _scrape_slow(settings: Settings) -> Alert:
    return Alert(
        name="ScrapeSlow",
        expr=f'max by ({by("instance")}) (scrape_duration_seconds{{job=~"{settings.jobs}"}}) '
        f"> {settings.limits.scrape:g}",
        wait=settings.span("5m"),
        severity="warning",
        summary="Scrapes are slow, and will soon be cut off.",
        description="A scrape of {{ $labels.instance }} takes {{ $value | humanizeDuration }}.",
        dashboard="exporter",
    )


def _web_config_refused(settings: Settings) -> Alert:
    return Alert(
        name="WebConfigRefused",
        expr=f"{newest(catalog.WEB_CONFIG_TAKEN, 'instance', how='min')} == 0",
        wait=settings.span("1m"),
        severity="warning",
        summary="The exporter's web configuration changed, and is wrong.",
        description="{{ $labels.instance }} refused its new web configuration; the one before stays in force.",
        dashboard="exporter",
    )
