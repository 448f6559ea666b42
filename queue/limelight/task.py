"""What a user declares (`TaskOptions`), what they enqueue (`Task`), and the registry between the two."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from .catch_up import CatchUp
from .errors import ConfigurationError, UnknownTask
from .retry import LONGEST_DELAY_SECONDS, Backoff
from .schedule import Schedule
from .slo import Objective, Slo, objectives

PRIORITY_LIMIT: Final = 4_095
RETRIES_LIMIT: Final = 1_000_000_000
DEFAULT_GRACE_SECONDS: Final = 300.0
"""How late a run of a periodic task may succeed by default."""
_NAME_LIMIT: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """How a task is to be treated, as declared by its decorator.

    Attributes:
        name: Friendly name: in messages, events and labels; unique in its queue.
        retries: How often a failed run is tried again.
        retry_delay: Seconds before the first retry.
        retry_backoff: Each further retry multiplies the delay by this; 0 leaves it constant.
        retry_max_delay: No retry waits longer, in seconds.
        retry_jitter: How much of each delay chance may take away, 0 to 1, so that tasks that failed together do
            not come back together.
        priority: Higher runs first, −4095 to 4095.
        expires: Seconds after its enqueueing, or the Unix time as a `datetime`, after which it must not start.
        timeout: Seconds that one run may take.
    """

    name: str
    retries: int = 0
    retry_delay: float = 0.0
    retry_backoff: float = 0.0
    priority: int = 0
    retry_max_delay: float = LONGEST_DELAY_SECONDS
    retry_jitter: float = 0.0
    expires: float | dt.timedelta | dt.datetime | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        faults = [
            *(
                []
                if 0 < len(self.name) <= _NAME_LIMIT and self.name.isprintable()
                else ["name must be printable"]
            ),
            *([] if _is_whole(self.retries, 0, RETRIES_LIMIT) else ["retries must be a whole number from 0"]),
            *([] if _is_seconds(self.retry_delay) else ["retry_delay must be seconds from 0"]),
            *([] if _is_seconds(self.retry_backoff) else ["retry_backoff must be a number from 0"]),
            *([] if _is_seconds(self.retry_max_delay) else ["retry_max_delay must be seconds from 0"]),
            *([] if _is_share(self.retry_jitter) else ["retry_jitter must be a number from 0 to 1"]),
            *(
                []
                if _is_whole(self.priority, -PRIORITY_LIMIT, PRIORITY_LIMIT)
                else [f"priority must be a whole number within ±{PRIORITY_LIMIT}"]
            ),
            *([] if _is_expiry(self.expires) else ["expires must be seconds, a timedelta or a datetime"]),
            *(
                []
                if self.timeout is None or (_is_seconds(self.timeout) and self.timeout > 0)
                else ["timeout must be seconds, more than 0"]
            ),
        ]
        if faults:
            raise ConfigurationError(f"task {self.name!r}: {'; '.join(faults)}")

    @property
    def backoff(self) -> Backoff:
        """How the delays of its retries grow and spread."""
        return Backoff(self.retry_backoff, self.retry_max_delay, self.retry_jitter)


def _is_whole(value: int, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _is_share(value: float) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1


def _is_seconds(value: float) -> bool:
    return isinstance(value, int | float) and 0 <= value <= LONGEST_DELAY_SECONDS


def _is_expiry(value: float | dt.timedelta | dt.datetime | None) -> bool:
    if isinstance(value, dt.timedelta):
        value = value.total_seconds()
    return value is None or isinstance(value, dt.datetime) or _is_seconds(value)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The number under which an enqueue was sent; sending it again does nothing a second time."""

    lane: str
    number: int


@dataclass(slots=True, kw_only=True)
class Task:
    """One call of a task that can be enqueued.

    Attributes:
        options: Treatment of this very call: the declaration, changed by what the call asks for.
        args, kwargs: What the function gets.
        id: UUID text.
        execute_at: Unix seconds before which it must not run; None for at once.
        delay: Seconds from the moment Redis gets it; None for at once. Not together with `execute_at`.
        queue: Name of its queue.
        on_complete: What is called with its result when it has succeeded.
        on_error: What is called with its failure when it has failed for good.
        receipt: Set by an enqueue whose answer never came, so that it can be repeated safely.
    """

    options: TaskOptions
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    execute_at: float | None = None
    delay: float | None = None
    queue: str = ""
    on_complete: Task | None = None
    on_error: Task | None = None
    receipt: Receipt | None = None

    @property
    def name(self) -> str:
        """The task's friendly name."""
        return self.options.name

    def then(self, task: Callee, *args: Any, **kwargs: Any) -> Task:
        """Call `task` with this one's result, after what was to follow already; returns this call."""
        last = self
        while last.on_complete is not None:
            last = last.on_complete
        last.on_complete = task if isinstance(task, Task) else task.s(*args, **kwargs)
        return self

    def error(self, task: Callee, *args: Any, **kwargs: Any) -> Task:
        """Call `task` with this one's `TaskException` when it has failed for good; returns this call."""
        last = self
        while last.on_error is not None:
            last = last.on_error
        last.on_error = task if isinstance(task, Task) else task.s(*args, **kwargs)
        return self

    def extend(self, value: Any) -> None:
        """Add what an earlier call returned to the arguments."""
        args, kwargs = extended(self.args, self.kwargs, value)
        self.args, self.kwargs = tuple(args), kwargs


class Declared(Protocol):
    """A declared task: something that makes calls."""

    def s(self, *args: Any, **kwargs: Any) -> Task:
        """A call that is not enqueued yet."""
        ...


Callee = Task | Declared


def held_to(name: str, slo: Slo | None, of_queue: Mapping[str, Objective]) -> Mapping[str, Objective]:
    """What a task is held to: its own objectives, and those of its queue that it does not declare anew.

    Raises ConfigurationError, naming the task and each fault.
    """
    try:
        return {**of_queue, **objectives(slo)}
    except ConfigurationError as error:
        raise ConfigurationError(f"task {name!r}: {error}") from None


def extended(args: Sequence[Any], kwargs: Mapping[str, Any], value: Any) -> tuple[list[Any], dict[str, Any]]:
    """Arguments with what an earlier task returned, as in Huey.

    A tuple's items are appended to the positional arguments, a dict fills in keyword arguments that are not given,
    None adds nothing, anything else is appended as it is.
    """
    if value is None:
        return list(args), dict(kwargs)
    if isinstance(value, tuple):
        return [*args, *value], dict(kwargs)
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return list(args), {**value, **kwargs}
    return [*args, value], dict(kwargs)


def as_seconds(delay: float | dt.timedelta) -> float:
    """Seconds of a delay given as a number or a timedelta; raises ConfigurationError when it is neither."""
    seconds = delay.total_seconds() if isinstance(delay, dt.timedelta) else delay
    if not isinstance(seconds, int | float) or not seconds <= LONGEST_DELAY_SECONDS:
        raise ConfigurationError(f"it must be seconds or a timedelta, at most ten years, not {delay!r}")
    return max(0.0, float(seconds))


def as_timestamp(eta: dt.datetime) -> float:
    """Unix seconds of an ETA; a naive one is in the server's local time, as in Huey."""
    if not isinstance(eta, dt.datetime):
        raise ConfigurationError(f"eta must be a datetime, not {eta!r}")
    return eta.timestamp()


def checked_id(task_id: str | uuid.UUID | None) -> str:
    """A task id as UUID text: the one given, checked, or a new one."""
    if task_id is None:
        return str(uuid.uuid4())
    try:
        return str(uuid.UUID(str(task_id)))
    except ValueError:
        raise ConfigurationError(f"task id {task_id!r} is no UUID") from None


@dataclass(frozen=True, slots=True)
class Registered:
    """A declared task.

    Attributes:
        options: How it is to be treated.
        func: What runs.
        schedule: When it runs by itself; None unless it is periodic.
        catch_up: What becomes of due times that passed while nobody ran.
        objectives: What it is held to.
        grace_seconds: How late a periodic run may succeed before it counts as missed.
    """

    options: TaskOptions
    func: Callable[..., Any]
    schedule: Schedule | None = None
    catch_up: CatchUp = CatchUp.LATEST
    objectives: Mapping[str, Objective] = field(default_factory=dict)
    grace_seconds: float = DEFAULT_GRACE_SECONDS


class Registry:
    """The tasks of one queue, by name."""

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._tasks: dict[str, Registered] = {}

    def add(self, task: Registered) -> None:
        """Register; raises ConfigurationError if another function has the name."""
        name = task.options.name
        other = self._tasks.get(name)
        if other is not None and _place(other.func) != _place(task.func):
            raise ConfigurationError(
                f"queue {self._queue!r} has a task {name!r} already ({_place(other.func)}): "
                f"give {_place(task.func)} another one with name=…"
            )
        self._tasks[name] = task

    def remove(self, name: str) -> bool:
        """Forget a task; False if there was none of that name."""
        return self._tasks.pop(name, None) is not None

    def __getitem__(self, name: str) -> Registered:
        task = self._tasks.get(name)
        if task is None:
            known = ", ".join(sorted(self._tasks)) or "none"
            raise UnknownTask(
                f"no task named {name!r} is registered on queue {self._queue!r} in this process. Known: {known}. "
                "Is the module that declares it imported by the consumer?"
            )
        return task

    def __contains__(self, name: str) -> bool:
        return name in self._tasks

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._tasks))

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def periodic(self) -> Mapping[str, tuple[Registered, Schedule]]:
        """The tasks that run by themselves, as they are now: others may be declared while consumers run."""
        tasks = list(self._tasks.items())
        return {name: (task, task.schedule) for name, task in tasks if task.schedule is not None}


def _place(func: Callable[..., Any]) -> str:
    return f"{func.__module__}.{func.__qualname__}"
