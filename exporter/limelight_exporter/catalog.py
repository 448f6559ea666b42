"""Every metric that is served, in one table; rules, dashboards, documents and tests are checked against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

BUCKETS: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0, 3600.0)
"""Upper bounds in seconds of all histograms; +Inf follows."""

MALFORMED_REASONS: Final = ("undecodable", "oversized", "version", "foreign", "number", "duration", "dropped")
"""Why an event, or a value in one, could not be used."""
TASK_LIMIT: Final = 200
"""Task names per queue; later ones are ``_other``."""
ERROR_TYPE_LIMIT: Final = 50
"""Error types per queue; later ones are ``_other``."""

SERIES_LIMIT: Final = 20_000
"""Label sets per queue; the tasks and error types of later ones are ``_other``."""
QUEUE_LIMIT: Final = 500
"""Queues of one exporter; later ones are left out."""

PHASES: Final = ("waiting", "running", "backing_off", "parked")
RESULTS: Final = ("ok", "failed")
VERDICTS: Final = ("good", "bad")


class Section(Enum):
    """Where a metric's numbers come from."""

    EVENTS = "events"
    """Folded from the stream; left out while its queue is not current."""
    REDIS = "redis"
    """Read from Redis at the scrape; left out where that failed."""
    EXPORTER = "exporter"
    """About the exporter; always served."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One family.

    Attributes:
        name: As queried; a counter's ends in ``_total``.
        kind: ``counter``, ``gauge``, ``histogram`` or ``info``.
        labels: Names in order.
        help: For somebody who never read the source.
        unit: OpenMetrics unit, "" for counts.
    """

    name: str
    kind: str
    section: Section
    labels: tuple[str, ...]
    help: str
    unit: str = ""


EVENTS: Final = "limelight_events_total"
ENQUEUED: Final = "limelight_tasks_enqueued_total"
ATTEMPTS: Final = "limelight_task_attempts_total"
ERRORS: Final = "limelight_task_errors_total"
RETRIES: Final = "limelight_task_retries_total"
REDELIVERIES: Final = "limelight_task_redeliveries_total"
COMPLETED: Final = "limelight_tasks_completed_total"
CONSUMER_ERRORS: Final = "limelight_consumer_errors_total"
PERIODIC_CHECKS: Final = "limelight_periodic_checks_total"
PERIODIC_SCHEDULED: Final = "limelight_periodic_scheduled_total"
DURATION: Final = "limelight_task_duration_seconds"
WAIT: Final = "limelight_task_wait_seconds"
LATENCY: Final = "limelight_task_latency_seconds"
TIME: Final = "limelight_task_time_seconds_total"
SLO_EVALUATIONS: Final = "limelight_task_slo_evaluations_total"
SLO_TARGET: Final = "limelight_task_slo_target_ratio"
SLO_THRESHOLD: Final = "limelight_task_slo_threshold_seconds"

QUEUE_TASKS: Final = "limelight_queue_tasks"
OLDEST_READY: Final = "limelight_queue_oldest_ready_timestamp_seconds"
OLDEST_RUNNING: Final = "limelight_queue_oldest_running_timestamp_seconds"
OLDEST_DUE: Final = "limelight_queue_oldest_due_timestamp_seconds"
INDEX_MISMATCH: Final = "limelight_queue_index_mismatch_tasks"
PAUSED: Final = "limelight_queue_paused"
LOCKS: Final = "limelight_locks_held"
WORKERS: Final = "limelight_queue_workers"
CONSUMER_INFO: Final = "limelight_consumer_info"
HEARTBEAT: Final = "limelight_consumer_last_heartbeat_timestamp_seconds"
ABANDONED: Final = "limelight_consumer_abandoned_threads"
PERIODIC_SUCCESS: Final = "limelight_periodic_last_success_timestamp_seconds"
PERIODIC_NEXT: Final = "limelight_periodic_next_run_timestamp_seconds"
PERIODIC_UNMET: Final = "limelight_periodic_oldest_unmet_due_timestamp_seconds"
PERIODIC_GRACE: Final = "limelight_periodic_grace_seconds"
SCHEDULER_CHECK: Final = "limelight_scheduler_last_check_timestamp_seconds"
REDIS_UP: Final = "limelight_redis_up"
MEMORY_USED: Final = "limelight_redis_memory_used_bytes"
MEMORY_MAX: Final = "limelight_redis_memory_max_bytes"
EVICTION_SAFE: Final = "limelight_redis_eviction_safe"

BUILD_INFO: Final = "limelight_exporter_build_info"
READY: Final = "limelight_exporter_ready"
QUEUE_CURRENT: Final = "limelight_exporter_queue_current"
EVENTS_LOST: Final = "limelight_exporter_events_lost_total"
ROLLBACKS: Final = "limelight_exporter_stream_rollbacks_total"
MALFORMED: Final = "limelight_exporter_events_malformed_total"
LAG_EVENTS: Final = "limelight_exporter_stream_lag_events"
LAG_SECONDS: Final = "limelight_exporter_stream_lag_seconds"
SET_ASIDE: Final = "limelight_exporter_snapshots_set_aside_total"
READERS_FORGOTTEN: Final = "limelight_exporter_readers_forgotten_total"
GROUP_AGREES: Final = "limelight_exporter_group_agrees"
QUEUES_LEFT_OUT: Final = "limelight_exporter_queues_left_out"
SNAPSHOT_TIME: Final = "limelight_exporter_snapshot_timestamp_seconds"
SNAPSHOT_FAILURES: Final = "limelight_exporter_snapshot_write_failures_total"
REPLAY_SECONDS: Final = "limelight_exporter_last_replay_duration_seconds"
SERIES: Final = "limelight_exporter_series"
OVERFLOW: Final = "limelight_exporter_series_overflow_total"
SPANS_EXPORTED: Final = "limelight_exporter_spans_exported_total"
SPANS_DROPPED: Final = "limelight_exporter_spans_dropped_total"
SPAN_FAILURES: Final = "limelight_exporter_span_export_failures_total"
SPAN_LAG: Final = "limelight_exporter_span_lag_seconds"
PUSHES: Final = "limelight_exporter_metric_pushes_total"
SPAN_LEADER: Final = "limelight_exporter_is_span_leader"
COLLECTOR_SECONDS: Final = "limelight_exporter_scrape_collector_duration_seconds"
COLLECTOR_SUCCESS: Final = "limelight_exporter_scrape_collector_success"
CLOCK_SKEW: Final = "limelight_exporter_clock_skew_seconds"
RECONNECTS: Final = "limelight_exporter_redis_reconnects_total"
SOURCE_INFO: Final = "limelight_exporter_source_info"
SUBSCRIBED: Final = "limelight_exporter_subscribed"
SUBSCRIPTION_BREAKS: Final = "limelight_exporter_subscription_breaks_total"
PAGE_VIEWERS: Final = "limelight_exporter_page_viewers"
WEB_CONFIG_TAKEN: Final = "limelight_exporter_web_config_last_reload_successful"

_Q: Final = ("queue",)
_QT: Final = ("queue", "task")


def _counter(name: str, labels: tuple[str, ...], text: str, unit: str = "") -> Metric:
    return Metric(name, "counter", Section.EVENTS, labels, text, unit)


def _histogram(name: str, labels: tuple[str, ...], text: str) -> Metric:
    return Metric(name, "histogram", Section.EVENTS, labels, text, "seconds")


def _gauge(name: str, labels: tuple[str, ...], text: str) -> Metric:
    return Metric(name, "gauge", Section.REDIS, labels, text, _unit(name))


def _own(name: str, labels: tuple[str, ...], text: str) -> Metric:
    kind = "counter" if name.endswith("_total") else "gauge"
    return Metric(name, kind, Section.EXPORTER, labels, text, _unit(name))


def _unit(name: str) -> str:
    return next((unit for unit in ("seconds", "bytes") if name.endswith(f"_{unit}")), "")


_FROM_EVENTS: Final = (
    _counter(EVENTS, ("queue", "event"), "Events told on the queue's stream, by their status."),
    _counter(ENQUEUED, _QT, "Tasks put on the queue, requeued dead letters included."),
    _counter(ATTEMPTS, ("queue", "task", "outcome"), "Runs of tasks that came to a close, by how they went."),
    _counter(
        ERRORS, ("queue", "task", "error_type"), "Runs that failed or were lost, by the error's class name."
    ),
    _counter(RETRIES, _QT, "Runs after which the task was put back to be tried again."),
    _counter(REDELIVERIES, _QT, "Tasks put back on the queue because their worker was lost."),
    _counter(
        COMPLETED, ("queue", "task", "outcome"), "Tasks that came to their end, each once, by how they ended."
    ),
    _counter(
        CONSUMER_ERRORS,
        ("queue", "event"),
        "Faults of a consumer itself, not of a task's code, by the status of the event that told of it.",
    ),
    _counter(PERIODIC_CHECKS, _Q, "Times a scheduler checked which periodic tasks are due (once a minute)."),
    _counter(PERIODIC_SCHEDULED, _QT, "Runs of periodic tasks put on the queue."),
    _histogram(DURATION, ("queue", "task", "result"), "Run time of closed runs, failed ones included."),
    _histogram(WAIT, _QT, "Time from when a task could run to its start; delays and back-off excluded."),
    _histogram(LATENCY, _QT, "Time from when a task could first run to its end, retries included."),
    _counter(
        TIME,
        ("queue", "task", "phase"),
        "Where the latency of completed tasks went: waiting, running, backing_off (between retries) or "
        "parked (locked, rate limited). The phases add up to the sum of limelight_task_latency_seconds.",
        "seconds",
    ),
    _counter(
        SLO_EVALUATIONS,
        ("queue", "task", "objective", "result"),
        "What tasks with declared objectives did, good or bad by the objective: wait, duration, latency or "
        "success. Counted exactly, not from buckets.",
    ),
    Metric(
        SLO_TARGET,
        "gauge",
        Section.EVENTS,
        ("queue", "task", "objective"),
        "Share of evaluations that must be good, as the consumer that started last declared it.",
        "ratio",
    ),
    Metric(
        SLO_THRESHOLD,
        "gauge",
        Section.EVENTS,
        ("queue", "task", "objective"),
        "The most seconds that are good, as declared; success has none.",
        "seconds",
    ),
)

_FROM_REDIS: Final = (
    _gauge(QUEUE_TASKS, ("queue", "state"), "Tasks on the queue now: ready, scheduled, running or dead."),
    _gauge(
        OLDEST_READY, _Q, "Since when the oldest ready task could run, Unix time; absent if there is none."
    ),
    _gauge(OLDEST_RUNNING, _Q, "Start of the run that runs longest, Unix time; absent if nothing runs."),
    _gauge(OLDEST_DUE, _Q, "When the first scheduled task is due, Unix time; overdue if in the past."),
    _gauge(
        INDEX_MISMATCH, _Q, "Task records minus the sum of all states; anything but 0 is a fault to report."
    ),
    _gauge(PAUSED, _Q, "1 while the queue is paused and nothing new begins, else 0."),
    _gauge(
        LOCKS,
        _Q,
        "Locks that are taken; one whose time is over counts until somebody asks for it.",
    ),
    _gauge(
        WORKERS,
        ("queue", "state"),
        "Workers, busy or idle, of consumers whose last heartbeat is younger than 3 intervals. A consumer "
        "counts once for each queue that it serves.",
    ),
    Metric(
        CONSUMER_INFO,
        "info",
        Section.REDIS,
        ("queue", "consumer", "host", "version"),
        "A consumer that is known to the queue; always 1, gone when the consumer is forgotten.",
    ),
    _gauge(HEARTBEAT, ("queue", "consumer"), "Last heartbeat of a consumer, Unix time by Redis' clock."),
    _gauge(
        ABANDONED,
        ("queue", "consumer"),
        "Threads that a consumer gave up since it began, stuck in tasks that would not stop when their time was over.",
    ),
    _gauge(PERIODIC_SUCCESS, _QT, "When a run of this periodic task last succeeded, Unix time."),
    _gauge(PERIODIC_NEXT, _QT, "When this periodic task is due next, Unix time."),
    _gauge(
        PERIODIC_UNMET,
        _QT,
        "First due time of this periodic task for which no run has succeeded yet, Unix time; 0 if there is none.",
    ),
    _gauge(
        PERIODIC_GRACE, _QT, "How long after that a run of it must have succeeded, as its declaration says."
    ),
    _gauge(SCHEDULER_CHECK, _Q, "The minute in which a scheduler last checked periodic tasks, Unix time."),
    _gauge(MEMORY_USED, ("redis",), "Memory that Redis uses."),
    _gauge(MEMORY_MAX, ("redis",), "Memory that Redis may use; 0 means no limit."),
    _gauge(
        EVICTION_SAFE,
        ("redis",),
        "1 if a full Redis refuses writes; 0 if it would drop keys, and tasks with them.",
    ),
)

_ABOUT_EXPORTER: Final = (
    Metric(
        REDIS_UP, "gauge", Section.EXPORTER, ("redis",), "Whether Redis answered this scrape (1) or not (0)."
    ),
    Metric(BUILD_INFO, "info", Section.EXPORTER, ("version",), "Version of the exporter; always 1."),
    _own(
        READY, (), "Whether the exporter has caught up with every queue since its start (1) or not yet (0)."
    ),
    _own(
        QUEUE_CURRENT,
        _Q,
        "1: this scrape holds all events told before it. 0: the queue is behind or cannot be reached, and "
        "its metrics from events are left out rather than served old.",
    ),
    _own(
        EVENTS_LOST, _Q, "Events that were told but never read: trimmed too early, or dropped by an emitter."
    ),
    _own(ROLLBACKS, _Q, "Times the stream went back: restart without persistence, failover or FLUSHALL."),
    _own(
        MALFORMED, ("queue", "reason"), "Events, or values in them, that could not be used and were skipped."
    ),
    _own(
        SET_ASIDE,
        _Q,
        "Snapshots that could not be read and were set aside: counting went on from what the stream still held.",
    ),
    _own(
        READERS_FORGOTTEN,
        _Q,
        "Readers of the stream, exporters mostly, that were not seen for longer than the queue keeps events: the "
        "stream waits for them no longer. Counted by whoever noticed.",
    ),
    _own(
        GROUP_AGREES,
        _Q,
        "1: all exporters of the group have the same buckets and limits. 0: another one that saves this queue's "
        "snapshot has others, so the two serve different numbers; give both the same --config-file.",
    ),
    _own(
        QUEUES_LEFT_OUT,
        (),
        "Queues that are not served, because there are more than may be.",
    ),
    _own(LAG_EVENTS, _Q, "Events not yet folded when the scrape arrived."),
    _own(LAG_SECONDS, _Q, "Age of the folded position against the newest event when the scrape arrived."),
    _own(SNAPSHOT_TIME, _Q, "When the state of this queue was last saved, Unix time."),
    _own(SNAPSHOT_FAILURES, (), "Snapshots that could not be saved."),
    _own(REPLAY_SECONDS, (), "How long the last catch-up after a start took."),
    _own(SERIES, (), "Series kept from events; one histogram counts once per label set."),
    _own(OVERFLOW, ("queue", "metric"), "Updates counted as _other because a label had too many values."),
    _own(SPANS_EXPORTED, (), "Spans that the collector accepted."),
    _own(
        SPANS_DROPPED,
        ("reason",),
        "Spans not exported: unsampled (its trace is not recorded), rejected (by the collector), poison (no "
        "collector would take it), trimmed (events gone before they were read).",
    ),
    _own(SPAN_FAILURES, ("code",), "Exports that failed and are repeated, by HTTP or gRPC status."),
    _own(SPAN_LAG, _Q, "Age of the oldest event whose span is still to be sent; 0 when there is none."),
    _own(
        PUSHES,
        ("code",),
        "Requests with metrics by OTLP, by HTTP or gRPC status; rejected: taken, but not all of it.",
    ),
    _own(
        SPAN_LEADER,
        _Q,
        "Whether this exporter is the one of its group that sends the queue's spans (1) or not (0).",
    ),
    _own(COLLECTOR_SECONDS, ("collector",), "How long a part of this scrape took."),
    _own(COLLECTOR_SUCCESS, ("collector",), "Whether a part of this scrape succeeded (1) or not (0)."),
    _own(
        CLOCK_SKEW,
        ("host",),
        "By how much the clock of a consumer's host is ahead of Redis' clock; negative if it is behind. At most a day.",
    ),
    _own(RECONNECTS, (), "Times Redis was found again after it had been away."),
    Metric(
        SOURCE_INFO,
        "info",
        Section.EXPORTER,
        ("queue", "mode"),
        "How a queue that is not read from its stream is heard of; always 1. mode=pubsub: losses are not known, "
        "totals start at 0 with the exporter, and two exporters differ.",
    ),
    _own(
        SUBSCRIBED,
        _Q,
        "Whether the channel of a queue that is heard of by pub/sub is subscribed to (1) or not (0).",
    ),
    _own(
        SUBSCRIPTION_BREAKS,
        _Q,
        "Times a pub/sub subscription broke: what was told until the next one is lost, nobody knows how much.",
    ),
    _own(
        PAGE_VIEWERS,
        (),
        "Browsers that watch the live page now. Absent with --no-web.page.",
    ),
    _own(
        WEB_CONFIG_TAKEN,
        (),
        "1: the file of --web.config.file is in force as it is. 0: it changed, is wrong, and the version before "
        "stays. Absent without one.",
    ),
)

CATALOG: Final[Mapping[str, Metric]] = {
    metric.name: metric for metric in (*_FROM_EVENTS, *_FROM_REDIS, *_ABOUT_EXPORTER)
}

KEPT_PER_QUEUE: Final = frozenset({EVENTS_LOST, ROLLBACKS, MALFORMED, OVERFLOW, SET_ASIDE})
"""About the exporter, yet part of a queue's state: they survive restarts with it."""
