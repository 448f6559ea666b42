"""What a user declares (`TaskOptions`), and what they enqueue (`Task`)."""

from __future__ import annotations

import datetime as dt
import math
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from .deadline import check_timeout, time_remaining
from .errors import ConfigurationError
from .retry import LONGEST_DELAY_SECONDS, Backoff

PRIORITY_LIMIT: Final = 4_095
RETRIES_LIMIT: Final = 1_000_000_000
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
        context: Whether the function gets the running `Task` as its argument ``task``.
        settings: Whatever else was declared; for hooks and signal handlers to go by.
        priority: Higher runs first, −4095 to 4095.
        expires: Seconds after its enqueueing, or the Unix time as a `datetime`, after which it must not start.
        timeout: Seconds that one run may take.
        trace_mode: "parent" or "link", see `Tracing`; None: as its queue says.
        trace_arguments: Names of arguments that its events and spans may show.
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
    context: bool = False
    trace_mode: str | None = None
    trace_arguments: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    backoff: Backoff = field(init=False, repr=False, compare=False)

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
            *(
                []
                if self.trace_mode in {None, "parent", "link"}
                else ["trace_mode must be 'parent' or 'link'"]
            ),
            *(
                ["trace_arguments must be several names: write trace_arguments=('order_id',)"]
                if isinstance(self.trace_arguments, str)
                else []
            ),
            *(
                f"{name} cannot be a setting, it is a word for calls"
                for name in self.settings
                if name in _WORDS
            ),
        ]
        if faults:
            raise ConfigurationError(f"task {self.name!r}: {'; '.join(faults)}")
        object.__setattr__(self, "trace_arguments", tuple(self.trace_arguments))
        backoff = Backoff(self.retry_backoff, self.retry_max_delay, self.retry_jitter)
        object.__setattr__(self, "backoff", backoff)  # each call of the task has the same


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


def new_id() -> str:
    """The text of a random UUID (version 4); `uuid.uuid4` takes three times as long."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


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
        due: The due time that this is the run of, aware; None unless the task is periodic.
        receipt: Set by an enqueue whose answer never came, so that it can be repeated safely.

    While the task runs, `retries` are those that remain and `retry_delay` is that of the coming retry. The
    settings of the declaration are attributes too, as in Huey.
    """

    options: TaskOptions
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=new_id)
    execute_at: float | None = None
    delay: float | None = None
    queue: str = ""
    on_complete: Task | None = None
    on_error: Task | None = None
    due: dt.datetime | None = None
    receipt: Receipt | None = None

    if not TYPE_CHECKING:  # a type checker is to know an attribute that nobody has

        def __getattr__(self, name: str) -> Any:
            if name in {"options", "settings"} or name.startswith("_") or name not in self.settings:
                raise AttributeError(
                    f"a task has no {name!r}, and none of its settings is called so", name=name
                )
            return self.settings[name]

    @property
    def name(self) -> str:
        """The task's friendly name."""
        return self.options.name

    @property
    def retries(self) -> int:
        """How often a failed run is tried again."""
        return self.options.retries

    @property
    def retry_delay(self) -> float:
        """Seconds before the next retry."""
        return self.options.retry_delay

    @property
    def retry_backoff(self) -> float:
        """Each further retry multiplies the delay by this."""
        return self.options.retry_backoff

    @property
    def priority(self) -> int:
        """Higher runs first."""
        return self.options.priority

    @property
    def eta(self) -> dt.datetime | None:
        """When it may run, aware in UTC; None for at once."""
        return None if self.execute_at is None else dt.datetime.fromtimestamp(self.execute_at, dt.UTC)

    @property
    def data(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Its arguments, positional and by keyword."""
        return self.args, self.kwargs

    @property
    def settings(self) -> Mapping[str, Any]:
        """What was declared beside the options."""
        return self.options.settings

    @property
    def expires(self) -> float | dt.timedelta | dt.datetime | None:
        """When it is too late to start it: seconds from its enqueueing, or a time; None for never."""
        return self.options.expires

    @property
    def timeout(self) -> float | None:
        """Seconds that one run may take."""
        return self.options.timeout

    @property
    def time_remaining(self) -> float:
        """Seconds that the running task may still take, from 0; infinity without a timeout, as in Huey."""
        remaining = time_remaining()
        return math.inf if remaining is None else max(0.0, remaining)

    @property
    def is_timed_out(self) -> bool:
        """Whether the running task's time is over."""
        return self.time_remaining <= 0

    def check_timeout(self) -> None:
        """Raise TaskTimeout if the running task's time is over; call it where stopping does no harm."""
        check_timeout()

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

    def extend_data(self, data: Any) -> None:
        """Add what an earlier call returned to the arguments."""
        args, kwargs = extended(self.args, self.kwargs, data)
        self.args, self.kwargs = tuple(args), kwargs


_WORDS: Final = frozenset(name for name in dir(Task) if not name.startswith("_"))


class Declared(Protocol):
    """A declared task: something that makes calls."""

    def s(self, *args: Any, **kwargs: Any) -> Task:
        """A call that is not enqueued yet."""
        ...


Callee = Task | Declared


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
        return new_id()
    try:
        return str(uuid.UUID(str(task_id)))
    except ValueError:
        raise ConfigurationError(f"task id {task_id!r} is no UUID") from None
