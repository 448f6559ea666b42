"""One attempt at a job: from its message to its settlement."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from limelight import execution, wire
from limelight.errors import UndecodableMessage
from limelight.execution import Report, Stage, Stopwatch, Terms, plainly
from limelight.storage.base import Settlement
from limelight.task import Registered
from limelight.tracecontext import TraceContext

from . import closing
from .holdings import Job

AsyncStage = Callable[[Callable[[], Awaitable[Any]], float | None], Awaitable[Any]]


def attempt(job: Job, stage: Stage = plainly) -> Settlement:
    """Run a job's code and say how it is to be settled; nothing that the code raises gets out."""
    job.watch = watch = Stopwatch.started()
    try:
        message = wire.decode_message(job.handed.body)
    except UndecodableMessage as error:
        return _settlement(job, execution.unreadable(error), 0.0)
    terms = _terms(job, message, watch)
    report = execution.execute(job.registered, message, job.queue.serializer, terms, stage)
    return _settlement(job, report, message.retry_backoff)


async def attempt_async(job: Job, stage: AsyncStage) -> Settlement:
    """As `attempt`, for a job whose code is awaited in the running event loop."""
    job.watch = watch = Stopwatch.started()
    try:
        message = wire.decode_message(job.handed.body)
    except UndecodableMessage as error:
        return _settlement(job, execution.unreadable(error), 0.0)
    terms = _terms(job, message, watch)
    report = await execution.execute_async(job.registered, message, job.queue.serializer, terms, stage)
    return _settlement(job, report, message.retry_backoff)


def given_up(job: Job, traceback: str) -> Settlement:
    """The settlement of a job whose code did not stop when its time was over.

    Args:
        job: Which.
        traceback: Where its code is, as text.
    """
    watch = job.watch or Stopwatch.started()
    return _settlement(job, execution.timed_out(watch, timeout_of(job.registered), traceback), 0.0)


def timeout_of(registered: Registered) -> float | None:
    """Seconds that one run of a task may take; None: as many as it likes."""
    timeout: float | None = getattr(registered.options, "timeout", None)
    return timeout


def _terms(job: Job, message: wire.Message, watch: Stopwatch) -> Terms:
    handed = job.handed
    context = TraceContext(
        handed.trace_id, handed.span_id, handed.trace_flags, message.trace_state, handed.traced_at
    )
    return Terms(
        context=context,
        timeout=timeout_of(job.registered),
        keep_result=_keeps_result(job),
        watch=watch,
    )


def _settlement(job: Job, report: Report, backoff: float) -> Settlement:
    keep = _keeps_result(job)
    try:
        settlement = closing.settlement(job.handed, report, backoff, keep_result=keep)
    except Exception as error:  # what a task raised could not even be told
        report = execution.untellable(error)
        settlement = closing.settlement(job.handed, report, backoff, keep_result=keep)
    closing.log_failure(job.handed, report.keys, settlement.decision)
    return settlement


def _keeps_result(job: Job) -> bool:
    return job.queue.results and job.registered.schedule is None
