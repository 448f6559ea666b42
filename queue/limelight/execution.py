"""One run of one task: from its message to how it went. Calls user code, touches no storage."""

from __future__ import annotations

import time
import traceback as tb
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

from . import wire
from .canvas import SKIPPED
from .deadline import limited
from .emitter import failure, fragment
from .errors import (
    CancelExecution,
    CannotCarry,
    RateLimitExceeded,
    RetryTask,
    TaskException,
    TaskLocked,
    TaskTimeout,
    UndecodableMessage,
)
from .lifecycle import (
    AskedRetry,
    Canceled,
    Interrupted,
    Locked,
    Outcome,
    Raised,
    RateLimited,
    ResultRefused,
    Returned,
    TimedOut,
)
from .running import current_lease
from .storage.base import Lease
from .task import Registered, as_seconds, as_timestamp, extended
from .tracecontext import TraceContext, current_run

RESULT_LIMIT_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Report:
    """How a run went, and what to tell of it.

    Attributes:
        outcome: For `lifecycle.settle` to decide on.
        keys: Further keys of the closing event: duration, error, span times.
        result: Encoded return value or failure, b"" for nothing to store.
    """

    outcome: Outcome
    keys: dict[str, Any]
    result: bytes = b""

    @property
    def fragment(self) -> str:
        """The keys as an event fragment, all but the traceback."""
        return fragment({key: value for key, value in self.keys.items() if key != "traceback"})

    @property
    def traceback(self) -> str:
        """The traceback as an event fragment, "" if there is none."""
        return fragment({"traceback": self.keys.get("traceback")})

    @property
    def reason(self) -> str:
        """Type and message of the error as an event fragment, "" if there is none."""
        return fragment({key: self.keys.get(key) for key in ("error_type", "error_message")})


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """When a run began: wall clock for its span, monotonic for its duration."""

    wall_ns: int
    monotonic: float

    @property
    def seconds(self) -> float:
        """How long it runs by now."""
        return max(0.0, time.monotonic() - self.monotonic)

    @classmethod
    def started(cls) -> Stopwatch:
        """Start it now."""
        return cls(time.time_ns(), time.monotonic())

    def keys(self) -> dict[str, Any]:
        """``duration`` (seconds), ``span_start`` and ``span_end`` (ns, text) up to now."""
        duration = self.seconds
        end_ns = self.wall_ns + round(duration * 1e9)
        return {"duration": round(duration, 6), "span_start": str(self.wall_ns), "span_end": str(end_ns)}


Call = Callable[[], Any]
Stage = Callable[[Call, float | None], Any]
"""How a worker runs a task's code: the call, and after how many seconds it is to be stopped (None: never)."""


def plainly(call: Call, _seconds: float | None) -> Any:
    """The stage that stops nothing."""
    return call()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On which terms a task is run.

    Attributes:
        context: The trace context of this run; current while the task's code runs.
        timeout: Seconds after which it is to be stopped; None: never.
        keep_result: Whether the return value is to be encoded.
        watch: When the run began.
        lease: The right to this run, by which it takes locks.
        given: What earlier tasks left for it, added to its arguments.
    """

    context: TraceContext
    timeout: float | None
    keep_result: bool
    watch: Stopwatch
    lease: Lease | None = None
    given: Sequence[Any] = ()


def execute(
    registered: Registered,
    message: wire.Message,
    serializer: wire.Serializer,
    terms: Terms,
    stage: Stage = plainly,
) -> Report:
    """Run a task and say how it went; no exception of the task gets out, KeyboardInterrupt and exits included.

    Args:
        registered: What to run.
        message: The call.
        serializer: Of the queue.
        terms: When, in which trace, for how long.
        stage: Runs the code; an awaitable that it returns in place of a value is its own to await.
    """
    try:
        args, kwargs = _arguments(message, serializer, terms.given)
    except UndecodableMessage as error:
        return _failed(error, terms.watch, final=True)
    func = registered.func
    token, holder = current_run.set(terms.context), current_lease.set(terms.lease)
    try:
        with _time_limit(terms.timeout):
            value = stage(lambda: func(*args, **kwargs), terms.timeout)
    except BaseException as error:
        return _raised(error, terms)
    finally:
        current_run.reset(token)
        current_lease.reset(holder)
    return _returned(value, serializer, terms)


async def execute_async(
    registered: Registered,
    message: wire.Message,
    serializer: wire.Serializer,
    terms: Terms,
    stage: Callable[[Callable[[], Awaitable[Any]], float | None], Awaitable[Any]],
) -> Report:
    """As `execute`, for a task whose code is awaited in the running event loop."""
    try:
        args, kwargs = _arguments(message, serializer, terms.given)
    except UndecodableMessage as error:
        return _failed(error, terms.watch, final=True)
    func = registered.func
    current_run.set(terms.context)  # an asyncio task has a context of its own
    current_lease.set(terms.lease)
    try:
        with _time_limit(terms.timeout):
            value = await stage(lambda: func(*args, **kwargs), terms.timeout)
    except BaseException as error:
        return _raised(error, terms)
    return _returned(value, serializer, terms)


def _arguments(
    message: wire.Message, serializer: wire.Serializer, given: Sequence[Any]
) -> tuple[list[Any], dict[str, Any]]:
    args, kwargs = wire.decode_arguments(message, serializer)
    for value in given:
        args, kwargs = extended(args, kwargs, value)
    return args, kwargs


def _time_limit(seconds: float | None) -> AbstractContextManager[None]:
    return _NO_LIMIT if seconds is None else limited(seconds)


_NO_LIMIT: Final = nullcontext()


def _raised(error: BaseException, terms: Terms) -> Report:
    """What a task asks for by raising; one that asks for nonsense has failed."""
    watch = terms.watch
    try:
        if isinstance(error, TaskTimeout):
            return timed_out(watch, terms.timeout, _traceback(error))
        if isinstance(error, RetryTask):
            return Report(AskedRetry(_asked_delay(error)), watch.keys())
        if isinstance(error, CancelExecution):
            return Report(Canceled(None if error.retry is None else bool(error.retry)), watch.keys())
        if isinstance(error, TaskLocked):
            return Report(Locked(), watch.keys() | failure(error))
        if isinstance(error, RateLimitExceeded):
            return Report(RateLimited(error.delay, error.retry), watch.keys() | failure(error))
    except Exception as fault:
        return _failed(fault, watch, final=False)
    return _failed(error, watch, final=False)


def timed_out(watch: Stopwatch, timeout: float | None, traceback: str) -> Report:
    """The report of a run that was stopped, or given up, because its time was over."""
    error = (
        TaskTimeout() if timeout is None else TaskTimeout(f"it ran longer than its timeout of {timeout:g} s")
    )
    return Report(TimedOut(), watch.keys() | failure(error, traceback))


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


def unreadable(error: UndecodableMessage) -> Report:
    """The report of a run whose message cannot be read: no retry could help."""
    return _failed(error, Stopwatch.started(), final=True)


def untellable(error: Exception) -> Report:
    """The report of a run whose own report could not be encoded."""
    return Report(Raised(), Stopwatch.started().keys() | failure(error))


def interrupted(watch: Stopwatch | None) -> Report:
    """The report of a run that its worker had to leave; one that it never began (None) has no duration."""
    keys = (watch or Stopwatch.started()).keys()
    if watch is None:
        del keys["duration"]
    return Report(Interrupted(), keys)


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


def _returned(value: Any, serializer: wire.Serializer, terms: Terms) -> Report:
    keys = terms.watch.keys()
    if not terms.keep_result:
        return Report(Returned(), keys)
    try:
        result = _encoded(lambda: wire.encode_result(value, serializer))
    except Exception as error:  # also what another serializer than ours may raise
        return Report(ResultRefused(), keys | failure(error, _traceback(error)))
    return Report(Returned(), keys, result)


def _encoded(encode: Callable[[], bytes]) -> bytes:
    result = encode()
    if len(result) > RESULT_LIMIT_BYTES:
        raise CannotCarry(
            f"the result has {len(result):,} bytes, the limit is {RESULT_LIMIT_BYTES:,}: "
            "store it elsewhere and return where it is"
        )
    return result


def _traceback(error: BaseException) -> str:
    """The traceback as the user wrote the code: without the frames that led to it."""
    shown = error.__traceback__
    while shown is not None and _is_ours(shown):
        shown = shown.tb_next
    return "".join(tb.format_exception(type(error), error, shown or error.__traceback__))


def _is_ours(shown: TracebackType) -> bool:
    module = shown.tb_frame.f_globals.get("__name__", "")
    return module.partition(".")[0] in _OURS


_OURS: Final = frozenset({"limelight", "asyncio", "concurrent"})
