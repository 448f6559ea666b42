"""What a worker thread does: ask for a task, run it, settle it and ask for the next in the same trip."""

from __future__ import annotations

import logging
import random
import threading
import time
import traceback as tb
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from limelight import events, execution, wire
from limelight.consumer.holdings import Holdings
from limelight.consumer.reporter import Reporter
from limelight.emitter import NO_TASK, about_task, failure, fragment
from limelight.errors import OutcomeUnknown, RedisError, RedisRefused, UndecodableMessage, UnknownTask
from limelight.execution import Stopwatch
from limelight.lifecycle import Decision, Fate, Retries, settle
from limelight.retry import STEADY, Backoff
from limelight.signals import SIGNAL_SCHEDULED
from limelight.storage.base import Burial, Handed, Lease, Notice, Reservation, ReserveRequest, Settlement
from limelight.task import Registered, Task
from limelight.task_queue import RedisQueue
from limelight.tracecontext import TraceContext

log = logging.getLogger("limelight.consumer")

_WAIT_SECONDS: Final = 5.0
_BACK_OFF_SECONDS: Final = (0.1, 5.0)
_SCHEDULE_BATCH: Final = 100


class Worker:
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
        self.name = f"worker-{number}"
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
        self._refused: set[Lease] = set()
        self._seen: dict[Lease, Task] = {}

    def run(self) -> None:
        """Work until told to stop, and until everything is settled; the user's hooks of workers around it."""
        self._queue.hooks.on_startup.call()
        self._work()
        self._queue.hooks.on_shutdown.call()

    def _work(self) -> None:
        settlements: list[Settlement] = []
        while settlements or not self._stopping.is_set():
            try:
                settlements = self._turn(settlements)
            except Exception as error:
                # A fault of ours must not end the thread. What it held is renewed no more, so it comes back.
                log.exception("%s: unexpected error", self.name)
                self._report(events.EVENT_ERROR_INTERNAL, error)
                self._holdings.drop_all_of(self.name)
                self._seen.clear()
                settlements = []
                self._pause(1.0)

    def _turn(self, settlements: list[Settlement]) -> list[Settlement]:
        reservation = self._trip(settlements)
        if reservation is None:
            return []
        if self._stopping.is_set():
            return self._give_back(reservation)
        if reservation.delayed:
            self._schedule_delayed()
        elif not reservation.tasks and not reservation.ready:
            self._wait()
        handled = (self._handle(handed) for handed in reservation.tasks)
        return [settlement for settlement in handled if settlement is not None]

    # -- Talking to Redis -------------------------------------------------------------------------------
    def _trip(self, settlements: Sequence[Settlement]) -> Reservation | None:
        """Settle and reserve, each repeated until it is answered; what was reserved, if anything was asked for."""
        pending, given = list(settlements), None
        request = None if self._stopping.is_set() else self._next_request()
        outage = Outage()
        while pending or request is not None:
            sent_at = time.monotonic()
            reserved: Reservation | RedisError | None
            try:
                settled, reserved = self._storage.settle_and_reserve(
                    pending, request, where=self._where, result_ttl_ms=self._queue.result_ttl_ms
                )
            except RedisError as error:
                reserved = error
            else:
                pending = self._unsettled(pending, settled)
            if isinstance(reserved, Reservation):
                given, request = self._take(reserved, sent_at), None
            elif reserved is not None:
                self._note_outage(outage, reserved, dequeueing=request is not None)
                if self._stopping.is_set() and not outage.unknown:
                    request = None  # Redis never saw it, so nothing is ours by it
            if pending or request is not None:
                self._pause(outage.pause_seconds())
        self._reporter.redis_is_up()
        return given

    def _next_request(self) -> ReserveRequest:
        self._requests += 1
        return ReserveRequest(
            self.owner,
            self._requests,
            count=1,
            lease_seconds=self._lease_seconds,
            names=list(self._queue.registry),
        )

    def _take(self, reservation: Reservation, sent_at: float) -> Reservation:
        """Hold what was started for us; what came too late for its lease by our own clock is not ours."""
        if time.monotonic() - sent_at >= self._lease_seconds:
            return replace(reservation, tasks=())
        for handed in reservation.tasks:
            if handed.started:
                self._holdings.take(handed, self.name)
        return reservation

    def _unsettled(
        self, settlements: Sequence[Settlement], replies: Sequence[bool | RedisRefused]
    ) -> list[Settlement]:
        """Drop what is settled, or can never be; what Redis refuses for now stays, and is told once."""
        left = []
        for settlement, reply in zip(settlements, replies, strict=True):
            if isinstance(reply, RedisRefused):
                self._report_refused(settlement, reply)
                if reply.may_pass:
                    left.append(settlement)
                    continue
            elif not reply:
                log.debug("task %s was settled before, or is not ours any more", settlement.lease.task_id)
            else:
                self._settled(settlement)
            self._seen.pop(settlement.lease, None)
            self._refused.discard(settlement.lease)
            self._holdings.drop(settlement.lease)
        return left

    def _settled(self, settlement: Settlement) -> None:
        if settlement.decision.delay_seconds > 0:
            self._on_scheduled()
        self._queue.signals.send_settled(settlement.decision, self._seen.get(settlement.lease))

    def _give_back(self, reservation: Reservation) -> list[Settlement]:
        """Nothing new begins while we stop: what was started is interrupted, what was reserved released."""
        reserved = [handed.lease for handed in reservation.tasks if not handed.started]
        if reserved:
            self._storage.release(reserved)
        return [
            _settlement(handed, execution.interrupted(Stopwatch.started()), STEADY, keep_result=False)
            for handed in reservation.tasks
            if handed.started
        ]

    def _schedule_delayed(self) -> None:
        try:
            wanted = self._queue.signals.wants(SIGNAL_SCHEDULED)
            scheduled = self._storage.schedule_delayed(_SCHEDULE_BATCH, self._where, tell_which=wanted)
            self._on_scheduled()
        except RedisError as error:
            log.error("delayed tasks could not be put on the schedule: %s", error)
            self._report(events.EVENT_ERROR_SCHEDULING, error)
            return
        for one in scheduled:
            task = execution.unseen_task(self._queue.registry, self._queue.serializer, one)
            self._queue.signals.send(SIGNAL_SCHEDULED, task)

    def _wait(self) -> None:
        try:
            self._storage.wait_for_work(_WAIT_SECONDS)
        except RedisError:
            self._pause(_BACK_OFF_SECONDS[0])  # the next trip finds out and tells

    def _pause(self, seconds: float) -> None:
        """Wait; while we stop there is no event to wait for, so sleep."""
        seconds *= random.uniform(0.5, 1.0)
        if self._stopping.wait(seconds):
            time.sleep(min(seconds, 0.2))

    # -- Running ----------------------------------------------------------------------------------------
    def _handle(self, handed: Handed) -> Settlement | None:
        try:
            registered = self._queue.registry[handed.name]
        except UnknownTask as error:
            self._bury(handed, error)
            return None
        started = handed if handed.started else self._start(handed)
        return None if started is None else self._run(registered, started)

    def _start(self, handed: Handed) -> Handed | None:
        try:
            (started,) = self._storage.start(
                [handed.lease], lease_seconds=self._lease_seconds, where=self._where
            )
        except RedisError as error:
            self._note_outage(Outage(), error, dequeueing=True)  # the lease brings it back
            return None
        if started is not None:
            self._holdings.take(started, self.name)
        return started

    def _bury(self, handed: Handed, error: UnknownTask) -> None:
        log.error("task %s is a dead letter now: %s", handed.lease.task_id, error)
        keys = failure(error, str(error))
        burial = Burial(
            handed.lease,
            fragment({key: keys[key] for key in ("error_type", "error_message")}),
            fragment({"traceback": keys["traceback"]}),
            _failure_result(handed, keys, "dead") if self._queue.results else b"",
        )
        try:
            self._storage.bury(burial, where=self._where, result_ttl_ms=self._queue.result_ttl_ms)
        except RedisError as fault:
            self._note_outage(Outage(), fault, dequeueing=True)  # the lease brings it back

    def _run(self, registered: Registered, handed: Handed) -> Settlement:
        keep_result = self._queue.results and registered.schedule is None
        report, backoff = self._executed(registered, handed, keep_result=keep_result)
        try:
            settlement = _settlement(handed, report, backoff, keep_result=keep_result)
        except Exception as error:  # what a task raised could not even be told
            report = execution.untellable(error)
            settlement = _settlement(handed, report, backoff, keep_result=keep_result)
        if report.task is not None:
            self._seen[handed.lease] = report.task
        _log_failure(handed, report.keys, settlement.decision)
        return settlement

    def _executed(
        self, registered: Registered, handed: Handed, *, keep_result: bool
    ) -> tuple[execution.Report, Backoff]:
        try:
            message = wire.decode_message(handed.body)
        except UndecodableMessage as error:
            return execution.unreadable(error), STEADY
        context = TraceContext(
            handed.trace_id, handed.span_id, handed.trace_flags, message.trace_state, handed.traced_at
        )
        around = self._queue.surroundings
        report = execution.execute(
            registered, handed, message, around, context=context, keep_result=keep_result
        )
        return report, message.backoff

    # -- Telling ----------------------------------------------------------------------------------------
    def _report(self, status: str, error: BaseException, about: str = NO_TASK) -> None:
        keys = failure(error, "".join(tb.format_exception(error)))
        self._reporter.add(Notice(status, True, "worker", about + self._where + fragment(keys)))

    def _note_outage(self, outage: Outage, error: RedisError, *, dequeueing: bool) -> None:
        """Tell of an outage once, log it once for the whole consumer."""
        outage.unknown = outage.unknown or isinstance(error, OutcomeUnknown)
        self._reporter.redis_is_down(error)
        if not outage.told:
            outage.told = True
            self._report(events.EVENT_ERROR_DEQUEUEING if dequeueing else events.EVENT_ERROR_INTERNAL, error)

    def _report_refused(self, settlement: Settlement, error: RedisRefused) -> None:
        """Tell once that Redis refused to settle. The task stays leased, so nothing is lost."""
        if settlement.lease in self._refused:
            return
        self._refused.add(settlement.lease)
        log.error("task %s could not be settled: %s", settlement.lease.task_id, error)
        decision = settlement.decision
        status = events.EVENT_ERROR_INTERNAL
        if decision.fate is Fate.RETRY:
            later = decision.delay_seconds > 0
            status = events.EVENT_ERROR_SCHEDULING if later else events.EVENT_ERROR_ENQUEUEING
        self._report(status, error, settlement.about)


@dataclass(slots=True)
class Outage:
    """One trip's trouble with Redis.

    Attributes:
        told: Whether it was told as an event.
        unknown: Whether a request may have been executed.
    """

    told: bool = False
    unknown: bool = False
    _pause: float = _BACK_OFF_SECONDS[0]

    def pause_seconds(self) -> float:
        """How long to wait before the next try: twice as long each time, within bounds."""
        pause, self._pause = self._pause, min(self._pause * 2, _BACK_OFF_SECONDS[1])
        return pause


def _settlement(
    handed: Handed, report: execution.Report, backoff: Backoff, *, keep_result: bool
) -> Settlement:
    retries = Retries(handed.retries, handed.retry_delay, backoff)
    decision = settle(report.outcome, retries, random.random())
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
    if decision.fate is Fate.DEAD and keys.get("traceback"):
        log.warning("%s", keys["traceback"].rstrip())
