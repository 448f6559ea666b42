"""Trips to Redis on behalf of one queue's workers: what they settle, what they are given, what goes wrong."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from limelight import closing, events, tracing
from limelight.closing import WORKER_LOST
from limelight.emitter import NO_TASK, failure, fragment
from limelight.errors import RedisError, RedisRefused
from limelight.herald import Herald
from limelight.lifecycle import Fate
from limelight.storage.base import (
    Burial,
    Handed,
    Lease,
    Notice,
    Reservation,
    ReserveRequest,
    Settlement,
)
from limelight.storage.wait import Wait
from limelight.task_queue import RedisQueue

from .door import Door
from .holdings import Holdings, Job
from .outage import Outage
from .pace import Pace
from .reporter import Reporter

log = logging.getLogger("limelight.consumer")

_SCHEDULE_BATCH: Final = 100
_WAIT_SECONDS: Final = 5.0
_WITHOUT_A_WAIT_SECONDS: Final = 0.1


class Trips:
    """One queue as the threads of a consumer deal with it. Safe for them; each has its own connection.

    Attributes:
        queue: Which.
        lease_seconds: How long a task is ours without renewal.
        holdings: What is ours, so that its leases are renewed.
        door: Whether it is worth asking for tasks.
        pace: How many tasks to ask for.
        outage: Whether Redis is away, and when to try again.
        herald: Tells signal handlers what became of tasks.

    Args:
        queue: Which.
        reporter: Takes the events that go with no change of state.
        on_scheduled: Called when something was put on the schedule.
        lease_seconds: How long a task is ours without renewal.
        holdings: Where what is ours is noted.
    """

    def __init__(
        self,
        queue: RedisQueue,
        *,
        reporter: Reporter,
        on_scheduled: Callable[[], None],
        lease_seconds: float,
        holdings: Holdings | None = None,
    ) -> None:
        self.queue = queue
        self.lease_seconds = lease_seconds
        self.holdings = Holdings() if holdings is None else holdings
        self.door = Door()
        self.pace = Pace()
        self.outage = Outage()
        self.herald = Herald(queue)
        self._storage = queue.storage
        self._reporter = reporter
        self._on_scheduled = on_scheduled
        self._refused: set[Lease] = set()
        if queue.tracing is not None:
            tracing.loaded()  # or the first run would last as long as that takes

    def make(
        self, done: Sequence[Job], request: ReserveRequest | None, where: str
    ) -> tuple[list[Job], Reservation | None]:
        """Settle what is done and ask for tasks, in one trip; the herald is to be called when those are held.

        Args:
            done: Jobs with their settlements.
            request: What to ask for, None for nothing.
            where: Fragment that names who asks.

        Returns:
            The jobs that Redis refused to settle for now; and what was reserved, None if nothing was asked for
            or Redis refused to.

        Raises:
            RedisError: No answer. The same may be asked again, and must be.
        """
        settlements = [_settlement_of(job) for job in done]
        settled, reserved = self._storage.settle_and_reserve(
            settlements,
            request,
            where=where,
            result_ttl_ms=self.queue.result_ttl_ms,
        )
        left = self._unsettled(done, settlements, settled, where)
        if isinstance(reserved, RedisRefused):
            self.fails(reserved, where)
            return left, None
        if left:
            self.outage.fails(time.monotonic())
        else:
            self.outage.ends()
            self._reporter.redis_is_up()
        return left, reserved

    def stand(self, request: ReserveRequest, where: str, wait: Wait) -> Reservation | None:
        """Wait until something may be ready, a few seconds at most, and ask for it, in one trip.

        Redis reserves when the wait is over, and nobody here can tell when that was: leases are to be counted from
        before, so the wait is short compared with them.

        Returns what was reserved, None if Redis refused to. Raises as `make`, also where the wait was ended.
        """
        refusal, reserved = self._storage.reserve_when_woken(
            request, where=where, seconds=min(_WAIT_SECONDS, self.lease_seconds / 4), wait=wait
        )
        if isinstance(reserved, RedisRefused):
            self.fails(reserved, where)
            return None
        self.outage.ends()
        self._reporter.redis_is_up()
        if refusal is not None and not reserved.tasks:
            log.debug("Redis lets nobody wait for work, looking instead: %s", refusal)
            time.sleep(_WITHOUT_A_WAIT_SECONDS)
        return reserved

    def _unsettled(
        self,
        done: Sequence[Job],
        settlements: Sequence[Settlement],
        replies: Sequence[bool | RedisRefused],
        where: str,
    ) -> list[Job]:
        """Drop what is settled, or can never be; what Redis refuses for now stays, and is told once."""
        left = []
        for job, settlement, reply in zip(done, settlements, replies, strict=True):
            if isinstance(reply, RedisRefused):
                self._tell_refused(settlement, reply, where)
                if reply.may_pass:
                    left.append(job)
            elif not reply:
                log.debug("task %s was settled before, or is not ours any more", settlement.lease.task_id)
            else:
                job.settled = settlement.decision
                if settlement.decision.delay_seconds > 0:
                    self._on_scheduled()
        gone = [job for job in done if job not in left] if left else done
        self.holdings.drop(gone)
        if self._refused:
            self._refused.difference_update(job.handed.lease for job in gone)
        return left

    def lose(self, job: Job, cause: str, where: str) -> None:
        """Tell that a job was lost with the process that ran it; raises RedisError if Redis cannot be told."""
        lease = job.handed.lease
        keep = self.queue.results and job.registered.schedule is None
        verdict = self._storage.lost(
            lease,
            reason=fragment({"error_type": WORKER_LOST, "error_message": cause}),
            traceback=fragment({"traceback": f"The worker that ran this task is gone: {cause}."}),
            result=closing.lost_result(lease.task_id, cause) if keep else b"",
            result_ttl_ms=self.queue.result_ttl_ms,
            where=where,
        )
        self.holdings.drop([job])
        self.outage.ends()
        if verdict:
            log.warning("the worker of task %s is lost: the task is %s", lease.task_id, verdict)

    # -- What is handed over ----------------------------------------------------------------------------
    def start(self, lease: Lease, where: str) -> Handed | None:
        """Begin the run of a reserved task; None where it ended as revoked, is not ours, or Redis is away."""
        try:
            (started,) = self._storage.start(
                [lease], lease_seconds=self.lease_seconds, where=where, tell_ended=self.herald.wants_ended
            )
        except RedisError as error:
            self.fails(error, where)  # the lease brings it back
            return None
        if started is not None and started.ended:
            self.herald.ended([started])
            return None
        return started

    def bury(self, burial: Burial, where: str) -> None:
        """Put a reserved task that nobody can run into the dead letters."""
        try:
            ttl_ms = self.queue.result_ttl_ms if self.queue.results else 0
            self._storage.bury(burial, where=where, result_ttl_ms=ttl_ms)
        except RedisError as error:
            self.fails(error, where)  # the lease brings it back

    def release(self, leases: Sequence[Lease], where: str) -> None:
        """Give reserved tasks back to their old place."""
        try:
            self._storage.release(leases)
        except RedisError as error:
            self.fails(error, where)  # the lease brings them back

    def schedule_delayed(self, where: str) -> None:
        """Put what was enqueued for later on the schedule."""
        try:
            _, scheduled = self._storage.schedule_delayed(
                _SCHEDULE_BATCH, where, tell_which=self.herald.wants_scheduled
            )
            self._on_scheduled()
        except RedisError as error:
            log.error("delayed tasks could not be put on the schedule: %s", error)
            self.outage.fails(time.monotonic())
            self.tell_error(events.EVENT_ERROR_SCHEDULING, error, where)
            return
        self.herald.scheduled(scheduled)

    # -- Telling ----------------------------------------------------------------------------------------
    def fails(self, error: RedisError, where: str, *, dequeueing: bool = True) -> None:
        """Note that Redis was away or refused: told once per outage, and nobody tries again at once."""
        self.door.ring()  # nobody knows what is ready now
        self.outage.fails(time.monotonic())
        self._reporter.redis_is_down(error)
        if self.outage.is_to_be_told():
            status = events.EVENT_ERROR_DEQUEUEING if dequeueing else events.EVENT_ERROR_INTERNAL
            self.tell_error(status, error, where)

    def tell_error(self, status: str, error: BaseException, where: str, about: str = NO_TASK) -> None:
        """Tell of a fault that changes no task."""
        privacy = self.queue.surroundings.privacy
        keys = failure(error, privacy.traceback(error), privacy)
        self._reporter.add(Notice(status, True, "worker", about + where + fragment(keys)))

    def _tell_refused(self, settlement: Settlement, error: RedisRefused, where: str) -> None:
        """Tell once that Redis refused to settle. The task stays leased, so nothing is lost."""
        if settlement.lease in self._refused:
            return
        self._refused.add(settlement.lease)
        log.error("task %s could not be settled: %s", settlement.lease.task_id, error)
        status = events.EVENT_ERROR_INTERNAL
        if settlement.decision.fate is Fate.RETRY:
            later = settlement.decision.delay_seconds > 0
            status = events.EVENT_ERROR_SCHEDULING if later else events.EVENT_ERROR_ENQUEUEING
        self.tell_error(status, error, where, settlement.about)


def _settlement_of(job: Job) -> Settlement:
    if job.settlement is None:
        raise AssertionError(f"task {job.handed.lease.task_id} is to be settled and is not done")
    return job.settlement
