"""One run of one task: from its message to how it went. Calls user code, touches no storage."""

from __future__ import annotations

import datetime as dt
import time
import traceback as tb
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from . import wire
from .emitter import failure, fragment
from .errors import CancelExecution, CannotCarry, RetryTask, UndecodableMessage, UnknownTask
from .hooks import QueueHooks
from .lifecycle import AskedRetry, Canceled, Interrupted, Outcome, Raised, ResultRefused, Returned
from .signals import SIGNAL_CANCELED, SIGNAL_ERROR, SIGNAL_EXECUTING, Signals
from .storage.base import Handed, Scheduled
from .task import Registered, Registry, Task, TaskOptions, as_seconds, as_timestamp
from .tracecontext import TraceContext, current_run

RESULT_LIMIT_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Report:
    """How a run went, and what to tell of it.

    Attributes:
        outcome: For `lifecycle.settle` to decide on.
        keys: Further keys of the closing event: duration, error, span times.
        result: Encoded return value or failure, b"" for nothing to store.
        task: What ran, for signal handlers; None if nobody wants to hear.
    """

    outcome: Outcome
    keys: dict[str, Any]
    result: bytes = b""
    task: Task | None = None

    @property
    def fragment(self) -> str:
        """The keys as an event fragment, all but the traceback."""
        return fragment({key: value for key, value in self.keys.items() if key != "traceback"})

    @property
    def traceback(self) -> str:
        """The traceback as an event fragment, "" if there is none."""
        return fragment({"traceback": self.keys.get("traceback")})


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """When a run began: wall clock for its span, monotonic for its duration."""

    wall_ns: int
    monotonic: float

    @classmethod
    def started(cls) -> Stopwatch:
        """Start it now."""
        return cls(time.time_ns(), time.monotonic())

    def keys(self) -> dict[str, Any]:
        """``duration`` (seconds), ``span_start`` and ``span_end`` (ns, text) up to now."""
        duration = max(0.0, time.monotonic() - self.monotonic)
        end_ns = self.wall_ns + round(duration * 1e9)
        return {"duration": round(duration, 6), "span_start": str(self.wall_ns), "span_end": str(end_ns)}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What of its queue a run needs.

    Attributes:
        serializer: Reads arguments, writes results.
        hooks: The user's functions around each run.
        signals: Who wants to hear of it.
        result_limit: Bytes that a return value may have.
    """

    serializer: wire.Serializer
    hooks: QueueHooks
    signals: Signals
    result_limit: int = RESULT_LIMIT_BYTES

    def want(self, options: TaskOptions) -> bool:
        """Whether anybody wants to see the `Task` of a run; making one for nobody costs time."""
        return options.context or self.hooks.around_runs or bool(self.signals)


def execute(
    registered: Registered,
    handed: Handed,
    message: wire.Message,
    surroundings: Surroundings,
    *,
    context: TraceContext,
    keep_result: bool,
) -> Report:
    """Run a task and say how it went; no exception of the task gets out, KeyboardInterrupt and exits included.

    Hooks and the handlers of signals run here too, within the task's lease and its trace.

    Args:
        registered: What to run.
        handed: The task as Redis handed it over.
        message: The call.
        surroundings: What the queue gives to each of its runs.
        context: The trace context of this run; current while the task's code runs.
        keep_result: Whether the return value is to be encoded.
    """
    watch = Stopwatch.started()
    try:
        args, kwargs = wire.decode_arguments(message, surroundings.serializer)
    except UndecodableMessage as error:
        return _failed(error, watch, final=True)
    wanted = surroundings.want(registered.options)
    task = _task(registered.options, handed, message, args, kwargs) if wanted else None
    token = current_run.set(context)
    try:
        if task is None:
            return _run(registered.func, args, kwargs, surroundings, watch, keep_result=keep_result)
        return _run_seen(registered.func, task, surroundings, watch, keep_result=keep_result)
    finally:
        current_run.reset(token)


def unseen_task(registry: Registry, serializer: wire.Serializer, seen: Handed | Scheduled) -> Task | None:
    """The task of a message whose function is not called, for signal handlers; None if nobody can read it."""
    try:
        options = registry[seen.name].options
        message = wire.decode_message(seen.body)
        args, kwargs = wire.decode_arguments(message, serializer)
    except (UnknownTask, UndecodableMessage):
        return None
    return _task(options, seen, message, args, kwargs)


def _task(
    options: TaskOptions,
    seen: Handed | Scheduled,
    message: wire.Message,
    args: Sequence[Any],
    kwargs: dict[str, Any],
) -> Task:
    """A task as hooks, handlers and its own function see it."""
    backoff = message.backoff
    return Task(
        options=replace(
            options,
            retries=seen.retries,
            retry_delay=seen.retry_delay,
            retry_backoff=backoff.factor,
            retry_max_delay=backoff.longest_seconds,
            retry_jitter=backoff.jitter,
        ),
        args=tuple(args),
        kwargs=kwargs,
        id=seen.task_id if isinstance(seen, Scheduled) else seen.lease.task_id,
        execute_at=seen.execute_at if isinstance(seen, Scheduled) else None,
        due=None if message.due is None else dt.datetime.fromtimestamp(message.due, dt.UTC),
    )


def _run_seen(
    func: Callable[..., Any], task: Task, surroundings: Surroundings, watch: Stopwatch, *, keep_result: bool
) -> Report:
    """A run with everybody around it who wants to see its task."""
    surroundings.signals.send(SIGNAL_EXECUTING, task)
    try:
        surroundings.hooks.before(task)
    except CancelExecution:
        surroundings.signals.send(SIGNAL_CANCELED, task)
        return Report(Canceled(retry=False), watch.keys(), task=task)
    kwargs = {**task.kwargs, "task": task} if task.options.context else task.kwargs
    report = _run(func, task.args, kwargs, surroundings, watch, keep_result=keep_result, task=task)
    return replace(report, task=task)


def _run(
    func: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    surroundings: Surroundings,
    watch: Stopwatch,
    *,
    keep_result: bool,
    task: Task | None = None,
) -> Report:
    """Call the function; those who want to see what it raised do so while it is being handled."""
    try:
        value = func(*args, **kwargs)
    except BaseException as error:
        report = _raised(error, watch)
        if task is not None:
            _show(error, report, task, surroundings)
        return report
    report = _returned(value, surroundings, watch, keep_result=keep_result)
    if task is not None:
        surroundings.hooks.after(task, value, None)
    return report


def _show(error: BaseException, report: Report, task: Task, surroundings: Surroundings) -> None:
    match report.outcome:
        case Raised():
            surroundings.signals.send(SIGNAL_ERROR, task, error)
        case Canceled():
            surroundings.signals.send(SIGNAL_CANCELED, task)
    surroundings.hooks.after(task, None, error)


def _raised(error: BaseException, watch: Stopwatch) -> Report:
    """What a task asks for by raising; one that asks for nonsense has failed."""
    try:
        if isinstance(error, RetryTask):
            return Report(AskedRetry(_asked_delay(error)), watch.keys())
        if isinstance(error, CancelExecution):
            return Report(Canceled(None if error.retry is None else bool(error.retry)), watch.keys())
    except Exception as fault:
        return _failed(fault, watch, final=False)
    return _failed(error, watch, final=False)


def unreadable(error: UndecodableMessage) -> Report:
    """The report of a run whose message cannot be read: no retry could help."""
    return _failed(error, Stopwatch.started(), final=True)


def untellable(error: Exception) -> Report:
    """The report of a run whose own report could not be encoded."""
    return Report(Raised(), Stopwatch.started().keys() | failure(error))


def interrupted(watch: Stopwatch) -> Report:
    """The report of a run that its worker had to leave."""
    return Report(Interrupted(), watch.keys())


def failure_result(error_type: str, message: str, traceback: str | None, task_id: str, retries: int) -> bytes:
    """What `Result.get` raises from, for a task that ended in failure."""
    return wire.encode_failure(
        {
            "error": f"{error_type}: {message}" if message else error_type,
            "error_type": error_type,
            "traceback": traceback,
            "retries": retries,
            "task_id": task_id,
        }
    )


def _asked_delay(request: RetryTask) -> float | None:
    if request.eta is not None:
        return max(0.0, as_timestamp(request.eta) - time.time())
    return None if request.delay is None else as_seconds(request.delay)


def _failed(error: BaseException, watch: Stopwatch, *, final: bool) -> Report:
    return Report(Raised(final=final), watch.keys() | failure(error, _traceback(error)))


def _returned(value: Any, surroundings: Surroundings, watch: Stopwatch, *, keep_result: bool) -> Report:
    keys = watch.keys()
    if not keep_result:
        return Report(Returned(), keys)
    try:
        result = _encoded(value, surroundings)
    except Exception as error:  # also what another serializer than ours may raise
        return Report(ResultRefused(), keys | failure(error, _traceback(error)))
    return Report(Returned(), keys, result)


def _encoded(value: Any, surroundings: Surroundings) -> bytes:
    result = wire.encode_result(value, surroundings.serializer)
    if len(result) > surroundings.result_limit:
        raise CannotCarry(
            f"the result has {len(result):,} bytes, the limit is {surroundings.result_limit:,}: "
            "store it elsewhere and return where it is, or give the queue a higher result_limit"
        )
    return result


def _traceback(error: BaseException) -> str:
    """The traceback as the user wrote the code: without our own frame around it."""
    own = error.__traceback__
    shown = own.tb_next if own is not None and own.tb_next is not None else own
    return "".join(tb.format_exception(type(error), error, shown))
