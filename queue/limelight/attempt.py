"""One attempt at a job: from its message to its settlement."""

from __future__ import annotations

import logging

from . import closing, execution, report, tracing, wire
from .errors import RedisError, UndecodableMessage
from .execution import AsyncStage, Stage, Terms, plainly
from .job import Job, Q
from .report import Report, Stopwatch
from .storage.base import Settlement
from .tracecontext import NOTHING, Allowance, TraceContext

log = logging.getLogger("limelight.consumer")


def attempt(job: Job[Q], stage: Stage = plainly) -> Settlement:
    """Run a job's code and say how it is to be settled; nothing that the code raises gets out."""
    job.watch = watch = Stopwatch.started()
    prepared = _prepared(job, watch)
    if isinstance(prepared, Report):
        return _settlement(job, prepared)
    message, terms = prepared
    made = execution.execute(job.registered, message, job.queue.surroundings, terms, stage)
    return _settlement(job, made)


async def attempt_async(job: Job[Q], stage: AsyncStage) -> Settlement:
    """As `attempt`, for a job whose code is awaited in the running event loop."""
    job.watch = watch = Stopwatch.started()
    prepared = _prepared(job, watch)
    if isinstance(prepared, Report):
        return _settlement(job, prepared)
    message, terms = prepared
    made = await execution.execute_async(job.registered, message, job.queue.surroundings, terms, stage)
    return _settlement(job, made)


def given_up(job: Job[Q], traceback: str) -> Settlement:
    """The settlement of a job whose code did not stop when its time was over.

    Args:
        job: Which.
        traceback: Where its code is, as text.
    """
    watch = job.watch or Stopwatch.started()
    return _settlement(job, report.timed_out(watch, job.timeout, traceback, job.queue.surroundings.privacy))


def _prepared(job: Job[Q], watch: Stopwatch) -> tuple[wire.Message, Terms] | Report:
    """The call and the terms on which it runs; the report of why it cannot."""
    handed = job.handed
    try:
        message = wire.decode_message(handed.body)
        given = execution.inputs(handed.input, _gathered(job), job.queue.serializer)
    except UndecodableMessage as error:
        return report.unreadable(error, watch, job.queue.surroundings.privacy)
    except RedisError as error:
        log.error("the results that %s gathers cannot be read now: %s", handed.lease.task_id, error)
        return report.interrupted(watch)
    job.timeout, job.backoff = message.timeout or job.timeout, message.backoff
    context = _context(job, message)
    return message, Terms(
        handed=handed,
        context=context,
        timeout=job.timeout,
        keep_result=_keeps_result(job) or handed.leaves,
        watch=watch,
        given=given,
        notes=job.notes,
    )


def _context(job: Job[Q], message: wire.Message) -> TraceContext:
    """The trace context of the run, and the notes that are taken of it."""
    handed, around = job.handed, job.queue.surroundings
    traced = around.tracing
    context = TraceContext(
        handed.trace_id,
        handed.span_id,
        handed.trace_flags,
        message.trace_state,
        handed.traced_at,
        message.headers or NOTHING,
        None if traced is None else Allowance(traced.fanout),
    )
    if traced is not None:
        job.notes.recording = tracing.recording(context, around.privacy)
    return context


def _gathered(job: Job[Q]) -> list[bytes] | None:
    """What the members of a group left for this job, None if it gathers nothing."""
    return job.queue.storage.gathered(job.handed.gathers) if job.handed.gathers else None


def _settlement(job: Job[Q], made: Report) -> Settlement:
    keep = _keeps_result(job)
    job.task = made.task
    try:
        told = job.notes.keys()
        settlement = closing.settlement(job.handed, made, job.backoff, keep_result=keep, told=told)
    except Exception as error:  # what a task raised could not even be told
        made = report.untellable(error, job.queue.surroundings.privacy)
        settlement = closing.settlement(job.handed, made, job.backoff, keep_result=keep)
    closing.log_failure(job.handed, made.keys, settlement.decision)
    return settlement


def _keeps_result(job: Job[Q]) -> bool:
    return job.queue.results and job.registered.schedule is None
