"""The public face: a queue, the tasks declared on it, and what can be done with both."""

from __future__ import annotations

import datetime as dt
import functools
import inspect
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final, Generic, ParamSpec, TypeVar, overload
from uuid import UUID

from . import wire
from .callbacks import Callbacks
from .catch_up import CatchUp, policy
from .emitter import RedisEventEmitter, Speaker, fragment, service_of
from .errors import CannotCarry, ConfigurationError, OutcomeUnknown, RedisError
from .execution import RESULT_LIMIT_BYTES, Surroundings
from .keys import QueueKeys
from .results import Result
from .retry import LONGEST_DELAY_SECONDS
from .schedule import Schedule, is_due, validated
from .signals import SIGNAL_ENQUEUED
from .storage.base import Parcel
from .storage.link import Address
from .storage.redis import RedisStorage
from .task import Registered, Registry, Task, TaskOptions, as_seconds, as_timestamp, checked_id
from .tracecontext import new_span_id, parent_of_enqueue

P = ParamSpec("P")
R = TypeVar("R")


DEFAULT_EMITTER: Final = RedisEventEmitter()
MESSAGE_LIMIT_BYTES: Final = 1024 * 1024
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
        self._signature = _signature(func, options)
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
        *,
        retry_max_delay: float | None = None,
        retry_jitter: float | None = None,
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
            retry_max_delay: Seconds that no retry waits longer than.
            retry_jitter: How much of each delay chance may take away, 0 to 1.
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
            "retry_max_delay": retry_max_delay,
            "retry_jitter": retry_jitter,
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

    @property
    def settings(self) -> Mapping[str, Any]:
        """What was declared beside the options."""
        return self.options.settings

    @property
    def is_periodic(self) -> bool:
        """Whether it runs by itself."""
        return self.options.name in self.queue.registry.periodic

    def validate_datetime(self, timestamp: dt.datetime) -> bool:
        """Whether it is due in the minute of a time, aware or by its schedule's wall clock; never unless periodic."""
        _, schedule = self.queue.registry.periodic.get(self.options.name, (None, None))
        return schedule is not None and is_due(schedule, timestamp)

    def unregister(self) -> bool:
        """Forget the task in this process; False if it was forgotten already."""
        return self.queue.registry.remove(self.options.name)


class RedisQueue(Callbacks):
    """A queue in Redis.

    Args:
        name: 1 to 100 of ``A-Za-z0-9._-``.
        url: ``redis://…``, ``rediss://…`` or ``unix://…``; by default ``LIMELIGHT_REDIS_URL``, then localhost.
        results: Whether return values are stored.
        result_ttl: Seconds (or a timedelta) that a result stays.
        events: False writes no event at all: a little faster, and invisible to the exporter.
        emitter: How many events are kept and where they are published; None is the same as ``events=False``.
        serializer: `wire.MessagePack` (default) or `wire.SignedPickle`.
        service_name: ``service.name`` in traces, unless ``OTEL_SERVICE_NAME`` is set; else the queue's name.
        max_redeliveries: How many lost workers a task may survive before it is a dead letter.
        patience: Seconds that an enqueue may wait for a Redis that cannot be reached; 0 fails at once.
        message_limit: Bytes that the message of a call may have. Redis keeps every waiting message in memory and
            copies it whenever its task moves, so what is large is better stored elsewhere.
        result_limit: Bytes that a return value may have.
        redis_options: Passed to redis-py's connections: ``host``, ``port``, ``db``, ``password``, ``ssl_…``.

    Attributes:
        name: The queue's name.
        storage: Iterable of live events; see `RedisStorage`.
        registry: The tasks declared in this process.
        surroundings: What a run of one of its tasks needs.
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
        message_limit: int = MESSAGE_LIMIT_BYTES,
        result_limit: int = RESULT_LIMIT_BYTES,
        **redis_options: Any,
    ) -> None:
        super().__init__()
        self.keys = QueueKeys(name)
        self.name = name
        self.results = results
        self.result_ttl_ms = max(1, round(as_seconds(result_ttl) * 1000))
        self.serializer = serializer or wire.MessagePack()
        self.max_redeliveries = max_redeliveries
        self.message_limit = _checked_limit("message_limit", message_limit)
        self.result_limit = _checked_limit("result_limit", result_limit)
        self.registry = Registry(name)
        self.surroundings = Surroundings(self.serializer, self.hooks, self.signals, self.result_limit)
        self._service = service_of(os.environ, service_name or name)
        self._speaker: Speaker | None = None
        if not url and not redis_options.keys() & {"host", "path", "connection_class"}:
            url = os.environ.get("LIMELIGHT_REDIS_URL") or "redis://localhost:6379/0"
        self.storage = RedisStorage(
            Address(url, redis_options),
            self.keys,
            emitter=emitter if events else None,
            speaker=lambda: self.speaker,
            patience_seconds=patience,
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
        context: bool = False,
        name: str | None = None,
        *,
        retry_max_delay: float = LONGEST_DELAY_SECONDS,
        retry_jitter: float = 0,
        **settings: Any,
    ) -> Callable[[Callable[P, R]], TaskWrapper[P, R]]: ...

    def task(
        self,
        retries: int | Callable[P, R] = 0,
        retry_delay: float = 0,
        retry_backoff: float = 0,
        priority: int | None = None,
        context: bool = False,
        name: str | None = None,
        *,
        retry_max_delay: float = LONGEST_DELAY_SECONDS,
        retry_jitter: float = 0,
        **settings: Any,
    ) -> Callable[[Callable[P, R]], TaskWrapper[P, R]] | TaskWrapper[P, R]:
        """Declare a function as a task of this queue; see `TaskOptions`. Its name is by default the function's.

        What is no option is kept as a setting, and can be read from `Task` and `TaskWrapper`.
        """
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
                retry_max_delay=retry_max_delay,
                retry_jitter=retry_jitter,
                context=context,
                settings=settings,
            )
            self.registry.add(Registered(options, function))
            return TaskWrapper(self, function, options)

        return declare

    def context_task(
        self, obj: AbstractContextManager[Any], as_argument: bool = False, **options: Any
    ) -> Callable[[Callable[..., R]], TaskWrapper[..., R]]:
        """Declare a function as a task whose every run happens inside ``with obj``.

        Args:
            obj: A context manager that can be entered again and again, by several threads at once.
            as_argument: Whether what it gives comes as the function's first argument.
            options: Whatever `task` takes.
        """

        def declare(func: Callable[..., R]) -> TaskWrapper[..., R]:
            @functools.wraps(func)
            def inside(*args: Any, **kwargs: Any) -> R:
                with obj as given:
                    return func(given, *args, **kwargs) if as_argument else func(*args, **kwargs)

            if as_argument:
                inside.__signature__ = _without_first(inspect.signature(func))  # type: ignore[attr-defined]
            wrapper: TaskWrapper[..., R] = self.task(**options)(inside)
            return wrapper

        return declare

    def periodic_task(
        self,
        validate_datetime: Schedule | Callable[[dt.datetime], bool],
        retries: int = 0,
        retry_delay: float = 0,
        retry_backoff: float = 0,
        priority: int | None = None,
        context: bool = False,
        name: str | None = None,
        *,
        catch_up: str = CatchUp.LATEST,
        **options: Any,
    ) -> Callable[[Callable[[], R]], TaskWrapper[[], R]]:
        """Declare a function that runs by itself whenever `validate_datetime` is due.

        However many consumers run, each due time runs it once. Its return value is not stored.

        Args:
            validate_datetime: A `crontab`, ``every(seconds)``, or a function that takes an aware UTC minute and
                says whether it is due.
            retries: As for `task`, and likewise the next five.
            retry_delay: Seconds before the first retry.
            retry_backoff: Multiplier of each further delay.
            priority: Higher runs first.
            context: Whether the function gets its `Task`, whose `due` says which due time it runs for.
            name: By default the function's.
            catch_up: What becomes of due times that passed while no consumer ran: "latest" runs once for the
                latest of them, "all" once for each (the newest 1,000, oldest first), "none" not at all, unless
                it is at most 60 seconds late.
            options: Whatever else `task` takes.
        """
        schedule, missed = validated(validate_datetime), policy(catch_up)

        def declare(func: Callable[[], R]) -> TaskWrapper[[], R]:
            wrapper = self.task(retries, retry_delay, retry_backoff, priority, context, name, **options)(func)
            self.registry.add(Registered(wrapper.options, wrapper.func, schedule, missed))
            return wrapper

        return declare

    def read_periodic(self, timestamp: dt.datetime) -> list[Task]:
        """Calls of the periodic tasks that are due in the minute of a time, none of them enqueued."""
        periodic = self.registry.periodic.values()
        return [Task(options=task.options) for task, schedule in periodic if is_due(schedule, timestamp)]

    # -- Enqueueing -------------------------------------------------------------------------------------
    def enqueue(self, task: Task) -> Result[Any]:
        """Put a call on the queue.

        Raises:
            CannotCarry: An argument does not fit the wire format, the message names it; or the call is larger
                than `message_limit`. Nothing was enqueued.
            RedisUnavailable: Redis cannot be reached; nothing was enqueued.
            OutcomeUnknown: The answer never came. Enqueueing the very same task again is safe.
            RedisRefused: Redis answered with an error; nothing was enqueued.
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
        except (RedisError, ConfigurationError):
            task.receipt = None
            raise
        task.receipt = None
        self.signals.send(SIGNAL_ENQUEUED, task)
        return self.result_handle(task.id)

    def parcel(self, task: Task, periodic: str = "") -> Parcel:
        """Encode a call; raises CannotCarry, also for one that is larger than the queue's limit."""
        parent = parent_of_enqueue()
        trace_state = parent.state if parent else ""
        body = wire.encode_call(
            task.name,
            task.args,
            task.kwargs,
            serializer=self.serializer,
            backoff=task.options.backoff,
            trace_state=trace_state,
            due=None if task.due is None else task.due.timestamp(),
        )
        if len(body) > self.message_limit:
            raise CannotCarry(
                f"{task.name}(): its message has {len(body):,} bytes, the limit is {self.message_limit:,}: "
                "store the data elsewhere and pass where it is, or give the queue a higher message_limit"
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


def _signature(func: Callable[..., Any], options: TaskOptions) -> inspect.Signature | None:
    """What the function can be called with, ``task`` left out if workers give it; None for builtins that do not say."""
    try:
        signature = inspect.signature(func)
    except (TypeError, ValueError):
        return None
    if not options.context:
        return signature
    try:
        signature.bind_partial(task=None)
    except TypeError:
        raise ConfigurationError(
            f"task {options.name!r} has context=True, but {func.__qualname__} takes no argument called task"
        ) from None
    return signature.replace(parameters=[one for name, one in signature.parameters.items() if name != "task"])


def _without_first(signature: inspect.Signature) -> inspect.Signature:
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _checked_limit(name: str, limit: int) -> int:
    if type(limit) is not int or limit < 1:
        raise ConfigurationError(f"{name} must be a whole number of bytes from 1, not {limit!r}")
    return limit


RedisHuey = RedisQueue
"""The name in the document that Limelight was born from."""
