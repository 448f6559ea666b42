"""A task as hooks, the handlers of signals and its own function see it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from . import wire
from .errors import ConfigurationError, UndecodableMessage, UnknownTask
from .registry import Registry
from .storage.base import Handed, Scheduled
from .task import Task, TaskOptions


def seen(
    options: TaskOptions,
    queue: str,
    one: Handed | Scheduled,
    message: wire.Message,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Task:
    """The task of a message.

    Args:
        options: Its declaration, for what its message does not say.
        queue: Name of its queue.
        one: As Redis told of it.
        message: Its message.
        args: What its function gets, positional.
        kwargs: And by keyword.

    Raises:
        UndecodableMessage: Redis holds what nobody can have enqueued.
    """
    try:
        called = _called(options, one, message)
    except ConfigurationError as error:
        raise UndecodableMessage(f"the record is not one of ours: {error}") from None
    return Task(
        options=called,
        args=tuple(args),
        kwargs=dict(kwargs),
        id=one.task_id,
        execute_at=one.execute_at or None,
        queue=queue,
        due=_moment(message.due),
    )


def _called(options: TaskOptions, one: Handed | Scheduled, message: wire.Message) -> TaskOptions:
    """The declaration, changed by what the call asked for and by what happened since."""
    backoff = message.backoff
    return replace(
        options,
        retries=one.retries,
        retry_delay=one.retry_delay,
        retry_backoff=backoff.factor,
        retry_max_delay=backoff.longest_seconds,
        retry_jitter=backoff.jitter,
        priority=one.priority,
        expires=_moment(one.expires_at or None),
        timeout=message.timeout or None,
    )


def recalled(
    registry: Registry, queue: str, serializer: wire.Serializer, one: Handed | Scheduled
) -> Task | None:
    """The task of a message whose function is not called, for signal handlers; None if nobody can read it.

    What earlier tasks would have given it is not among its arguments.
    """
    try:
        options = registry[one.name].options
        message = wire.decode_message(one.body)
        args, kwargs = wire.decode_arguments(message, serializer)
        return seen(options, queue, one, message, args, kwargs)
    except (UnknownTask, UndecodableMessage):
        return None


def _moment(seconds: float | None) -> dt.datetime | None:
    return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC)
