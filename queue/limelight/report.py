"""How a run went, and what is to be told of it. Pure but for the clock of its watch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

from . import wire
from .emitter import failure, fragment
from .errors import (
    CancelExecution,
    CannotCarry,
    RateLimitExceeded,
    RetryTask,
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
from .privacy import EVERYTHING, Privacy
from .task import Task, as_seconds, as_timestamp


class Interruption(BaseException):
    """Leaves a task's code because its consumer ends; the task was handed back already."""


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


def returned(
    value: Any,
    watch: Stopwatch,
    serializer: wire.Serializer | None,
    limit: int,
    privacy: Privacy = EVERYTHING,
) -> Report:
    """The report of a run whose function returned.

    Args:
        value: What it returned.
        watch: When the run began.
        serializer: Encodes the value; None: it is not to be stored.
        limit: Bytes that it may have then.
        privacy: What may be told of a failure, here as in the other reports.
    """
    keys = watch.keys()
    if serializer is None:
        return Report(Returned(), keys)
    try:
        result = _encoded(value, serializer, limit)
    except Exception as error:  # also what another serializer than ours may raise
        return Report(ResultRefused(), keys | failure(error, _traceback(error, privacy), privacy))
    return Report(Returned(), keys, result)


def _encoded(value: Any, serializer: wire.Serializer, limit: int) -> bytes:
    result = wire.encode_result(value, serializer)
    if len(result) > limit:
        raise CannotCarry(
            f"the result has {len(result):,} bytes, the limit is {limit:,}: "
            "store it elsewhere and return where it is, or give the queue a higher result_limit"
        )
    return result


def raised(
    error: BaseException, watch: Stopwatch, timeout: float | None, privacy: Privacy = EVERYTHING
) -> Report:
    """The report of a run whose function raised: what it asks for so; one that asks for nonsense has failed."""
    try:
        if isinstance(error, Interruption):
            return interrupted(watch)
        if isinstance(error, TaskTimeout):
            return timed_out(watch, timeout, _traceback(error, privacy), privacy)
        if isinstance(error, RetryTask):
            return Report(AskedRetry(_asked_delay(error)), watch.keys())
        if isinstance(error, CancelExecution):
            return Report(Canceled(None if error.retry is None else bool(error.retry)), watch.keys())
        if isinstance(error, TaskLocked):
            return Report(Locked(), watch.keys() | failure(error, None, privacy))
        if isinstance(error, RateLimitExceeded):
            keys = watch.keys() | failure(error, None, privacy)
            return Report(RateLimited(error.delay, error.retry), keys)
    except Exception as fault:
        return _failed(fault, watch, privacy, final=False)
    return _failed(error, watch, privacy, final=False)


def _asked_delay(request: RetryTask) -> float | None:
    if request.eta is not None:
        return max(0.0, as_timestamp(request.eta) - time.time())
    return None if request.delay is None else as_seconds(request.delay)


def timed_out(
    watch: Stopwatch, timeout: float | None, traceback: str, privacy: Privacy = EVERYTHING
) -> Report:
    """The report of a run that was stopped, or given up, because its time was over."""
    error = (
        TaskTimeout() if timeout is None else TaskTimeout(f"it ran longer than its timeout of {timeout:g} s")
    )
    return Report(TimedOut(), watch.keys() | failure(error, traceback, privacy))


def unreadable(error: UndecodableMessage, watch: Stopwatch, privacy: Privacy = EVERYTHING) -> Report:
    """The report of a run whose message cannot be read: no retry could help."""
    return _failed(error, watch, privacy, final=True)


def untellable(error: Exception, privacy: Privacy = EVERYTHING) -> Report:
    """The report of a run whose own report could not be encoded."""
    return Report(Raised(), Stopwatch.started().keys() | failure(error, None, privacy))


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


def _failed(error: BaseException, watch: Stopwatch, privacy: Privacy, *, final: bool) -> Report:
    keys = watch.keys() | failure(error, _traceback(error, privacy), privacy)
    return Report(Raised(final=final), keys)


def _traceback(error: BaseException, privacy: Privacy) -> str:
    """The traceback as the user wrote the code: without the frames that led to it."""
    shown = error.__traceback__
    while shown is not None and _is_ours(shown):
        shown = shown.tb_next
    return privacy.traceback(error, shown)


def _is_ours(shown: TracebackType) -> bool:
    module = shown.tb_frame.f_globals.get("__name__", "")
    return module.partition(".")[0] in _OURS


_OURS: Final = frozenset({"limelight", "asyncio", "concurrent"})
