"""The public face: a queue, the tasks declared on it, and what can be done with both."""

from __future__ import annotations

import datetime as dt
import functools
import inspect
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Generic, ParamSpec, TypeVar, overload
from uuid import UUID

from . import wire
from .crontab import Schedule, validated
from .emitter import RedisEventEmitter, Speaker, fragment, service_of
from .errors import ConfigurationError, NotConfirmed, OutcomeUnknown, RedisError
from .keys import QueueKeys
from .results import Result
from .storage.address import Address
from .storage.base import Parcel
from .storage.durability import CONFIRMATIONS, Durability
from .storage.redis import RedisStorage
from .task import Registered, Registry, Task, TaskOptions, as_seconds, as_timestamp, checked_id
from .tracecontext import new_span_id, parent_of_enqueue

P = ParamSpec("P")
R = TypeVar("R")


DEFAULT_EMITTER: Final = RedisEventEmitter()
When = float | dt.timedelta | dt.datetime


class TaskWrapper(Generic[P, R]):
    """A declared task. Calling it enqueues; `call_local` runs it here and now.

    Attributes:
        func: The function as it was declared.
        options: How the task is treated.
        queue: Where it is enqueued.
    """

    def __init__(self, queue: RedisQueue, func: Callable[P, R], options: TaskOptions) -> None:
        self.queue = queue
        self.func = func
        self.options = options
        self._signature = _signature(func)
        functools.update_wrapper(self, func)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result[R]:
        """Enqueue a call and return its result handle."""
        return self.queue.enqueue(self.s(*args, **kwargs))

    def s(self, *args: P.args, **kwargs: P.kwargs) -> Task:
        """A call that is not enqueued yet; hand it to `queue.enqueue`.

        Raises TypeError where the function could not be called so; a delay is for `schedule`.
        """
        if self._signature is not None:
            self._signature.bind(*args, **kwargs)
        return Task(options=self.options, args=args, kwargs=dict(kwargs))

    def schedule(
        self,
        args: Iterable[Any] | When | None = None,
        kwargs: Mapping[str, Any] | None = None,
        eta: dt.datetime | None = None,
        delay: float | dt.timedelta | None = None,
        priority: int | None = None,
        retries: int | None = None,
        retry_delay: float | None = None,
        retry_backoff: float | None = None,
        id: str | UUID | None = None,  # noqa: A002 - Huey's name
    ) -> Result[R]:
        """Enqueue a call to be run later, or with other options than declared.

        Args:
            args: Positional arguments; a lone number, timedelta or datetime is taken as delay or eta.
            kwargs: Keyword arguments.
            eta: When it may run (aware, or naive in the server's local time).
            delay: Seconds (or a timedelta) until it may run, by Redis' clock.
            priority: In place of the declared one; likewise the next three.
            retries: How often a failed run is tried again.
            retry_delay: Seconds before the first retry.
            retry_backoff: Multiplier of each further delay.
            id: UUID of the task, for callers that must know it beforehand.
        """
        if isinstance(args, dt.datetime):
            args, eta = None, args
        elif isinstance(args, int | float | dt.timedelta):
            args, delay = None, args
        if eta is not None and delay is not None:
            raise ConfigurationError(f"{self.options.name}: give eta or delay, not both")
        changed: dict[str, Any] = {
            "priority": priority,
            "retries": retries,
            "retry_delay": retry_delay,
            "retry_backoff": retry_backoff,
        }
        options = replace(self.options, **{key: value for key, value in changed.items() if value is not None})
        task = Task(
            options=options,
            args=tuple(args or ()),
            kwargs=dict(kwargs or {}),
            id=checked_id(id),
            execute_at=None if eta is None else as_timestamp(eta),
            delay=None if delay is None else as_seconds(delay),
        )
        return self.queue.enqueue(task)

    def call_local(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now, without the queue."""
        return self.func(*args, **kwargs)

    def unregister(self) -> bool:
        """Forget the task in this process; False if it was forgotten already."""
        return self.queue.registry.remove(self.options.name)


class RedisQueue:
    """A queue in Redis.

    Args:
        name: 1 to 100 of ``A-Za-z0-9._-``.
        url: ``redis://…``, ``rediss://…``, ``unix://…``, ``redis+sentinel://…`` or ``redis+cluster://…``, see
            docs/redis.md; by default ``LIMELIGHT_REDIS_URL``, then localhost.
        results: Whether return values are stored.
        result_ttl: Seconds (or a timedelta) that a result stays.
        events: False writes no event at all: a little faster, and invisible to the exporter.
        emitter: How many events are kept and where they are published; None is the same as ``events=False``.
        serializer: `wire.MessagePack` (default) or `wire.SignedPickle`.
        service_name: ``service.name`` in traces, unless ``OTEL_SERVICE_NAME`` is set; else the queue's name.
        max_redeliveries: How many lost workers a task may survive before it is a dead letter.
        patience: Seconds that an enqueue may wait for a Redis that cannot be reached, or that refuses for a while
            (a failover, a full disk); 0 fails at once.
        durability: What an enqueue waits for: ``memory`` of Redis, one ``replica``, or Redis' ``disk``.
        redis_options: Passed to redis-py's connections: ``host``, ``port``, ``db``, ``password``, ``ssl_…``.

    Attributes:
        name: The queue's name.
        storage: Iterable of live events; see `RedisStorage`.
        registry: The tasks declared in this process.
    """

    def __init__(
        self,
        name: str = "limelight",
        url: str | None = None,
        *,
        results: bool = True,
        result_ttl: float | dt.timedelta = 86_400,
        events: bool = True,
        emitter: RedisEventEmitter | None = DEFAULT_EMITTER,
        serializer: wire.Serializer | None = None,
        service_name: str | None = None,
        max_redeliveries: int = 3,
        patience: float = 0.0,
        durability: Durability = "memory",
        **redis_options: Any,
    ) -> None:
        self.keys = QueueKeys(name)
        self.name = name
        self.results = results
        self.result_ttl_ms = max(1, round(as_seconds(result_ttl) * 1000))
        self.serializer = serializer or wire.MessagePack()
        self.max_redeliveries = max_redeliveries
        self.registry = Registry(name)
        self._service = service_of(os.environ, service_name or name)
        self._speaker: Speaker | None = None
        if not url and not redis_options.keys() & {"host", "path", "connection_class"}:
            url = os.environ.get("LIMELIGHT_REDIS_URL") or "redis://localhost:6379/0"
        if durability not in CONFIRMATIONS:
            raise ConfigurationError(f"durability {durability!r}: take one of {', '.join(CONFIRMATIONS)}")
        self.storage = RedisStorage(
            Address(url, redis_options),
            self.keys,
            emitter=emitter if events else None,
            speaker=lambda: self.speaker,
            patience_seconds=patience,
            durability=durability,
        )

    def __repr__(self) -> str:
        return f"RedisQueue({self.name!r} at {self.storage.address.shown})"

    @property
    def speaker(self) -> Speaker:
        """Who this process is in events; another one after a fork."""
        if self._speaker is None or self._speaker.pid != os.getpid():
            self._speaker = Speaker(self._service)
        return self._speaker

    # -- Declaring --------------------------------------------------------------------------------------
    @overload
    def task(self, retries: Callable[P, R]) -> TaskWrapper[P, R]: ...

    @overload
    def task(
        self,
        retries: int = 0,
        retry_delay: float = 0,
        retry_backoff: float = 0,
        priority: int | None = None,
        name: str | None = None,
    ) -> Callable[[Callable[P, R]], TaskWrapper[P, R]]: ...

    def task(
        self,
        retries: int | Callable[P, R] = 0,
        retry_delay: float = 0,
        retry_backoff: float = 0,
        priority: int | None = None,
        name: str | None = None,
    ) -> Callable[[Callable[P, R]], TaskWrapper[P, R]] | TaskWrapper[P, R]:
        """Declare a function as a task of this queue; see `TaskOptions`. Its name is by default the function's."""
        if callable(retries):  # @queue.task, without parentheses
            return self.task()(retries)
        tries = retries

        def declare(func: Callable[P, R]) -> TaskWrapper[P, R]:
            function = func.func if isinstance(func, TaskWrapper) else func
            if inspect.iscoroutinefunction(function):
                raise ConfigurationError(
                    f"{function.__qualname__} is async: workers run plain functions only"
                )
            options = TaskOptions(
                name=name or function.__name__,
                retries=tries,
                retry_delay=retry_delay,
                retry_backoff=retry_backoff,
                priority=priority or 0,
            )
            self.registry.add(Registered(options, function))
            return TaskWrapper(self, function, options)

        return declare

    def periodic_task(
        self,
        validate_datetime: Schedule | Callable[[dt.datetime], bool],
        retries: int = 0,
        retry_delay: float = 0,
        retry_backoff: float = 0,
        priority: int | None = None,
        name: str | None = None,
    ) -> Callable[[Callable[[], R]], TaskWrapper[[], R]]:
        """Declare a function that runs by itself, whenever `validate_datetime` (a `crontab`, say) is due.

        However many consumers run, each due time runs it once. Its return value is not stored. A due time
        that passed while no consumer ran is made up for once: the latest one.
        """
        schedule = validated(validate_datetime)

        def declare(func: Callable[[], R]) -> TaskWrapper[[], R]:
            wrapper = self.task(retries, retry_delay, retry_backoff, priority, name)(func)
            self.registry.remove(wrapper.options.name)
            self.registry.add(Registered(wrapper.options, wrapper.func, schedule))
            return wrapper

        return declare

    # -- Enqueueing -------------------------------------------------------------------------------------
    def enqueue(self, task: Task) -> Result[Any]:
        """Put a call on the queue.

        Raises:
            CannotCarry: An argument does not fit the wire format; the message names it.
            RedisUnavailable: Redis cannot be reached; nothing was enqueued.
            OutcomeUnknown: The answer never came. Enqueueing the very same task again is safe.
            RedisRefused: Redis answered with an error; nothing was enqueued.
            NotConfirmed: It is on the queue, but not known to be as safe as `durability` asks for.
        """
        parcel = self.parcel(task)
        task.receipt = task.receipt or self.storage.new_receipt("enqueue")  # kept until we know how it went
        try:
            self.storage.enqueue([parcel], task.receipt)
        except OutcomeUnknown as error:
            raise OutcomeUnknown(
                f"task {task.id} ({task.name}) may or may not be on queue {self.name!r}: {error}. "
                "Enqueueing the same task object again is safe.",
                task.id,
            ) from error
        except NotConfirmed as error:
            raise NotConfirmed(
                f"task {task.id} ({task.name}) is on queue {self.name!r}, but {error}: a failover or a crash may "
                "lose it. Enqueueing the same task object again asks again.",
                task.id,
            ) from error
        except (RedisError, ConfigurationError):
            task.receipt = None
            raise
        task.receipt = None
        return self.result_handle(task.id)

    def parcel(self, task: Task, periodic: str = "") -> Parcel:
        """Encode a call; raises CannotCarry."""
        parent = parent_of_enqueue()
        trace_state = parent.state if parent else ""
        body = wire.encode_call(
            task.name,
            task.args,
            task.kwargs,
            serializer=self.serializer,
            retry_backoff=task.options.retry_backoff,
            trace_state=trace_state,
        )
        now_ns = time.time_ns()
        started_at = parent.started_at if parent else None
        links = {"parent_span_id": parent.span_id} if parent else {}
        return Parcel(
            id=task.id,
            name=task.name,
            body=body,
            retries=task.options.retries,
            retry_delay=task.options.retry_delay,
            priority=task.options.priority,
            max_redeliveries=self.max_redeliveries,
            trace_id=parent.trace_id if parent else UUID(task.id).hex,
            span_id=new_span_id(),
            trace_flags=parent.flags if parent else 1,
            trace_state=trace_state,
            traced_at=now_ns / 1e9 if started_at is None else started_at,
            span_start_ns=now_ns,
            where=fragment(links) + self.speaker.where,
            execute_at=task.execute_at,
            delay=task.delay,
            periodic=periodic,
        )

    # -- Results ----------------------------------------------------------------------------------------
    def result_handle(self, task_id: str) -> Result[Any]:
        """A handle on a task that was enqueued before, perhaps by another process."""
        return Result(self.storage, self.serializer, task_id)

    def result(
        self,
        id: str,  # noqa: A002 - Huey's name
        blocking: bool = False,
        timeout: float | None = None,
        backoff: float = 1.15,
        max_delay: float = 1.0,
        revoke_on_timeout: bool = False,
        preserve: bool = True,
    ) -> Any:
        """Read the result of a task by its id; the arguments are those of `Result.get`."""
        return self.result_handle(id).get(blocking, timeout, backoff, max_delay, revoke_on_timeout, preserve)

    def revoke_by_id(self, id: str | Sequence[str], revoke_until: dt.datetime | None = None) -> int:  # noqa: A002
        """Have tasks end as revoked when a worker pulls them; returns how many of them are on the queue."""
        until = None if revoke_until is None else as_timestamp(revoke_until)
        return self.storage.revoke([id] if isinstance(id, str) else list(id), until)

    def restore_by_id(self, id: str | Sequence[str]) -> int:  # noqa: A002
        """Undo `revoke_by_id`; returns how many were revoked."""
        return self.storage.restore([id] if isinstance(id, str) else list(id))

    def is_revoked(self, task: str | Task | Result[Any]) -> bool:
        """Whether a task (or its id, or its result handle) would end as revoked if a worker pulled it now."""
        return self.storage.is_revoked(task if isinstance(task, str) else task.id)

    def close(self) -> None:
        """Close this thread's connections."""
        self.storage.close()


def _signature(func: Callable[..., Any]) -> inspect.Signature | None:
    """What the function can be called with; None for builtins that do not say."""
    try:
        return inspect.signature(func)
    except (TypeError, ValueError):
        return None


RedisHuey = RedisQueue
"""The name in the document that Limelight was born from."""
