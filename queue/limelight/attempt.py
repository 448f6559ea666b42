"""One attempt at a job: from its message to its settlement."""

from __future__ import annotations

import logging

from . import closing, execution, wire
from .errors import RedisError, UndecodableMessage
from .execution import Report, Stopwatch
from .job import Job, Q
from .retry import STEADY, Backoff
from .tracecontext import TraceContext

log = logging.getLogger("limelight.consumer")


def attempt(job: Job[Q]) -> float:
    """Run a job's code and note how it is to be settled; nothing that the code raises gets out.

    Returns:
        Seconds that it ran.
    """
    job.watch = watch = Stopwatch.started()
    keep_result = job.queue.results and job.registered.schedule is None
    report, backoff = _executed(job, watch, keep_result=keep_result)
    try:
        settlement = closing.settlement(job.handed, report, backoff, keep_result=keep_result)
    except Exception as error:  # what a task raised could not even be told
        report = execution.untellable(error)
        settlement = closing.settlement(job.handed, report, backoff, keep_result=keep_result)
    closing.log_failure(job.handed, report.keys, settlement.decision)
    job.settlement = settlement
    return watch.seconds


def _executed(job: Job[Q], watch: Stopwatch, *, keep_result: bool) -> tuple[Report, Backoff]:
    handed, serializer = job.handed, job.queue.serializer
    try:
        message = wire.decode_message(handed.body)
        given = execution.inputs(handed.input, _gathered(job), serializer)
    except UndecodableMessage as error:
        return execution.unreadable(error), STEADY
    except RedisError as error:
        log.error("the group whose results %s wants cannot be read now: %s", handed.lease.task_id, error)
        return execution.interrupted(watch), STEADY
    context = TraceContext(
        handed.trace_id, handed.span_id, handed.trace_flags, message.trace_state, handed.traced_at
    )
    report = execution.execute(
        job.registered,
        message,
        serializer,
        context=context,
        keep_result=keep_result or handed.leaves,
        lease=handed.lease,
        given=given,
        watch=watch,
    )
    return report, message.backoff


def _gathered(job: Job[Q]) -> list[bytes] | None:
    """What the members of a group left for this job, None if it gathers nothing."""
    return job.queue.storage.gathered(job.handed.gathers) if job.handed.gathers else None
