"""What storages exchange with their callers: plain shapes, no vendor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from limelight.lifecycle import Decision
from limelight.tracecontext import new_ids


class SpanIds(NamedTuple):
    """The ids of a span."""

    trace_id: str
    span_id: str


class EnqueueSpan(NamedTuple):
    """What an `enqueued` event tells of a span.

    Attributes:
        trace_id: Of which trace.
        span_id: "" for a task of a bulk that is not its first: the bulk is one span.
        parent_span_id: "" for a root.
        links: Other spans that it stems from.
        batch: How many tasks are enqueued in it.
        within: Span id of the run whose code enqueued it, where that is not its parent.
    """

    trace_id: str
    span_id: str
    parent_span_id: str = ""
    links: tuple[SpanIds, ...] = ()
    batch: int = 1
    within: str = ""


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """A task ready to be put on the queue.

    Attributes:
        id: UUID text.
        name: Friendly task name.
        body: The message, opaque to the storage.
        retries, retry_delay, priority: As declared or asked for by the call.
        execute_at: Unix seconds, None for at once.
        delay: Seconds by Redis' clock, None for at once.
        max_redeliveries: How many lost workers it may survive.
        trace_id, span_id: Of the span that its runs are children of, its enqueue span; `span_id` "" where they are
            roots of that trace.
        trace_flags, trace_state: Of its trace.
        parent_span_id: Parent of the enqueue span, "" if it is a root.
        enqueue_span: The enqueue span where it is none with those ids.
        origin: What its runs link to, as roots.
        traced_at: Unix seconds when its trace began.
        span_start_ns: When the client began to enqueue it, by its wall clock; 0 for a task that follows another.
        where: Fragment naming host, process and service.
        periodic: Name of the periodic task that it is a run of, "" if none.
        expires_at: Unix seconds after which it must not start; None for never.
        expires_in: The same, in seconds from the moment Redis gets it.
        group: The group that it is a member of.
        gathers: Id of the group whose results it is given, "" if none.
        on_success, on_error: What is put on the queue when it has ended.
    """

    id: str
    name: str
    body: bytes
    retries: int
    retry_delay: float
    priority: int
    max_redeliveries: int
    trace_id: str
    span_id: str
    trace_flags: int
    trace_state: str
    traced_at: float
    span_start_ns: int
    where: str
    parent_span_id: str = ""
    enqueue_span: EnqueueSpan | None = None
    origin: SpanIds | None = None
    execute_at: float | None = None
    delay: float | None = None
    periodic: str = ""
    expires_at: float | None = None
    expires_in: float | None = None
    group: Membership | None = None
    gathers: str = ""
    on_success: Parcel | None = None
    on_error: Parcel | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    """A task's place in a group.

    Attributes:
        group_id: UUID text.
        place: From 0.
        size: How many members the group has.
    """

    group_id: str
    place: int
    size: int


@dataclass(frozen=True, slots=True)
class GroupParcel:
    """A group whose members are being enqueued: when the last of them has ended, its callback is enqueued.

    Attributes:
        group_id: UUID text.
        size: How many members it has.
        callback: What is given their results.
    """

    group_id: str
    size: int
    callback: Parcel


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run or settle one task: its id and the owner's token."""

    task_id: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """A task as handed to a worker.

    Attributes:
        lease: The right to it.
        started: False: reserved only; it must be started, buried or released. Unless it has ended.
        name: Friendly task name.
        run: Which execution of the task this is, from 1.
        attempt: Which attempt this is, from 1.
        retries: Retries that remain.
        retry_delay: Seconds before the next retry.
        redeliveries: How many workers were lost running it.
        trace_id, span_id: Of this run; empty until it is started.
        trace_flags: The W3C trace flags.
        traced_at: Unix seconds when the trace began.
        started_at: Unix seconds by Redis' clock, 0 until it is started.
        body: The message.
        gathers: Id of the group whose results it is given, "" if none.
        leaves: Whether others want what it leaves, be its result stored or not.
        priority: Higher runs first.
        expires_at: Unix seconds after which it must not start, 0 for never.
        execute_at: Unix seconds before which it, or its present retry, was not to run; 0 for at once.
        ended: "revoked" or "expired" if it ended so instead of being started, "" otherwise.
        input: What the task before it left, b"" if it follows none.
        heirs: Ids of the tasks that would follow its success.
    """

    lease: Lease
    started: bool
    name: str
    run: int
    attempt: int
    retries: int
    retry_delay: float
    redeliveries: int
    trace_id: str
    span_id: str
    trace_flags: int
    traced_at: float
    started_at: float
    body: bytes
    gathers: str = ""
    leaves: bool = False
    priority: int = 0
    expires_at: float = 0.0
    execute_at: float = 0.0
    ended: str = ""
    input: bytes = b""
    heirs: tuple[str, ...] = ()

    @property
    def task_id(self) -> str:
        """UUID text."""
        return self.lease.task_id


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A task that was put on the schedule.

    Attributes:
        task_id: UUID text.
        name: Friendly task name.
        retries: Retries that remain.
        retry_delay: Seconds before the next retry.
        priority: Higher runs first.
        execute_at: Unix seconds when it is due.
        expires_at: Unix seconds after which it must not start, 0 for never.
        body: The message.
    """

    task_id: str
    name: str
    retries: int
    retry_delay: float
    priority: int
    execute_at: float
    expires_at: float
    body: bytes


@dataclass(frozen=True, slots=True)
class Settlement:
    """How one run closes.

    Attributes:
        lease: The right to settle it.
        decision: What to tell and to do.
        fragment: Further keys of the closing event, and of `dead` after it.
        traceback: Traceback fragment, for the closing event alone.
        result: What it leaves: its encoded value or failure, b"" for nothing.
        about: Task keys for the event that tells when Redis refuses it.
        reason: Fragment with error type and message, for the dead letter.
        stored: Whether `Result.get` shall be able to read the result.
        heirs: Ids of the tasks that would have followed: their results take the failure.
    """

    lease: Lease
    decision: Decision
    fragment: str
    traceback: str
    result: bytes
    about: str
    reason: str = ""
    stored: bool = True
    heirs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Burial:
    """A reserved task that nobody can run.

    Attributes:
        lease: The right to it.
        reason: Fragment with error type and message.
        traceback: Fragment with the traceback.
        result: What `Result.get` will read, b"" for nothing.
    """

    lease: Lease
    reason: str
    traceback: str
    result: bytes


@dataclass(frozen=True, slots=True)
class Notice:
    """An event about no task, or about one whose state does not change."""

    status: str
    is_error: bool
    source: str
    fragment: str
    stream_only: bool = False


@dataclass(frozen=True, slots=True)
class Watched:
    """What Redis knows of a periodic task, in Unix seconds by its clock.

    Attributes:
        due: The last due time that ran, or when the task was first seen.
        decided: Up to when some scheduler decided what of it is due, 0 if none did yet.
    """

    due: float
    decided: float


@dataclass(frozen=True, slots=True)
class Reservation:
    """The answer to a reserve request.

    Attributes:
        tasks: What is the worker's now.
        ended: What ended instead, if that was asked for.
        delayed: Tasks that wait for a worker to put them on the schedule.
        ready: Tasks that are still ready.
    """

    tasks: tuple[Handed, ...]
    delayed: int
    ready: int
    ended: tuple[Handed, ...] = ()


class ReserveRequest:
    """One request for tasks; sending the very same one again is answered with the same tasks.

    Args:
        owner: Of the worker; new per process start, never from Redis.
        number: 1, 2, 3 … of this owner.
        count: How many tasks at most.
        lease_seconds: How long they are the owner's without renewal.
        names: Tasks that may be started in the same trip.
        tell_ended: Whether to be told of tasks that ended as revoked or expired instead of being started.
    """

    def __init__(
        self,
        owner: str,
        number: int,
        *,
        count: int,
        lease_seconds: float,
        names: Sequence[str],
        tell_ended: bool = False,
    ) -> None:
        self.owner = owner
        self.number = number
        self.count = count
        self.lease_seconds = lease_seconds
        self.tell_ended = tell_ended
        self.names = "\n" + "".join(f"{name}\n" for name in names) if names else ""
        self.spans = new_ids(count if names else 0)
