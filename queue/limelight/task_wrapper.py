"""A declared task: what `queue.task` makes of a function."""

from __future__ import annotations

import datetime as dt
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Generic, ParamSpec, Protocol, TypeVar
from uuid import UUID

from .errors import ConfigurationError
from .registry import Registry
from .results import Result, ResultGroup, mark
from .schedule import is_due
from .storage.redis import RedisStorage
from .task import Task, TaskOptions, as_seconds, as_timestamp, checked_id

P = ParamSpec("P")
R = TypeVar("R")

When = float | dt.timedelta | dt.datetime

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


class Home(Protocol):
    """What a declared task needs of its queue."""

    name: str
    registry: Registry
    storage: RedisStorage

    def enqueue_call(self, task: Task) -> Result[Any]:
        """Put a call on the queue that nothing follows."""
        ...

    def enqueue_many(self, tasks: Iterable[Task]) -> ResultGroup:
        """Put many calls on the queue in few writes."""
        ...


class TaskWrapper(Generic[P, R]):
    """A declared task. Calling it enqueues; `call_local` runs it here and now.

    Attributes:
        func: The function as it was declared.
        options: How the task is treated.
        queue: Where it is enqueued; the `RedisQueue` on which it was declared.
    """

    def __init__(self, queue: Home, func: Callable[P, R], options: TaskOptions) -> None:
        self.queue = queue
        self.func = func
        self.options = options
        self._signature = _signature(func, options)
        self._begins, self._fits = _positional(self._signature)
        functools.update_wrapper(self, func)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result[R]:
        """Enqueue a call and return its result handle; raises TypeError where the function could not be called so."""
        self._check(args, kwargs)
        task = Task(options=self.options, args=args, kwargs=kwargs, queue=self.queue.name)
        return self.queue.enqueue_call(task)

    def s(self, *args: Any, **kwargs: Any) -> Task:
        """A call that is not enqueued yet; hand it to `queue.enqueue`, or let it follow another (`Task.then`).

        Keyword arguments named like those of `schedule` (``eta``, ``delay``, ``priority``, ``retries``,
        ``retry_delay``, ``retry_backoff``, ``retry_max_delay``, ``retry_jitter``, ``expires``, ``timeout``, ``id``)
        treat the call and are not handed to the function. Raises TypeError for arguments that the function could not
        take; missing ones may be what an earlier call adds.
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
        if self._signature is None or (
            not kwargs and len(args) in (self._fits if not partial else self._begins)
        ):
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
    def retries(self) -> int:
        """How often a failed run is tried again."""
        return self.options.retries

    @property
    def retry_delay(self) -> float:
        """Seconds before the first retry."""
        return self.options.retry_delay

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


def _positional(signature: inspect.Signature | None) -> tuple[range, range]:
    """How many positional arguments may begin a call, and how many make one: those need no closer look."""
    kinds = [one.kind for one in signature.parameters.values()] if signature else []
    given = [
        one
        for one in (signature.parameters.values() if signature else ())
        if one.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    ]
    most = len(given) + 1
    if len(given) < len(kinds):
        return range(most), range(0)
    return range(most), range(sum(one.default is inspect.Parameter.empty for one in given), most)


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
