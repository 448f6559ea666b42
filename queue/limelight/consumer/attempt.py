"""One attempt at a job: from its message to its settlement."""

from __future__ import annotations

import logging

from limelight import execution, report, wire
from limelight.errors import RedisError, UndecodableMessage
from limelight.execution import AsyncStage, Stage, Terms, plainly
from limelight.report import Report, Stopwatch
from limelight.retry import STEADY, Backoff
from limelight.storage.base import Settlement
from limelight.tracecontext import TraceContext

from . import closing
from .holdings import Job

log = logging.getLogger("limelight.consumer")


def attempt(job: Job, stage: Stage = plainly) -> Settlement:
    """Run a job's code and say how it is to be settled; nothing that the code raises gets out."""
    job.watch = watch = Stopwatch.started()
    prepared = _prepared(job, watch)
    if isinstance(prepared, Report):
        return _settlement(job, prepared, STEADY)
    message, terms = prepared
    made = execution.execute(job.registered, message, job.queue.surroundings, terms, stage)
    return _settlement(job, made, message.backoff)


async def attempt_async(job: Job, stage: AsyncStage) -> Settlement:
    """As `attempt`, for a job whose code is awaited in the running event loop."""
    job.watch = watch = Stopwatch.started()
    prepared = _prepared(job, watch)
    if isinstance(prepared, Report):
        return _settlement(job, prepared, STEADY)
    message, terms = prepared
    made = await execution.execute_async(job.registered, message, job.queue.surroundings, terms, stage)
    return _settlement(job, made, message.backoff)


def given_up(job: Job, traceback: str) -> Settlement:
    """The settlement of a job whose code did not stop when its time was over.

    Args:
        job: Which.
        traceback: Where its code is, as text.
    """
    watch = job.watch or Stopwatch.started()
    try:
        message = wire.decode_message(job.handed.body)
    except UndecodableMessage as error:  # its code runs, so it was readable once
        return _settlement(job, report.unreadable(error), STEADY)
    return _settlement(job, report.timed_out(watch, message.timeout or None, traceback), message.backoff)


def _prepared(job: Job, watch: Stopwatch) -> tuple[wire.Message, Terms] | Report:
    """The call and the terms on which it runs; the report of why it cannot."""
    handed = job.handed
    try:
        message = wire.decode_message(handed.body)
        given = execution.inputs(handed.input, _gathered(job), job.queue.serializer)
    except UndecodableMessage as error:
        return report.unreadable(error)
    except RedisError as error:
        log.error("the results that %s gathers cannot be read now: %s", handed.lease.task_id, error)
        return report.interrupted(watch)
    context = TraceContext(
        handed.trace_id, handed.span_id, handed.trace_flags, message.trace_state, handed.traced_at
    )
    return message, Terms(
        handed=handed,
        context=context,
        timeout=message.timeout or None,
        keep_result=_keeps_result(job) or handed.leaves,
        watch=watch,
        given=given,
    )


def _gathered(job: Job) -> list[bytes] | None:
    """What the members of a group left for this job, None if it gathers nothing."""
    return job.queue.storage.gathered(job.handed.gathers) if job.handed.gathers else None


def _settlement(job: Job, made: Report, backoff: Backoff) -> Settlement:
    keep = _keeps_result(job)
    job.task = made.task
    try:
        settlement = closing.settlement(job.handed, made, backoff, keep_result=keep)
    except Exception as error:  # what a task raised could not even be told
        made = report.untellable(error)
        settlement = closing.settlement(job.handed, made, backoff, keep_result=keep)
    closing.log_failure(job.handed, made.keys, settlement.decision)
    return settlement


def _keeps_result(job: Job) -> bool:
    return job.queue.results and job.registered.schedule is None
