"""How a run closes: from the report of how it went to the settlement that Redis is sent."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Mapping
from typing import Any, Final

from .emitter import about_task, failure, fragment
from .events import EVENT_RETRYING
from .job import Job, Q
from .lifecycle import Decision, Fate, Retries, settle
from .report import Report, failure_result, interrupted
from .retry import STEADY, Backoff
from .storage.base import Burial, Handed, Settlement

log = logging.getLogger("limelight.consumer")

WORKER_LOST: Final = "limelight.worker_lost"


def settlement(
    handed: Handed,
    report: Report,
    backoff: Backoff = STEADY,
    *,
    keep_result: bool = False,
    told: Mapping[str, Any] | None = None,
) -> Settlement:
    """What a run's report means for its task.

    Args:
        handed: The task.
        report: How the run went.
        backoff: How the delays of its retries grow and spread.
        keep_result: Whether what it leaves is to be kept where its result would be read.
        told: Further keys of the closing event alone.
    """
    decision = settle(report.outcome, Retries(handed.retries, handed.retry_delay, backoff), random.random())
    result = report.result
    if (keep_result or handed.leaves) and decision.fate in {Fate.END, Fate.DEAD} and not result:
        result = _failure_result(handed, report.keys, decision.outcome)
    own = fragment(told) if told else ""
    closes_by_retrying = (
        decision.status == EVENT_RETRYING
    )  # that has no place for what is the closing event's alone
    about = about_task(handed.lease.task_id, handed.name, handed.retries, handed.retry_delay)
    return Settlement(
        handed.lease,
        decision,
        report.fragment + own if closes_by_retrying else report.fragment,
        "" if closes_by_retrying else report.traceback + own,
        result,
        about,
        reason=report.reason,
        stored=keep_result,
        heirs=handed.heirs if decision.end not in {"", "success"} else (),
    )


def hand_back(jobs: Iterable[Job[Q]]) -> None:
    """Have jobs that are not done settled as interrupted: they go back to the queue, the attempt not counted."""
    for job in jobs:
        if job.settlement is None:
            job.settlement = settlement(job.handed, interrupted(job.watch), told=job.notes.keys())


def burial(handed: Handed, error: Exception) -> Burial:
    """The burial of a reserved task that nobody can run, with the reason."""
    keys = failure(error, str(error))
    return Burial(
        handed.lease,
        fragment({key: keys[key] for key in ("error_type", "error_message")}),
        fragment({"traceback": keys["traceback"]}),
        _failure_result(handed, keys, "dead"),
    )


def lost_result(task_id: str, cause: str) -> bytes:
    """What is left to read of a task whose worker was lost once too often."""
    return failure_result(WORKER_LOST, f"{cause}, and no redelivery remains", None, task_id, 0)


def _failure_result(handed: Handed, keys: Mapping[str, Any], outcome: str) -> bytes:
    return failure_result(
        keys.get("error_type") or outcome,
        keys.get("error_message") or "",
        keys.get("traceback"),
        handed.lease.task_id,
        max(0, handed.attempt - 1),
    )


def log_failure(handed: Handed, keys: Mapping[str, Any], decision: Decision) -> None:
    """Log a run that failed, and what becomes of its task."""
    if "error_type" not in keys:
        return
    again = f"again in {decision.delay_seconds:g} s" if decision.fate is Fate.RETRY else "no attempt remains"
    log.warning(
        "%s %s failed in attempt %d: %s: %s (%s)",
        handed.name,
        handed.lease.task_id,
        handed.attempt,
        keys["error_type"],
        keys["error_message"] or "(its message is not to be told)",
        again,
    )
    if decision.fate is Fate.DEAD and keys.get("traceback"):
        log.warning("%s", keys["traceback"].rstrip())
