"""One attempt at a job: from its message to its settlement."""

from __future__ import annotations

from limelight import execution, wire
from limelight.errors import UndecodableMessage
from limelight.execution import Report, Stopwatch
from limelight.tracecontext import TraceContext

from . import closing
from .holdings import Job


def attempt(job: Job) -> float:
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


def _executed(job: Job, watch: Stopwatch, *, keep_result: bool) -> tuple[Report, float]:
    handed = job.handed
    try:
        message = wire.decode_message(handed.body)
    except UndecodableMessage as error:
        return execution.unreadable(error), 0.0
    context = TraceContext(
        handed.trace_id, handed.span_id, handed.trace_flags, message.trace_state, handed.traced_at
    )
    report = execution.execute(
        job.registered,
        message,
        job.queue.serializer,
        context=context,
        keep_result=keep_result,
        watch=watch,
    )
    return report, message.retry_backoff
