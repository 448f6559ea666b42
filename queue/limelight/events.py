"""The event contract: every status, and the shape that all events share.

An event is one flat JSON object. Its vocabulary is that of the document this project was born from
(thirteen statuses); what we add has the same shape. docs/events.md prints the tables below.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .slo import Objective

VERSION: Final = 1

# -- Statuses of the original contract: names and values never change ---------------------------------
EVENT_CHECKING_PERIODIC: Final = "checking-periodic"
EVENT_FINISHED: Final = "finished"
EVENT_RETRYING: Final = "retrying"
EVENT_REVOKED: Final = "revoked"
EVENT_SCHEDULED: Final = "scheduled"
EVENT_SCHEDULING_PERIODIC: Final = "scheduling-periodic"
EVENT_STARTED: Final = "started"
EVENT_ERROR_DEQUEUEING: Final = "error-dequeueing"
EVENT_ERROR_ENQUEUEING: Final = "error-enqueueing"
EVENT_ERROR_INTERNAL: Final = "error-internal"
EVENT_ERROR_SCHEDULING: Final = "error-scheduling"
EVENT_ERROR_STORING_RESULT: Final = "error-storing-result"
EVENT_ERROR_TASK: Final = "error-task"

# -- What we add -----------------------------------------------------------------------------------
EVENT_ENQUEUED: Final = "enqueued"
EVENT_LOCKED: Final = "locked"
EVENT_EXPIRED: Final = "expired"
EVENT_TIMEOUT: Final = "timeout"
EVENT_CANCELED: Final = "canceled"
EVENT_RATE_LIMITED: Final = "rate-limited"
EVENT_INTERRUPTED: Final = "interrupted"
EVENT_LOST: Final = "lost"
EVENT_REDELIVERED: Final = "redelivered"
EVENT_DEAD: Final = "dead"
EVENT_PURGED: Final = "purged"
EVENT_CONSUMER_STARTED: Final = "consumer-started"
EVENT_CONSUMER_STOPPED: Final = "consumer-stopped"

ORIGINAL_STATUSES: Final = frozenset(
    {
        EVENT_CHECKING_PERIODIC,
        EVENT_FINISHED,
        EVENT_RETRYING,
        EVENT_REVOKED,
        EVENT_SCHEDULED,
        EVENT_SCHEDULING_PERIODIC,
        EVENT_STARTED,
        EVENT_ERROR_DEQUEUEING,
        EVENT_ERROR_ENQUEUEING,
        EVENT_ERROR_INTERNAL,
        EVENT_ERROR_SCHEDULING,
        EVENT_ERROR_STORING_RESULT,
        EVENT_ERROR_TASK,
    }
)
ADDED_STATUSES: Final = frozenset(
    {
        EVENT_ENQUEUED,
        EVENT_LOCKED,
        EVENT_EXPIRED,
        EVENT_TIMEOUT,
        EVENT_CANCELED,
        EVENT_RATE_LIMITED,
        EVENT_INTERRUPTED,
        EVENT_LOST,
        EVENT_REDELIVERED,
        EVENT_DEAD,
        EVENT_PURGED,
        EVENT_CONSUMER_STARTED,
        EVENT_CONSUMER_STOPPED,
    }
)
STATUSES: Final = ORIGINAL_STATUSES | ADDED_STATUSES

# The stream carries all statuses; the live channel all but these, so that a listener sees exactly what
# the original contract promises: what the consumer does with tasks.
STREAM_ONLY_STATUSES: Final = frozenset({EVENT_ENQUEUED, EVENT_CONSUMER_STARTED, EVENT_CONSUMER_STOPPED})

CONSUMER_ERRORS: Final = frozenset(
    {
        EVENT_ERROR_DEQUEUEING,
        EVENT_ERROR_ENQUEUEING,
        EVENT_ERROR_INTERNAL,
        EVENT_ERROR_SCHEDULING,
        EVENT_ERROR_STORING_RESULT,
    }
)

# A closing event carries `outcome`: how one run of a task went.
OUTCOMES: Final = (
    "success",
    "error",
    "timeout",
    "retry",
    "locked",
    "canceled",
    "rate_limited",
    "interrupted",
    "lost",
    "result_error",
)
# The event that ends a task carries `end`: how the task as a whole went.
ENDS: Final = (
    "success",
    "result_error",
    "dead",
    "revoked",
    "expired",
    "canceled",
    "locked",
    "rate_limited",
)
FAILED_OUTCOMES: Final = frozenset({"error", "timeout", "result_error"})

UNKNOWN_TASK: Final = "_unknown"
"""What stands in ``task`` when a message names no task that the consumer knows."""

TYPE_LIMIT: Final = 256
MESSAGE_LIMIT_BYTES: Final = 1_024
TRACEBACK_LIMIT_BYTES: Final = 32_768


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False, dict=False):
    """One event as read from the stream or the channel.

    Keys that a newer version adds are ignored. Times are Unix seconds by Redis' clock, durations are
    seconds; ``span_start`` and ``span_end`` are nanoseconds of the worker's wall clock, as text.
    Which event carries what: docs/events.md.
    """

    status: str
    queue: str
    seq: int
    timestamp: float
    error: bool = False
    v: int = VERSION
    emitter: str = ""
    source: str = ""
    dropped: int = 0
    id: str | None = None
    task: str | None = None
    retries: int | None = None
    retry_delay: float | None = None
    execute_time: float | None = None
    run: int = 0
    attempt: int = 0
    max_attempts: int = 0
    priority: int = 0
    enqueued_at: float | None = None
    ready_at: float | None = None
    started_at: float | None = None
    wait: float | None = None
    due: float | None = None
    duration: float | None = None
    outcome: str | None = None
    end: str | None = None
    first_ready_at: float | None = None
    waited_seconds: float = 0.0
    ran_seconds: float = 0.0
    backed_off_seconds: float = 0.0
    parked_seconds: float = 0.0
    retries_used: int = 0
    error_type: str | None = None
    error_message: str | None = None
    traceback: str | None = None
    host: str | None = None
    pid: int | None = None
    worker: str | None = None
    service: dict[str, Any] | None = None
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    trace_flags: int = 0
    trace_state: str | None = None
    trace_started_at: float | None = None
    span_start: str | None = None
    span_end: str | None = None
    links: list[dict[str, Any]] = []
    origin: dict[str, Any] | None = None
    within: str | None = None
    span: dict[str, Any] | None = None
    arguments: dict[str, Any] = {}
    batch: int = 0
    consumer: str | None = None
    tasks: list[str] = []
    slo: dict[str, dict[str, Objective]] = {}
    workers: int | None = None
    group_id: str | None = None
    group_size: int = 0


decode: Final = msgspec.json.Decoder(Event).decode
"""Decode one event; raises ``msgspec.DecodeError`` (or its ``ValidationError``) on anything else."""
