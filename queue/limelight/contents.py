"""What lies on a queue, read back as values: a task's call, and where the task is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import wire
from .errors import ConfigurationError, UndecodableMessage
from .lifecycle import State
from .storage.stored import Record, Stored
from .task import Task, TaskOptions


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of a stored call.

    Attributes:
        args, kwargs: What the function would get; empty where `hidden` says why they cannot be shown.
        hidden: Why not, "" where they are shown.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] | None = None
    hidden: str = ""

    def __str__(self) -> str:
        """As they stand in a call: ``1, 'a', to='x'``; or why they are not shown, in brackets."""
        if self.hidden:
            return f"[{self.hidden}]"
        try:
            named = (f"{name}={value!r}" for name, value in (self.kwargs or {}).items())
            return ", ".join([*map(repr, self.args), *named])
        except Exception as error:  # an integer of thousands of digits, an object's own repr
            return f"[cannot be shown: {error}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """Where a task is. Times are Unix seconds by Redis' clock.

    Attributes:
        id: UUID text.
        task: Friendly name; None where its record cannot be read.
        state: Where it is.
        since: When it came there: became ready, was started, was buried, was enqueued for later; None where that
            is not kept (a back-off, an unreadable record).
        due: When it may run, None for at once.
        run: How often it was started.
        attempt, max_attempts: Of its present life.
        retries: How many remain.
        redeliveries: How many lost workers it survived.
        revoked_until: When its revoked mark ends, infinity for good, None if it has none.
        lease_until: When the worker that holds it is given up, unless it is heard of again.
        host, worker: Where it runs, or ran last.
    """

    id: str
    task: str | None
    state: State
    since: float | None = None
    due: float | None = None
    run: int = 0
    attempt: int = 0
    max_attempts: int = 0
    retries: int = 0
    redeliveries: int = 0
    revoked_until: float | None = None
    lease_until: float | None = None
    host: str | None = None
    worker: str | None = None


def state_of(stored: Stored) -> TaskState:
    """Where a stored task is; one that is unreadable counts as dead, which it will be when it is touched."""
    record, state = stored.record, stored.state or State.DEAD
    if record is None:
        return TaskState(id=stored.id, task=None, state=state, since=_seconds(stored.buried_us))
    return TaskState(
        id=stored.id,
        task=record.name,
        state=state,
        since=_since(stored, record),
        due=record.due if state in {State.DELAYED, State.SCHEDULED} else None,
        run=record.run,
        attempt=record.attempt,
        max_attempts=record.max_attempts,
        retries=record.retries,
        redeliveries=record.redeliveries,
        revoked_until=record.revoked_until,
        lease_until=record.deadline,
        host=record.place.host,
        worker=record.place.worker,
    )


def _since(stored: Stored, record: Record) -> float | None:
    match stored.state:
        case State.READY | State.RESERVED:
            return record.ready_at
        case State.RUNNING:
            return record.started_at
        case State.DEAD:
            return _seconds(stored.buried_us)
        case State.DELAYED:
            return record.enqueued_at
        case State.SCHEDULED if record.run == 0:
            return record.enqueued_at
    return None


def _seconds(micros: int | None) -> float | None:
    return None if micros is None else micros / 1e6


def arguments_of(record: Record, serializer: wire.Serializer) -> Arguments:
    """Decode the arguments of a stored call, or say why they cannot be shown."""
    try:
        message = wire.decode_message(record.body)
    except UndecodableMessage as error:
        return Arguments(hidden=str(error))
    if message.codec != serializer.name:
        signed = message.codec == wire.SignedPickle.name
        return Arguments(
            hidden="signed, not shown" if signed else f"written with {message.codec!r}, not shown"
        )
    try:
        args, kwargs = wire.decode_arguments(message, serializer)
    except UndecodableMessage as error:
        return Arguments(hidden=str(error))
    return Arguments(tuple(args), kwargs)


def task_of(stored: Stored, serializer: wire.Serializer) -> Task | None:
    """A stored task as the object that was enqueued; None for what cannot be read back as one."""
    record = stored.record
    if record is None:
        return None
    arguments = arguments_of(record, serializer)
    if arguments.hidden:
        return None
    message = wire.decode_message(record.body)
    try:
        options = TaskOptions(
            name=record.name,
            retries=record.retries,
            retry_delay=record.retry_delay,
            retry_backoff=message.retry_backoff,
            retry_max_delay=message.backoff.longest_seconds,
            retry_jitter=message.backoff.jitter,
            priority=record.priority,
            timeout=message.timeout or None,
        )
    except ConfigurationError:
        return None
    return Task(
        options=options,
        args=arguments.args,
        kwargs=dict(arguments.kwargs or {}),
        id=stored.id,
        execute_at=record.due,
    )
