"""A worker thread: ask for a task, run it, settle it and ask for the next in the same trip."""

from __future__ import annotations

import logging
import random
import threading
import time
import traceback as tb
from collections.abc import Callable, Sequence
from typing import Any, Final

from limelight import events, execution, wire
from limelight.emitter import NO_TASK, about_task, failure, fragment
from limelight.errors import (
    LimelightError,
    OutcomeUnknown,
    RedisRefused,
    RedisUnavailable,
    UndecodableMessage,
    UnknownTask,
)
from limelight.lifecycle import Fate, Retries, settle
from limelight.storage.base import Handed, Notice, Reservation, ReserveRequest, Settlement
from limelight.task import Registered
from limelight.task_queue import RedisQueue
from limelight.tracecontext import TraceContext

from .holdings import Holdings
from .reporter import Reporter

log = logging.getLogger("limelight.consumer")

_WAIT_SECONDS: Final = 5.0
_BACK_OFF_SECONDS: Final = (0.1, 5.0)
_SCHEDULE_BATCH: Final = 100


class Worker(threading.Thread):
    """Runs one task at a time until it is told to stop.

    Args:
        queue: Whose tasks.
        owner: Who we are to Redis: new at every start of the process.
        number: From 1, for its name.
        holdings: Where what it runs is noted, so that leases are renewed.
        reporter: Takes the events that go with no change of state.
        on_scheduled: Called when something was put on the schedule.
        stopping: Set when no new task shall begin.
        lease_seconds: How long a task is ours without renewal.
    """

    def __init__(
        self,
        queue: RedisQueue,
        *,
        owner: str,
        number: int,
        holdings: Holdings,
        reporter: Reporter,
        on_scheduled: Callable[[], None],
        stopping: threading.Event,
        lease_seconds: float,
    ) -> None:
        super().__init__(name=f"worker-{number}", daemon=True)
        self.owner = owner
        self._queue = queue
        self._storage = queue.storage
        self._holdings = holdings
        self._reporter = reporter
        self._on_scheduled = on_scheduled
        self._stopping = stopping
        self._lease_seconds = lease_seconds
        self._where = queue.speaker.worker(self.name)
        self._requests = 0

    def run(self) -> None:
        """Work until told to stop, and until everything is settled."""
        settlements: list[Settlement] = []
        while settlements or not self._stopping.is_set():
            try:
                settlements = self._turn(settlements)
            except Exception as error:
                # A fault of ours must not end the thread: it is told, and the leases bring the tasks back.
                log.exception("%s: unexpected error", self.name)
                self._report(events.EVENT_ERROR_INTERNAL, error)
                settlements = []
                self._stopping.wait(1.0)

    def _turn(self, settlements: list[Settlement]) -> list[Settlement]:
        sent_at = time.monotonic()
        reservation = self._trip(settlements)
        if reservation is None:
            return []
        if reservation.delayed:
            self._storage.schedule_delayed(_SCHEDULE_BATCH, self._where)
            self._on_scheduled()
        if not reservation.tasks and not reservation.delayed:
            self._wait()
        return [
            settlement
            for handed in reservation.tasks
            if (settlement := self._handle(handed, sent_at)) is not None
        ]

    # -- Talking to Redis -------------------------------------------------------------------------------
    def _trip(self, settlements: Sequence[Settlement]) -> Reservation | None:
        """Settle and reserve, repeated until it is answered; None when nothing was reserved."""
        request = None if self._stopping.is_set() else self._next_request()
        pending, delay = list(settlements), _BACK_OFF_SECONDS[0]
        while pending or request is not None:
            try:
                settled, reserved = self._storage.settle_and_reserve(
                    pending, request, where=self._where, result_ttl_ms=self._queue.result_ttl_ms
                )
            except (RedisUnavailable, OutcomeUnknown) as error:
                self._report_outage(error, dequeueing=request is not None)
                pending = [one for one in pending if self._holdings.is_ours(one.lease)]
                request = None if self._stopping.is_set() else request
                self._pause(delay)
                delay = min(delay * 2, _BACK_OFF_SECONDS[1])
                continue
            self._reporter.redis_is_up()
            self._note_settled(pending, settled)
            if isinstance(reserved, RedisRefused):
                self._report_outage(reserved, dequeueing=True)
                self._pause(_BACK_OFF_SECONDS[1] / 5)
                return None
            return reserved
        return None

    def _next_request(self) -> ReserveRequest:
        self._requests += 1
        return ReserveRequest(
            self.owner,
            self._requests,
            count=1,
            lease_seconds=self._lease_seconds,
            names=list(self._queue.registry),
        )

    def _note_settled(
        self, settlements: Sequence[Settlement], replies: Sequence[bool | RedisRefused]
    ) -> None:
        for settlement, reply in zip(settlements, replies, strict=True):
            self._holdings.drop(settlement.lease)
            if isinstance(reply, RedisRefused):
                self._report_refused(settlement, reply)
            elif settlement.decision.delay_seconds > 0:
                self._on_scheduled()
            elif not reply:
                log.debug("task %s was settled before, or is not ours any more", settlement.lease.task_id)

    def _wait(self) -> None:
        try:
            self._storage.wait_for_work(_WAIT_SECONDS)
        except LimelightError:
            self._pause(_BACK_OFF_SECONDS[0])  # the next trip finds out and tells

    def _pause(self, seconds: float) -> None:
        self._stopping.wait(seconds * random.uniform(0.5, 1.0))

    # -- Running ----------------------------------------------------------------------------------------
    def _handle(self, handed: Handed, sent_at: float) -> Settlement | None:
        try:
            registered = self._queue.registry[handed.name]
        except UnknownTask as error:
            self._bury(handed, error)
            return None
        started = handed if handed.started else self._start(handed)
        if started is None:
            return None
        self._holdings.take(started, sent_at)
        return self._run(registered, started)

    def _start(self, handed: Handed) -> Handed | None:
        (started,) = self._storage.start([handed.lease], lease_seconds=self._lease_seconds, where=self._where)
        return started

    def _bury(self, handed: Handed, error: UnknownTask) -> None:
        log.error("task %s is a dead letter now: %s", handed.lease.task_id, error)
        keys = failure(error, str(error))
        self._storage.bury(
            handed.lease,
            reason_fragment=fragment({key: keys[key] for key in ("error_type", "error_message")}),
            traceback_fragment=fragment({"traceback": keys["traceback"]}),
            where=self._where,
        )

    def _run(self, registered: Registered, handed: Handed) -> Settlement:
        backoff, keep_result = 0.0, self._queue.results and registered.schedule is None
        try:
            message = wire.decode_message(handed.body)
        except UndecodableMessage as error:
            report = execution.unreadable(error)
        else:
            backoff = message.retry_backoff
            context = TraceContext(
                handed.trace_id, handed.span_id, handed.trace_flags, message.trace_state, handed.traced_at
            )
            report = execution.execute(
                registered, message, self._queue.serializer, context=context, keep_result=keep_result
            )
        decision = settle(report.outcome, Retries(handed.retries, handed.retry_delay, backoff))
        _log_failure(handed, report.keys, decision.fate, decision.delay_seconds)
        result = report.result
        if keep_result and decision.fate is not Fate.RETRY and not result:
            result = _failure_result(handed, report.keys, decision.outcome)
        about = about_task(handed.lease.task_id, handed.name, handed.retries, handed.retry_delay)
        return Settlement(handed.lease, decision, report.fragment, report.traceback, result, about)

    # -- Telling ----------------------------------------------------------------------------------------
    def _report(self, status: str, error: BaseException, about: str = NO_TASK) -> None:
        keys = failure(error, "".join(tb.format_exception(error)))
        self._reporter.add(Notice(status, True, "worker", about + self._where + fragment(keys)))

    def _report_outage(self, error: LimelightError, *, dequeueing: bool) -> None:
        self._reporter.redis_is_down(error)
        self._report(events.EVENT_ERROR_DEQUEUEING if dequeueing else events.EVENT_ERROR_INTERNAL, error)

    def _report_refused(self, settlement: Settlement, error: RedisRefused) -> None:
        """Redis refused to settle: nothing changed, so the lease will run out and bring the task back."""
        log.error("task %s could not be settled: %s", settlement.lease.task_id, error)
        decision = settlement.decision
        status = events.EVENT_ERROR_INTERNAL
        if decision.fate is Fate.RETRY:
            later = decision.delay_seconds > 0
            status = events.EVENT_ERROR_SCHEDULING if later else events.EVENT_ERROR_ENQUEUEING
        self._report(status, error, settlement.about)


def _failure_result(handed: Handed, keys: dict[str, Any], outcome: str) -> bytes:
    return execution.failure_result(
        keys.get("error_type") or outcome,
        keys.get("error_message") or "",
        keys.get("traceback"),
        handed.lease.task_id,
        handed.attempt - 1,
    )


def _log_failure(handed: Handed, keys: dict[str, Any], fate: Fate, delay_seconds: float) -> None:
    if "error_type" not in keys:
        return
    again = f"again in {delay_seconds:g} s" if fate is Fate.RETRY else "no attempt remains"
    log.warning(
        "%s %s failed in attempt %d: %s: %s (%s)",
        handed.name,
        handed.lease.task_id,
        handed.attempt,
        keys["error_type"],
        keys["error_message"],
        again,
    )
    if fate is Fate.DEAD and keys.get("traceback"):
        log.warning("%s", keys["traceback"].rstrip())
