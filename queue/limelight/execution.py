"""One run of one task: from its message to how it went. Calls user code, touches no storage."""

from __future__ import annotations

import time
import traceback as tb
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from . import wire
from .canvas import SKIPPED
from .emitter import failure, fragment
from .errors import (
    CancelExecution,
    CannotCarry,
    RateLimitExceeded,
    RetryTask,
    TaskException,
    TaskLocked,
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


def execute(
    registered: Registered,
    message: wire.Message,
    serializer: wire.Serializer,
    *,
    context: TraceContext,
    keep_result: bool,
    lease: Lease | None = None,
    given: Sequence[Any] = (),
    watch: Stopwatch | None = None,
) -> Report:
    """Run a task and say how it went; no exception of the task gets out, KeyboardInterrupt and exits included.

    Args:
        registered: What to run.
        message: The call.
        serializer: Of the queue.
        context: The trace context of this run; current while the task's code runs.
        keep_result: Whether the return value is to be encoded.
        lease: The right to this run, by which it takes locks.
        given: What earlier tasks left for it, added to its arguments.
        watch: When it began; by default now.
    """
    watch = watch or Stopwatch.started()
    try:
        args, kwargs = wire.decode_arguments(message, serializer)
        for value in given:
            args, kwargs = extended(args, kwargs, value)
    except UndecodableMessage as error:
        return _failed(error, watch, final=True)
    token, holder = current_run.set(context), current_lease.set(lease)
    try:
        value = registered.func(*args, **kwargs)
    except BaseException as error:
        return _raised(error, watch)
    finally:
        current_run.reset(token)
        current_lease.reset(holder)
    return _returned(value, serializer, watch, keep_result=keep_result)


def _raised(error: BaseException, watch: Stopwatch) -> Report:
    """What a task asks for by raising; one that asks for nonsense has failed."""
    try:
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


def _returned(value: Any, serializer: wire.Serializer, watch: Stopwatch, *, keep_result: bool) -> Report:
    keys = watch.keys()
    if not keep_result:
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
    """The traceback as the user wrote the code: without our own frame around it."""
    own = error.__traceback__
    shown = own.tb_next if own is not None and own.tb_next is not None else own
    return "".join(tb.format_exception(type(error), error, shown))
