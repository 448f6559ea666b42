"""The public face: a queue, the tasks declared on it, and what can be done with both."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import inspect
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Generic, ParamSpec, TypeVar, overload
from uuid import UUID

from . import canvas, memory, wire
from .administration import Administered, checked_max_dead
from .canvas import Placed, Plan, Work, chord, group
from .catch_up import CatchUp, policy
from .emitter import RedisEventEmitter, Speaker, service_of
from .errors import ConfigurationError, OutcomeUnknown, RedisError
from .immediate import InlineWorker
from .keys import QueueKeys
from .locks import TaskLock
from .rate_limit import RateLimit
from .results import ChordResult, Result, ResultGroup, mark
from .retry import LONGEST_DELAY_SECONDS
from .schedule import Schedule, is_due, validated
from .slo import Slo, objectives
from .storage.address import Address
from .storage.base import GroupParcel, Membership, Parcel
from .storage.redis import RedisStorage
from .task import (
    DEFAULT_GRACE_SECONDS,
    Registered,
    Registry,
    Task,
    TaskOptions,
    as_seconds,
    as_timestamp,
    checked_id,
    held_to,
)
from .tracecontext import new_span_id, parent_of_enqueue

P = ParamSpec("P")
R = TypeVar("R")


DEFAULT_EMITTER: Final = RedisEventEmitter()
When = float | dt.timedelta | dt.datetime

ENQUEUE_BATCH: Final = 500
"""How many calls `enqueue_many` sends in one write: Redis does nothing else meanwhile."""

_TREATMENT: Final = frozenset(
    {
        *(
            "eta",
            "delay",
            "priority",
            "retries",
            "retry_delay",
            "retry_backoff",
            "retry_max_delay",
            "retry_jitter",
        ),
        *("expires", "timeout", "id"),
    }
)


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
        """Enqueue a call and return its result handle; raises TypeError where the function could not be called so."""
        self._check(args, kwargs)
        task = Task(options=self.options, args=args, kwargs=kwargs, queue=self.queue.name)
        return self.queue.enqueue_call(task)

    def s(self, *args: Any, **kwargs: Any) -> Task:
        """A call that is not enqueued yet; hand it to `queue.enqueue`, or let it follow another (`Task.then`).

        Keyword arguments named like those of `schedule` (``eta``, ``delay``, ``priority``, ``retries``,
        ``retry_delay``, ``retry_backoff``, ``expires``, ``timeout``, ``id``) treat the call and are not handed to the
        function. Raises TypeError for arguments that the function could not take; missing ones may be what an
        earlier call adds.
        """
        treatment = {key: kwargs.pop(key) for key in _TREATMENT & kwargs.keys()}
        self._check(args, kwargs, partial=True)
        return self._call(args, kwargs, **treatment)

    def _call(
        self,
        args: Iterable[Any],
        kwargs: Mapping[str, Any],
        *,
        eta: dt.datetime | None = None,
        delay: float | dt.timedelta | None = None,
        id: str | UUID | None = None,  # noqa: A002 - Huey's name
        **changed: Any,
    ) -> Task:
        if eta is not None and delay is not None:
            raise ConfigurationError(f"{self.options.name}: give eta or delay, not both")
        changes = {key: value for key, value in changed.items() if value is not None}
        return Task(
            options=replace(self.options, **changes) if changes else self.options,
            args=tuple(args),
            kwargs=dict(kwargs),
            id=checked_id(id),
            execute_at=None if eta is None else as_timestamp(eta),
            delay=None if delay is None else as_seconds(delay),
            queue=self.queue.name,
        )

    def _check(self, args: Sequence[Any], kwargs: Mapping[str, Any], *, partial: bool = False) -> None:
        if self._signature is None:
            return
        bind = self._signature.bind_partial if partial else self._signature.bind
        try:
            bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.options.name}(): {error}") from None

    def map(self, calls: Iterable[Any]) -> ResultGroup:
        """Enqueue one call per item, in one write; a tuple is taken as several positional arguments."""
        tasks = [self.s(*item) if isinstance(item, tuple) else self.s(item) for item in calls]
        return self.queue.enqueue_many(tasks)

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
        expires: float | dt.timedelta | dt.datetime | None = None,
        timeout: float | None = None,
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
            expires: When it is too late to start it.
            timeout: Seconds that one run may take.
            id: UUID of the task, for callers that must know it beforehand.
            retry_max_delay: Seconds that no retry waits longer than.
            retry_jitter: How much of each delay chance may take away, 0 to 1.
        """
        if isinstance(args, dt.datetime):
            args, eta = None, args
        elif isinstance(args, int | float | dt.timedelta):
            args, delay = None, args
        task = self._call(
            args or (),
            kwargs or {},
            eta=eta,
            delay=delay,
            id=id,
            priority=priority,
            retries=retries,
            retry_delay=retry_delay,
            retry_backoff=retry_backoff,
            retry_max_delay=retry_max_delay,
            retry_jitter=retry_jitter,
            expires=expires,
            timeout=timeout,
        )
        return self.queue.enqueue_call(task)

    def revoke(self, revoke_until: dt.datetime | None = None, revoke_once: bool = False) -> None:
        """Have every task of this name end as revoked when a worker pulls it, or only the next one."""
        self.queue.storage.revoke([f"@{self.options.name}"], mark(revoke_until, once=revoke_once))

    def restore(self) -> bool:
        """Undo `revoke`; False if the name was not revoked."""
        return self.queue.storage.restore([f"@{self.options.name}"]) == 1

    def is_revoked(self) -> bool:
        """Whether tasks of this name would end as revoked if a worker pulled one now."""
        return self.queue.storage.is_revoked([f"@{self.options.name}"])

    def call_local(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now, without the queue."""
        return self.func(*args, **kwargs)

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


class RedisQueue(Administered):
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
        max_dead: How many dead letters are kept; beyond it consumers purge the oldest. None keeps all.
        slo: What all its tasks are held to, unless they say otherwise; see `task`.
        patience: Seconds that an enqueue may wait for a Redis that cannot be reached, or that refuses for a while
            (a failover, a full disk); 0 fails at once.
        immediate: Whether tasks run where they are enqueued, at once; see the property.
        immediate_use_memory: Whether the queue is one in memory while it is immediate.
        redis_options: Passed to redis-py's connections: ``host``, ``port``, ``db``, ``password``, ``ssl_…``.

    Attributes:
        name: The queue's name.
        slo: What its tasks are held to, as `task` declares them.
        storage: Iterable of live events; see `RedisStorage`. Another one while the queue is immediate.
        immediate_use_memory: As given; looked at whenever `immediate` is set.
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
        max_dead: int | None = 10_000,
        slo: Slo | None = None,
        patience: float = 0.0,
        immediate: bool = False,
        immediate_use_memory: bool = True,
        **redis_options: Any,
    ) -> None:
        self.keys = QueueKeys(name)
        self.name = name
        self.results = results
        self.result_ttl_ms = max(1, round(as_seconds(result_ttl) * 1000))
        self.serializer = serializer or wire.MessagePack()
        self.max_redeliveries = max_redeliveries
        self.max_dead = checked_max_dead(max_dead)
        self.slo = objectives(slo)
        self.registry = Registry(name)
        self._service = service_of(os.environ, service_name or name)
        self._speaker: Speaker | None = None
        if not url and not redis_options.keys() & {"host", "path", "connection_class"}:
            url = os.environ.get("LIMELIGHT_REDIS_URL") or "redis://localhost:6379/0"
        self._storage_at = functools.partial(
            RedisStorage,
            keys=self.keys,
            emitter=emitter if events else None,
            speaker=lambda: self.speaker,
            patience_seconds=patience,
        )
        self._own_storage = self._storage_at(Address(url, redis_options))
        self.storage: RedisStorage = self._own_storage
        self.immediate_use_memory = immediate_use_memory
        self._inline: InlineWorker | None = None
        self.immediate = immediate

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r} at {self.storage.address.shown})"

    @property
    def immediate(self) -> bool:
        """Whether tasks run where they are enqueued, at once, in the caller's thread; may be set at any time.

        Each takes the same steps as in a consumer. Retries follow at once; what is to run later is put on the
        schedule and stays there. Unless ``immediate_use_memory=False`` the queue is in memory meanwhile, and empty
        whenever that is switched on. Handles of results go on reading where their task ran.
        """
        return self._inline is not None

    @immediate.setter
    def immediate(self, on: bool) -> None:
        if on == self.immediate:
            return
        self._inline = InlineWorker(self) if on else None
        if on and self.immediate_use_memory:
            self.storage = self._storage_at(Address(None, memory.in_memory()))
        else:
            self.storage = self._own_storage

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
        expires: float | dt.timedelta | dt.datetime | None = None,
        timeout: float | None = None,
        *,
        retry_max_delay: float = LONGEST_DELAY_SECONDS,
        retry_jitter: float = 0,
        slo: Slo | None = None,
    ) -> Callable[[Callable[P, R]], TaskWrapper[P, R]]: ...

    def task(
        self,
        retries: int | Callable[P, R] = 0,
        retry_delay: float = 0,
        retry_backoff: float = 0,
        priority: int | None = None,
        name: str | None = None,
        expires: float | dt.timedelta | dt.datetime | None = None,
        timeout: float | None = None,
        *,
        retry_max_delay: float = LONGEST_DELAY_SECONDS,
        retry_jitter: float = 0,
        slo: Slo | None = None,
    ) -> Callable[[Callable[P, R]], TaskWrapper[P, R]] | TaskWrapper[P, R]:
        """Declare a function as a task of this queue; see `TaskOptions`. Its name is by default the function's.

        `slo` is what it is held to, in place of what the queue says: ``{"wait": (5, 0.99), "duration": (1, 0.95),
        "latency": (60, 0.99), "success": 0.999}``, each a threshold in seconds and the share that must keep it.
        """
        if callable(retries):  # @queue.task, without parentheses
            return self.task()(retries)
        tries = retries

        def declare(func: Callable[P, R]) -> TaskWrapper[P, R]:
            function = func.func if isinstance(func, TaskWrapper) else func
            options = TaskOptions(
                name=name or function.__name__,
                retries=tries,
                retry_delay=retry_delay,
                retry_backoff=retry_backoff,
                priority=priority or 0,
                expires=expires,
                timeout=timeout,
                retry_max_delay=retry_max_delay,
                retry_jitter=retry_jitter,
            )
            self.registry.add(Registered(options, function, objectives=held_to(options.name, slo, self.slo)))
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
        *,
        catch_up: str = CatchUp.LATEST,
        grace: float | dt.timedelta = DEFAULT_GRACE_SECONDS,
        **options: Any,
    ) -> Callable[[Callable[[], R]], TaskWrapper[[], R]]:
        """Declare a function that runs by itself whenever `validate_datetime` is due.

        However many consumers run, each due time runs it once. Its return value is not stored.

        Args:
            validate_datetime: A `crontab`, ``every(seconds)``, or a function that takes an aware UTC minute and
                says whether it is due.
            retries: As for `task`, and likewise the next four.
            retry_delay: Seconds before the first retry.
            retry_backoff: Multiplier of each further delay.
            priority: Higher runs first.
            name: By default the function's.
            catch_up: What becomes of due times that passed while no consumer ran: "latest" runs once for the
                latest of them, "all" once for each (the newest 1,000, oldest first), "none" not at all, unless
                it is at most 60 seconds late.
            grace: Seconds (or a timedelta) after a due time by which a run of it must have succeeded; metrics
                tell, alerts go by it.
            options: Whatever else `task` takes.
        """
        schedule, missed, grace_seconds = validated(validate_datetime), policy(catch_up), as_seconds(grace)

        def declare(func: Callable[[], R]) -> TaskWrapper[[], R]:
            wrapper = self.task(retries, retry_delay, retry_backoff, priority, name, **options)(func)
            plain = self.registry[wrapper.options.name]
            self.registry.add(replace(plain, schedule=schedule, catch_up=missed, grace_seconds=grace_seconds))
            return wrapper

        return declare

    def read_periodic(self, timestamp: dt.datetime) -> list[Task]:
        """Calls of the periodic tasks that are due in the minute of a time, none of them enqueued."""
        periodic = self.registry.periodic.values()
        return [Task(options=task.options) for task, schedule in periodic if is_due(schedule, timestamp)]

    # -- Enqueueing -------------------------------------------------------------------------------------
    @overload
    def enqueue(self, task: Task) -> Result[Any] | ResultGroup: ...

    @overload
    def enqueue(self, task: group) -> ResultGroup: ...

    @overload
    def enqueue(self, task: chord) -> ChordResult: ...

    def enqueue(self, task: Work) -> Result[Any] | ResultGroup | ChordResult:
        """Put a call, a pipeline, a group or a chord on the queue, all of it in one write.

        Returns:
            The handle of a call; a `ResultGroup` of the stages of a pipeline or the members of a group.

        Raises:
            CannotCarry: An argument does not fit the wire format; the message names it.
            RedisUnavailable: Redis cannot be reached; nothing was enqueued.
            OutcomeUnknown: The answer never came, to this try or to one before it. Enqueueing the very same object
                again is safe.
            RedisRefused: Redis answered with an error; nothing was enqueued.
            ConfigurationError: Calls of several queues, or one call twice.
        """
        self._carry_out(canvas.plan(task), _holder_of_receipt(task))
        return self._results_of(task)

    def enqueue_call(self, task: Task) -> Result[Any]:
        """`enqueue` for a call that nothing follows."""
        self._send([self._parcel(task)], (), task)
        return self._handle(task)

    def enqueue_many(self, tasks: Iterable[Task]) -> ResultGroup:
        """Put many calls on the queue in few writes, each of which is done whole or not at all.

        Raises:
            OutcomeUnknown: The answer to one write never came; the calls before it are on the queue. Enqueueing the
                very same objects again is safe for those of that write: those done before are refused by their id.
        """
        tasks = list(tasks)
        for at in range(0, len(tasks), ENQUEUE_BATCH):
            batch = tasks[at : at + ENQUEUE_BATCH]
            self._carry_out(canvas.plan(group(batch)), batch[0])
        return ResultGroup([self._handle(task) for task in tasks])

    async def aenqueue(self, task: Work) -> Result[Any] | ResultGroup | ChordResult:
        """`enqueue` without blocking the event loop."""
        return await asyncio.to_thread(self.enqueue, task)

    def _carry_out(self, plan: Plan, holder: Task) -> None:
        parcels = [self._placed(placed) for placed in plan.tasks]
        groups = [
            GroupParcel(name, size, self._placed(callback, now=False)) for name, size, callback in plan.groups
        ]
        self._send(parcels, groups, holder)

    def _send(self, parcels: Sequence[Parcel], groups: Sequence[GroupParcel], holder: Task) -> None:
        """Enqueue in one write, under the number that `holder` keeps; an immediate queue runs it then."""
        work = [*parcels, *(group.callback for group in groups)]
        if self._inline is not None:
            self._inline.check(work)
        repeated = holder.receipt is not None
        # Kept until we know how it went.
        holder.receipt = holder.receipt or self.storage.new_receipt("enqueue")
        try:
            self.storage.enqueue(parcels, holder.receipt, groups)
        except RedisError as error:
            # Whatever this try came to, one before it may have arrived: its number is good for another.
            if isinstance(error, OutcomeUnknown) or repeated:
                raise self._unknown(holder, error) from error
            holder.receipt = None
            raise
        except ConfigurationError:
            holder.receipt = None
            raise
        holder.receipt = None
        if self._inline is not None:
            self._inline.run(work)

    def _placed(self, placed: Placed, *, now: bool = True) -> Parcel:
        place = placed.place
        membership = Membership(place.group_id, place.at, place.size) if place else None
        return self._parcel(placed.task, membership=membership, gathers=placed.gathers, now=now)

    def _results_of(self, work: Work) -> Result[Any] | ResultGroup | ChordResult:
        match work:
            case Task():
                handles = [self._handle(stage) for stage in canvas.stages(work)]
                return handles[0] if len(handles) == 1 else ResultGroup(handles)
            case group():
                return ResultGroup([self._last_result_of(member) for member in work.tasks])
            case chord():
                members = [self._last_result_of(member) for member in work.tasks]
                pipeline = [self._handle(stage) for stage in canvas.stages(work.callback)]
                return ChordResult(members, pipeline[0], ResultGroup(pipeline) if pipeline[1:] else None)

    def _last_result_of(self, member: Task | chord) -> Result[Any]:
        *_, last = canvas.stages(member.callback if isinstance(member, chord) else member)
        return self._handle(last)

    def _handle(self, task: Task) -> Result[Any]:
        return Result(self.storage, self.serializer, task.id, functools.partial(self._enqueue_again, task))

    def _enqueue_again(
        self,
        task: Task,
        *,
        eta: dt.datetime | None = None,
        delay: float | dt.timedelta | None = None,
        expires: float | dt.timedelta | dt.datetime | None = None,
        priority: int | None = None,
        preserve_pipeline: bool = True,
    ) -> Result[Any]:
        changes: dict[str, Any] = {"expires": expires, "priority": priority}
        again = replace(
            task,
            id=checked_id(None),
            options=replace(
                task.options, **{key: value for key, value in changes.items() if value is not None}
            ),
            execute_at=None if eta is None else as_timestamp(eta),
            delay=None if delay is None else as_seconds(delay),
            on_complete=_anew(task.on_complete) if preserve_pipeline else None,
            on_error=_anew(task.on_error) if preserve_pipeline else None,
            receipt=None,
        )
        self.enqueue(again)
        return self._handle(again)

    def _unknown(self, task: Task, error: RedisError) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"task {task.id} ({task.name}) may or may not be on queue {self.name!r}: {error}. "
            "Enqueueing the same task object again is safe.",
            task.id,
        )

    def parcel(self, task: Task, periodic: str = "") -> Parcel:
        """Encode a call; raises CannotCarry."""
        return self._parcel(task, periodic=periodic)

    def _parcel(
        self,
        task: Task,
        *,
        periodic: str = "",
        membership: Membership | None = None,
        gathers: str = "",
        now: bool = True,
    ) -> Parcel:
        """Encode a call and all that follows it; `now`: it goes on the queue in this very write."""
        parent = parent_of_enqueue()
        trace_state = parent.state if parent else ""
        options = task.options
        body = wire.encode_call(
            task.name,
            task.args,
            task.kwargs,
            serializer=self.serializer,
            backoff=options.backoff,
            trace_state=trace_state,
            timeout=options.timeout or 0.0,
        )
        now_ns = time.time_ns()
        started_at = parent.started_at if parent else None
        expires_at, expires_in = _expiry(options.expires)
        follower = functools.partial(self._parcel, now=False)
        return Parcel(
            id=task.id,
            name=task.name,
            body=body,
            retries=options.retries,
            retry_delay=options.retry_delay,
            priority=options.priority,
            max_redeliveries=self.max_redeliveries,
            trace_id=parent.trace_id if parent else UUID(task.id).hex,
            span_id=new_span_id(),
            trace_flags=parent.flags if parent else 1,
            trace_state=trace_state,
            traced_at=now_ns / 1e9 if started_at is None else started_at,
            span_start_ns=now_ns if now else 0,
            where=self.speaker.where,
            parent_span_id=parent.span_id if parent else "",
            execute_at=task.execute_at,
            delay=task.delay,
            periodic=periodic,
            expires_at=expires_at,
            expires_in=expires_in,
            group=membership,
            gathers=gathers,
            on_success=follower(task.on_complete, membership=membership) if task.on_complete else None,
            on_error=follower(task.on_error) if task.on_error else None,
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

    # -- Revoking ---------------------------------------------------------------------------------------
    def revoke(
        self,
        task: Task | Result[Any],
        revoke_until: dt.datetime | None = None,
        revoke_once: bool = False,  # noqa: ARG002 - Huey's argument; a task ends by being revoked, once
    ) -> bool:
        """Have a task end as revoked when a worker pulls it; False if it is not on the queue."""
        return self.revoke_by_id(task.id, revoke_until) == 1

    def revoke_by_id(
        self,
        id: str | Sequence[str],  # noqa: A002 - Huey's name
        revoke_until: dt.datetime | None = None,
        revoke_once: bool = False,  # noqa: ARG002 - Huey's argument; a task ends by being revoked, once
    ) -> int:
        """Have tasks end as revoked when a worker pulls them; returns how many of them are on the queue."""
        return self.storage.revoke([id] if isinstance(id, str) else list(id), mark(revoke_until))

    def revoke_all(
        self, task: TaskWrapper[Any, Any], revoke_until: dt.datetime | None = None, revoke_once: bool = False
    ) -> None:
        """Have every task of a name end as revoked, until then, or only the next one; see `TaskWrapper.revoke`."""
        task.revoke(revoke_until, revoke_once)

    def restore(self, task: Task | Result[Any]) -> bool:
        """Undo `revoke`; False if it was not revoked."""
        return self.restore_by_id(task.id) == 1

    def restore_by_id(self, id: str | Sequence[str]) -> int:  # noqa: A002
        """Undo `revoke_by_id`; returns how many were revoked."""
        return self.storage.restore([id] if isinstance(id, str) else list(id))

    def restore_all(self, task: TaskWrapper[Any, Any]) -> bool:
        """Undo `revoke_all`; False if the name was not revoked."""
        return task.restore()

    def is_revoked(self, task: str | Task | Result[Any] | TaskWrapper[Any, Any]) -> bool:
        """Whether a task (or its id, its handle, or every task of a name) would end as revoked if pulled now."""
        if isinstance(task, TaskWrapper):
            return task.is_revoked()
        marks = [f"@{task.name}"] if isinstance(task, Task) else []
        return self.storage.is_revoked([task if isinstance(task, str) else task.id, *marks])

    # -- Locks and limits -------------------------------------------------------------------------------
    def lock_task(self, lock_name: str, ttl: float | None = None) -> TaskLock:
        """A lock: a decorator below ``@queue.task()``, or a context manager; see `TaskLock`."""
        return TaskLock(lambda: self.storage, lock_name, ttl)

    def is_locked(self, lock_name: str) -> bool:
        """Whether somebody holds the lock."""
        return TaskLock(lambda: self.storage, lock_name).locked()

    def flush_locks(self, *names: str) -> set[str]:
        """Free the locks of these names, or all of the queue, whoever holds them; returns which were held."""
        held = set(self.storage.locks())
        freed = sorted(held & set(names)) if names else sorted(held)
        if freed:
            self.storage.unlock(freed)
        return set(freed)

    def rate_limit(self, name: str, limit: int, per: float | dt.timedelta, retry: bool = True) -> RateLimit:
        """A rate limit: a decorator below ``@queue.task()``, or a context manager; see `RateLimit`."""
        return RateLimit(lambda: self.storage, name, limit, per, retry)

    def close(self) -> None:
        """Close this thread's connections."""
        self.storage.close()


def _holder_of_receipt(work: Work) -> Task:
    """The call that keeps the number of a write for repeating it: the same one whenever the same work is sent."""
    match work:
        case Task():
            return work
        case group():
            if not work.tasks:
                raise ConfigurationError("the group is empty: there is nothing to enqueue")
            return _holder_of_receipt(work.tasks[0])
        case chord():
            return work.callback


def _anew(task: Task | None) -> Task | None:
    """A copy of a call and of all that follows it, under new ids."""
    if task is None:
        return None
    return replace(
        task,
        id=checked_id(None),
        on_complete=_anew(task.on_complete),
        on_error=_anew(task.on_error),
        receipt=None,
    )


def _expiry(expires: float | dt.timedelta | dt.datetime | None) -> tuple[float | None, float | None]:
    """When a task expires: Unix seconds, or seconds from its enqueueing; None for never."""
    if expires is None:
        return None, None
    if isinstance(expires, dt.datetime):
        return as_timestamp(expires), None
    return None, as_seconds(expires)


def _signature(func: Callable[..., Any]) -> inspect.Signature | None:
    """What the function can be called with; None for builtins that do not say."""
    try:
        return inspect.signature(func)
    except (TypeError, ValueError):
        return None


RedisHuey = RedisQueue
"""The name in the document that Limelight was born from."""
