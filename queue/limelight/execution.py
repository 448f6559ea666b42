"""One run of one task: from its message to how it went. Calls user code, touches no storage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Final

from . import report, tracing, wire
from .canvas import SKIPPED
from .deadline import limited
from .errors import CancelExecution, TaskException, UndecodableMessage
from .hooks import QueueHooks
from .lifecycle import Canceled, Locked, Raised, RateLimited, TimedOut
from .notes import Notes, shown
from .privacy import Privacy
from .registry import Registered
from .report import Interruption, Report, Stopwatch
from .running import current_call, current_lease
from .seen import seen
from .signals import (
    SIGNAL_CANCELED,
    SIGNAL_ERROR,
    SIGNAL_EXECUTING,
    SIGNAL_LOCKED,
    SIGNAL_RATE_LIMITED,
    SIGNAL_TIMEOUT,
    Signals,
)
from .storage.base import Handed
from .task import Task, TaskOptions, extended
from .tracecontext import TraceContext, current_run
from .tracing import Tracing

RESULT_LIMIT_BYTES: Final = 16 * 1024 * 1024

Call = Callable[[], Any]
Stage = Callable[[Call, float | None], Any]
"""How a worker runs a task's code: the call, and after how many seconds it is to be stopped (None: never)."""
AsyncStage = Callable[[Callable[[], Awaitable[Any]], float | None], Awaitable[Any]]


def plainly(call: Call, _seconds: float | None) -> Any:
    """The stage that stops nothing."""
    return call()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On which terms a task is run.

    Attributes:
        handed: The task as Redis handed it over; by its lease the run takes locks.
        context: The trace context of this run; current while the task's code runs.
        timeout: Seconds after which it is to be stopped; None: never.
        keep_result: Whether the return value is to be encoded.
        watch: When the run began.
        given: What earlier tasks left for it, added to its arguments.
        notes: Takes what is to be told of the run beside how it went.
    """

    handed: Handed
    context: TraceContext
    timeout: float | None
    keep_result: bool
    watch: Stopwatch
    given: Sequence[Any] = ()
    notes: Notes = field(default_factory=Notes)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What of its queue a run needs.

    Attributes:
        queue: Its name.
        serializer: Reads arguments, writes results.
        hooks: The user's functions around each run.
        signals: Who wants to hear of it.
        result_limit: Bytes that a return value may have.
        tracing: How runs are traced; None: they are not.
        privacy: What may be told of them.
    """

    queue: str
    serializer: wire.Serializer
    hooks: QueueHooks
    signals: Signals
    result_limit: int = RESULT_LIMIT_BYTES
    tracing: Tracing | None = field(default_factory=Tracing)
    privacy: Privacy = field(default_factory=Privacy)

    def want(self, options: TaskOptions) -> bool:
        """Whether anybody wants to see the `Task` of a run; making one for nobody costs time."""
        return options.context or self.hooks.around_runs or bool(self.signals)


def execute(
    registered: Registered,
    message: wire.Message,
    surroundings: Surroundings,
    terms: Terms,
    stage: Stage = plainly,
) -> Report:
    """Run a task and say how it went; no exception of the task gets out, KeyboardInterrupt and exits included.

    Hooks and the handlers of signals run here too, within the task's lease and its trace, but not within its timeout.

    Args:
        registered: What to run.
        message: The call.
        surroundings: What the queue gives to each of its runs.
        terms: Which task, when, in which trace, for how long.
        stage: Runs the code; an awaitable that it returns in place of a value is its own to await.
    """
    token, holder, call = (
        current_run.set(terms.context),
        current_lease.set(terms.handed.lease),
        current_call.set(None),
    )
    entered = None if surroundings.tracing is None else tracing.enter(terms.context, terms.notes.recording)
    try:
        run = _begun(registered, message, surroundings, terms)
        if isinstance(run, Report):
            return run
        try:
            with _time_limit(terms.timeout):
                value = stage(run.call, terms.timeout)
        except BaseException as error:
            return run.raised(error)
        return run.returned(value)
    finally:
        tracing.leave(entered)
        current_run.reset(token)
        current_lease.reset(holder)
        current_call.reset(call)


async def execute_async(
    registered: Registered,
    message: wire.Message,
    surroundings: Surroundings,
    terms: Terms,
    stage: AsyncStage,
) -> Report:
    """As `execute`, for a task whose code is awaited in the running event loop; so are hooks and handlers called."""
    current_run.set(terms.context)  # an asyncio task has a context of its own
    current_lease.set(terms.handed.lease)
    if surroundings.tracing is not None:
        tracing.enter(terms.context, terms.notes.recording)
    run = _begun(registered, message, surroundings, terms)
    if isinstance(run, Report):
        return run
    try:
        with _time_limit(terms.timeout):
            value = await stage(run.call, terms.timeout)
    except BaseException as error:
        return run.raised(error)
    return run.returned(value)


class _Run:
    """One run, and those around it who want to see its task; `task` is None if nobody does."""

    __slots__ = ("_args", "_func", "_kwargs", "_surroundings", "_terms", "task")

    def __init__(
        self,
        func: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        surroundings: Surroundings,
        terms: Terms,
        task: Task | None,
    ) -> None:
        self._func, self._args, self._kwargs = func, args, kwargs
        self._surroundings, self._terms = surroundings, terms
        self.task = task

    def call(self) -> Any:
        return self._func(*self._args, **self._kwargs)

    def returned(self, value: Any) -> Report:
        terms, around = self._terms, self._surroundings
        serializer = around.serializer if terms.keep_result else None
        made = report.returned(value, terms.watch, serializer, around.result_limit, around.privacy)
        if self.task is None:
            return made
        around.hooks.after(self.task, value, None)
        return replace(made, task=self.task)

    def raised(self, error: BaseException) -> Report:
        """Those who want to see what it raised do so while it is being handled."""
        made = report.raised(error, self._terms.watch, self._terms.timeout, self._surroundings.privacy)
        if self.task is None or isinstance(error, Interruption):
            return made
        _show(error, made, self.task, self._surroundings.signals)
        self._surroundings.hooks.after(self.task, None, error)
        return replace(made, task=self.task)


def _begun(
    registered: Registered, message: wire.Message, surroundings: Surroundings, terms: Terms
) -> _Run | Report:
    """A run whose hooks have let it begin; or how it ended before."""
    func, options = registered.func, registered.options
    try:
        args, kwargs = wire.decode_arguments(message, surroundings.serializer)
        for value in terms.given:
            args, kwargs = extended(args, kwargs, value)
        if options.trace_arguments:
            terms.notes.arguments = shown(func, options.trace_arguments, args, kwargs, surroundings.privacy)

        def make() -> Task:
            return seen(options, surroundings.queue, terms.handed, message, args, kwargs)

        current_call.set(make)
        if not surroundings.want(options):
            return _Run(func, args, kwargs, surroundings, terms, None)
        task = make()
    except UndecodableMessage as error:
        return report.unreadable(error, terms.watch, surroundings.privacy)
    surroundings.signals.send(SIGNAL_EXECUTING, task)
    try:
        surroundings.hooks.before(task)
    except CancelExecution:
        surroundings.signals.send(SIGNAL_CANCELED, task)
        return Report(Canceled(retry=False), terms.watch.keys(), task=task)
    kwargs = {**task.kwargs, "task": task} if options.context else task.kwargs
    return _Run(func, task.args, kwargs, surroundings, terms, task)


def _show(error: BaseException, made: Report, task: Task, signals: Signals) -> None:
    match made.outcome:
        case Raised():
            signals.send(SIGNAL_ERROR, task, error)
        case Canceled():
            signals.send(SIGNAL_CANCELED, task)
        case TimedOut():
            signals.send(SIGNAL_TIMEOUT, task)
        case Locked():
            signals.send(SIGNAL_LOCKED, task)
        case RateLimited():
            signals.send(SIGNAL_RATE_LIMITED, task)


def _time_limit(seconds: float | None) -> AbstractContextManager[None]:
    return _NO_LIMIT if seconds is None else limited(seconds)


_NO_LIMIT: Final = nullcontext()


def inputs(left: bytes, gathered: Sequence[bytes] | None, serializer: wire.Serializer) -> list[Any]:
    """What earlier tasks left for one, decoded.

    Args:
        left: By the task before it: its result or failure; b"" if there is none.
        gathered: By the members of a group, b"" of one that was skipped; None if there is no group.
        serializer: Of the queue.

    Raises:
        UndecodableMessage: One of them is not ours.
    """
    values = [_left(left, serializer)] if left else []
    if gathered is not None:
        values.append(([_left(one, serializer) if one else SKIPPED for one in gathered],))
    return values


def _left(data: bytes, serializer: wire.Serializer) -> Any:
    value, error = wire.decode_result(data, serializer)
    return value if error is None else TaskException(error)
