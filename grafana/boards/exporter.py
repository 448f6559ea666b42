"""Can these numbers be trusted? The exporters themselves, their way to Redis, and the traces that they send."""

from __future__ import annotations

from typing import Final

from limelight_exporter import catalog
from limelight_exporter.thresholds import (
    CLOCK_SKEW_SECONDS,
    OUT_OF_MEMORY_SHARE,
    RUNNING_SHORT_OF_MEMORY_SHARE,
    SCRAPE_SECONDS,
    SNAPSHOT_AGE_SECONDS,
    SPAN_LAG_SECONDS,
)

from .panel import GREEN, ORANGE, RED, Board, Column, Limit, Query, Row, Style, graph, stat, table, timeline
from .promql import (
    JOBS,
    QUEUES,
    RANGE,
    STEP,
    age,
    increase,
    most,
    or_zero_of_exporters,
    rate,
    ratio,
    series,
    total,
)
from .shared import LAG

_OFF_ON: Final = ((0, "failing", RED), (1, "fine", GREEN))
_ONCE: Final = (Limit(0.5, RED),)
"""One, by an increase that Prometheus extrapolates."""


def _each(counter: str, *by: str) -> str:
    """Of each exporter its own share of the work: it adds up over exporters."""
    rates = total(f"rate({series(counter, JOBS)}[{STEP}])", *by)
    return or_zero_of_exporters(rates, *by)


def _counted(counter: str, *by: str) -> str:
    return or_zero_of_exporters(total(f"increase({series(counter, JOBS)}[{STEP}])", *by), *by)


def _told(counter: str, *by: str) -> str:
    """Part of a queue's state, so the same in all exporters."""
    return or_zero_of_exporters(total(increase(counter), *by), *by)


def _caught_up() -> str:
    builds = f"group by (job, instance, version) ({series(catalog.BUILD_INFO, JOBS)})"
    ready = most(series(catalog.READY, JOBS), "job", "instance")
    return f"max by (instance, version) ({builds} * on (job, instance) group_left () {ready})"


def _memory_share() -> str:
    used, limit = (most(series(one, JOBS), "redis") for one in (catalog.MEMORY_USED, catalog.MEMORY_MAX))
    return ratio(used, limit)


_STATS: Final = (
    stat(
        "Exporters up",
        "Exporters that answer scrapes. None: all numbers are old.",
        total(series("up", JOBS)),
        width=3,
        limits=(Limit(1, GREEN),),
        base=RED,
        empty="none scraped",
    ),
    stat(
        "Redis",
        "Whether Redis answered every exporter's last scrape.",
        f"min({series(catalog.REDIS_UP, JOBS)})",
        width=3,
        limits=(Limit(1, GREEN),),
        base=RED,
        words=((0, "away", RED), (1, "there", GREEN)),
    ),
    stat(
        "Queues not current",
        "Queues that every exporter is behind with, or cannot reach: their counters are left out rather than "
        "served old.",
        f"count(max by (job, queue) ({series(catalog.QUEUE_CURRENT, QUEUES)}) == 0) or "
        f"{most(series(catalog.READY, JOBS))} * 0",
        width=3,
        limits=(Limit(1, RED),),
    ),
    stat(
        "Behind by",
        "How old the newest event is that the slowest exporter has read, while events wait.",
        most(series(catalog.LAG_SECONDS, QUEUES)),
        unit="s",
        width=3,
        limits=LAG,
    ),
    stat(
        "Events lost in range",
        "Events that were told and never read: trimmed too early, or dropped by an emitter. All counters are "
        "too low by what they told.",
        or_zero_of_exporters(total(increase(catalog.EVENTS_LOST, window=RANGE))),
        width=3,
        limits=_ONCE,
        decimals=0,
    ),
    stat(
        "Oldest snapshot",
        "How long ago the state of the least lucky queue was saved; after a restart the exporter reads on "
        "from there. 0 before the first.",
        f"max({age(most(series(catalog.SNAPSHOT_TIME, QUEUES), 'job', 'queue'))}) or "
        f"{most(series(catalog.READY, JOBS))} * 0",
        unit="s",
        width=3,
        limits=(Limit(SNAPSHOT_AGE_SECONDS / 5, ORANGE), Limit(SNAPSHOT_AGE_SECONDS, RED)),
    ),
    stat(
        "Spans behind by",
        "Age of the oldest event whose span is still to be sent. 0 while there is none, or no collector is set.",
        or_zero_of_exporters(most(series(catalog.SPAN_LAG, QUEUES))),
        unit="s",
        width=3,
        limits=(Limit(SPAN_LAG_SECONDS / 5, ORANGE), Limit(SPAN_LAG_SECONDS, RED)),
    ),
    stat(
        "Series",
        "Series kept from events by one exporter; a histogram counts once for each of its label sets.",
        most(series(catalog.SERIES, JOBS)),
        width=3,
    ),
)

_EVENTS: Final = (
    graph(
        "Events read",
        "What is told on the streams, by status.",
        Query(or_zero_of_exporters(total(rate(catalog.EVENTS), "event"), "event"), "{{event}}"),
        unit="ops",
        style=Style.STACKED,
    ),
    graph(
        "Behind by (time)",
        "Age of each exporter's position in each stream, while events wait to be read.",
        Query(series(catalog.LAG_SECONDS, QUEUES), "{{instance}} {{queue}}"),
        unit="s",
        limits=LAG[-1:],
    ),
    graph(
        "Behind by (events)",
        "Events that had not been read when the scrape arrived.",
        Query(series(catalog.LAG_EVENTS, QUEUES), "{{instance}} {{queue}}"),
    ),
    graph(
        "Lost, rolled back, malformed",
        "Anything here means that counters are wrong or Redis went back in time. 0 is right.",
        Query(_told(catalog.EVENTS_LOST), "lost"),
        Query(_told(catalog.ROLLBACKS), "rolled back"),
        Query(_told(catalog.MALFORMED), "malformed"),
        Query(_told(catalog.SET_ASIDE), "snapshots set aside"),
        style=Style.BARS,
    ),
    graph(
        "Label overflow",
        "Updates counted as _other, because a label had too many values. Make task names or error types fewer.",
        Query(_told(catalog.OVERFLOW, "metric"), "{{metric}}"),
        style=Style.BARS,
    ),
    timeline(
        "Queues current",
        "Whether the last scrape held all events that were told before it.",
        Query(most(series(catalog.QUEUE_CURRENT, QUEUES), "queue"), "{{queue}}"),
        words=((0, "behind", RED), (1, "current", GREEN)),
    ),
)

_SCRAPES: Final = (
    timeline(
        "Collectors",
        "Parts of a scrape: server (Redis itself), queues (gauges), events (0 while a queue is behind).",
        Query(f"min by (collector) ({series(catalog.COLLECTOR_SUCCESS, JOBS)})", "{{collector}}"),
        words=_OFF_ON,
    ),
    graph(
        "Time of a scrape's parts",
        "How long each part took, by the slowest exporter.",
        Query(most(series(catalog.COLLECTOR_SECONDS, JOBS), "collector"), "{{collector}}"),
        unit="s",
    ),
    graph(
        "Scrape time and samples",
        "The whole scrape, as Prometheus saw it, and how much it brought (right axis).",
        Query(most(series("scrape_duration_seconds", JOBS)), "time"),
        Query(most(series("scrape_samples_scraped", JOBS)), "samples", unit="short"),
        unit="s",
        limits=(Limit(SCRAPE_SECONDS, RED),),
    ),
)

_TRACES: Final = (
    graph(
        "Spans",
        "Spans that the collector took, that were left out (unsampled is a choice, the rest is a loss), and "
        "exports that failed and are repeated.",
        Query(_each(catalog.SPANS_EXPORTED), "exported"),
        Query(_each(catalog.SPANS_DROPPED, "reason"), "dropped: {{reason}}"),
        Query(_each(catalog.SPAN_FAILURES, "code"), "failed: {{code}}"),
        unit="ops",
    ),
    graph(
        "Pushed metrics",
        "Requests with metrics by OTLP, by the collector's answer; nothing where none are pushed.",
        Query(_each(catalog.PUSHES, "code"), "{{code}}"),
        unit="ops",
    ),
    graph(
        "Spans behind by queue",
        "Age of the oldest event whose span is still to be sent.",
        Query(or_zero_of_exporters(most(series(catalog.SPAN_LAG, QUEUES), "queue"), "queue"), "{{queue}}"),
        unit="s",
        limits=(Limit(SPAN_LAG_SECONDS, RED),),
    ),
    graph(
        "Clock skew",
        "By how much clocks of consumers' hosts are ahead of Redis' clock, or behind it. Spans are shifted "
        "by as much; counters are not.",
        Query(or_zero_of_exporters(most(series(catalog.CLOCK_SKEW, JOBS), "host"), "host"), "{{host}}"),
        unit="s",
        limits=(Limit(-CLOCK_SKEW_SECONDS, GREEN), Limit(CLOCK_SKEW_SECONDS, RED)),
        bottom=None,
    ),
)

_REDIS: Final = (
    graph(
        "Redis memory",
        "Memory in use and allowed; a limit of 0 means none. At the limit Redis refuses writes: nothing can "
        "be enqueued.",
        Query(most(series(catalog.MEMORY_USED, JOBS), "redis"), "used {{redis}}"),
        Query(most(series(catalog.MEMORY_MAX, JOBS), "redis"), "limit {{redis}}"),
        unit="bytes",
        width=12,
    ),
    graph(
        "Redis memory in use",
        "Share of what Redis may use; 0 where it has no limit.",
        Query(_memory_share(), "{{redis}}"),
        unit="percentunit",
        width=12,
        limits=(Limit(RUNNING_SHORT_OF_MEMORY_SHARE, ORANGE), Limit(OUT_OF_MEMORY_SHARE, RED)),
        top=1,
    ),
    timeline(
        "Redis keeps tasks when it is full",
        "Whether a full Redis refuses writes (noeviction). If not, it throws tasks away.",
        Query(f"min by (redis) ({series(catalog.EVICTION_SAFE, JOBS)})", "{{redis}}"),
        words=((0, "no: it drops tasks", RED), (1, "yes", GREEN)),
        width=12,
    ),
    graph(
        "Reconnects and failed snapshots",
        "Times Redis was found again after it had been away, snapshots that could not be saved, readers of a "
        "stream that were "
        "given up, broken pub/sub subscriptions.",
        Query(_counted(catalog.RECONNECTS), "reconnects"),
        Query(_counted(catalog.SNAPSHOT_FAILURES), "snapshots failed"),
        Query(_counted(catalog.READERS_FORGOTTEN), "readers forgotten"),
        Query(_counted(catalog.SUBSCRIPTION_BREAKS), "subscriptions broken"),
        width=12,
        style=Style.BARS,
    ),
)

_PROCESSES: Final = (
    table(
        "Exporters",
        "Each exporter: whether it has caught up since its start, how long that took, whether the others of "
        "its group have the same buckets and limits, what it leaves out, of how many queues it sends the spans, "
        "and how many browsers watch its live page.",
        Column("Caught up", _caught_up(), "bool_yes_no", limits=(Limit(1, GREEN),), base=RED),
        Column("Catch-up took", most(series(catalog.REPLAY_SECONDS, JOBS), "instance"), "s"),
        Column(
            "Agrees",
            f"min by (instance) ({series(catalog.GROUP_AGREES, QUEUES)})",
            "bool_yes_no",
            limits=(Limit(1, GREEN),),
            base=RED,
            none="–",
        ),
        Column(
            "Queues left out",
            most(series(catalog.QUEUES_LEFT_OUT, JOBS), "instance"),
            limits=(Limit(1, RED),),
        ),
        Column("Series", most(series(catalog.SERIES, JOBS), "instance")),
        Column(
            "Sends spans of",
            f"sum by (instance) ({series(catalog.SPAN_LEADER, QUEUES)})",
            none="–",
        ),
        Column("Page viewers", most(series(catalog.PAGE_VIEWERS, JOBS), "instance"), none="–"),
        empty="no exporter is scraped",
    ),
    graph(
        "CPU",
        "Share of one core.",
        Query(f"rate({series('process_cpu_seconds_total', JOBS)}[{STEP}])", "{{instance}}"),
        unit="percentunit",
    ),
    graph(
        "Memory",
        "Resident memory.",
        Query(series("process_resident_memory_bytes", JOBS), "{{instance}}"),
        unit="bytes",
    ),
    graph(
        "Open files",
        "File descriptors in use and allowed.",
        Query(series("process_open_fds", JOBS), "open {{instance}}"),
        Query(series("process_max_fds", JOBS), "limit {{instance}}"),
    ),
)

EXPORTER: Final = Board(
    name="exporter",
    title="Exporter and pipeline",
    description="Can these numbers be trusted? Exporters, events lost or late, scrapes, traces, and Redis itself.",
    rows=(
        Row("", (*_STATS, *_EVENTS)),
        Row("Scrapes", _SCRAPES),
        Row("Traces", _TRACES),
        Row("Redis", _REDIS, collapsed=True),
        Row("Processes", _PROCESSES, collapsed=True),
    ),
    variables=("queue",),
)
