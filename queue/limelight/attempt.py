"""One attempt at a task: from its message to the settlement that Redis is sent. Touches no storage."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

from . import execution, wire
from .emitter import Speaker, about_task, failure, fragment
from .errors import UndecodableMessage
from .execution import Report
from .lifecycle import Decision, Fate, Retries, settle
from .storage.base import Burial, Handed, Settlement
from .task import Registered, Registry
from .tracecontext import TraceContext

log = logging.getLogger("limelight.worker")


class Declarations(Protocol):
    """What an attempt needs of its task's queue."""

    registry: Registry
    serializer: wire.Serializer
    results: bool

    @property
    def speaker(self) -> Speaker:
        """Who this process is in events."""
        ...


def attempt(queue: Declarations, handed: Handed) -> tuple[Settlement, Report]:
    """Run a started task's code; nothing that the code raises gets out.

    Returns:
        How it is to be settled, and how it went.
    """
    registered = queue.registry[handed.name]
    keep_result = queue.results and registered.schedule is None
    report, backoff = _executed(queue, registered, handed, keep_result=keep_result)
    try:
        settlement = _settlement(handed, report, backoff, keep_result=keep_result)
    except Exception as error:  # what a task raised could not even be told
        report = execution.untellable(error)
        settlement = _settlement(handed, report, backoff, keep_result=keep_result)
    _log_failure(handed, report.keys, settlement.decision)
    return settlement, report


def burial(handed: Handed, error: Exception, *, keep_result: bool) -> Burial:
    """The burial of a reserved task that nobody can run, with the reason."""
    keys = failure(error, str(error))
    return Burial(
        handed.lease,
        fragment({key: keys[key] for key in ("error_type", "error_message")}),
        fragment({"traceback": keys["traceback"]}),
        _failure_result(handed, keys, "dead") if keep_result else b"",
    )


def _executed(
    queue: Declarations, registered: Registered, handed: Handed, *, keep_result: bool
) -> tuple[Report, float]:
    try:
        message = wire.decode_message(handed.body)
    except UndecodableMessage as error:
        return execution.unreadable(error), 0.0
    context = TraceContext(
        handed.trace_id, handed.span_id, handed.trace_flags, message.trace_state, handed.traced_at
    )
    report = execution.execute(
        registered, message, queue.serializer, context=context, keep_result=keep_result
    )
    return report, message.retry_backoff


def _settlement(handed: Handed, report: Report, backoff: float, *, keep_result: bool) -> Settlement:
    decision = settle(report.outcome, Retries(handed.retries, handed.retry_delay, backoff))
    result = report.result
    if keep_result and decision.fate in {Fate.END, Fate.DEAD} and not result:
        result = _failure_result(handed, report.keys, decision.outcome)
    about = about_task(handed.lease.task_id, handed.name, handed.retries, handed.retry_delay)
    return Settlement(handed.lease, decision, report.fragment, report.traceback, result, about)


def _failure_result(handed: Handed, keys: Mapping[str, Any], outcome: str) -> bytes:
    return execution.failure_result(
        keys.get("error_type") or outcome,
        keys.get("error_message") or "",
        keys.get("traceback"),
        handed.lease.task_id,
        max(0, handed.attempt - 1),
    )


def _log_failure(handed: Handed, keys: Mapping[str, Any], decision: Decision) -> None:
    if "error_type" not in keys:
        return
    again = f"again in {decision.delay_seconds:g} s" if decision.fate is Fate.RETRY else "no attempt remains"
    log.warning(
        "%s %s failed in attempt %d: %s: %s (%s)",
        handed.name,
        handed.lease.task_id,
        handed.attempt,
        keys["error_type"],
        keys["error_message"],
        again,
    )
