"""One worker's business with one queue: the request that it waits an answer for, and what the answer brings."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from limelight import closing
from limelight.errors import OutcomeUnknown, RedisError, UnknownTask
from limelight.storage.base import Handed, Reservation, ReserveRequest
from limelight.storage.wait import Wait

from .holdings import Job
from .trips import Trips

log = logging.getLogger("limelight.consumer")


class Errand:
    """Not for two threads at once.

    Attributes:
        trips: The queue.
        owner: Who the worker is to Redis.
        where: Fragment that names the worker in events.

    Args:
        trips: The queue.
        owner: Who the worker is to Redis: new at every start of the process.
        worker: Its name.
        stopping: Set when nothing new may begin.
        last_request: Number of the last request of whoever was this owner before; its answer may be lost.
        note_request: Told the number of each request before it is sent.
    """

    def __init__(
        self,
        trips: Trips,
        *,
        owner: str,
        worker: str,
        stopping: threading.Event,
        last_request: int = 0,
        note_request: Callable[[int], None] | None = None,
    ) -> None:
        self.trips = trips
        self.owner = owner
        self._worker = worker
        self.where = trips.queue.speaker.worker(worker)
        self._stopping = stopping
        self._number = last_request
        self._note_request = note_request
        self._is_unknown = last_request > 0
        self._request = self._numbered(1) if last_request else None

    @property
    def is_owed_an_answer(self) -> bool:
        """Whether Redis may have given us tasks that we do not know of; asking again tells."""
        return self._is_unknown

    def go(self, done: Sequence[Job], count: int) -> tuple[list[Job], list[Job]]:
        """Make one trip.

        Args:
            done: What is to be settled.
            count: How many tasks to ask for, 0 for none. A request that was not answered is repeated instead.

        Returns:
            What is still to be settled, and what is to be run.
        """
        repeated = self._unanswered()
        request = repeated or (self._next_request(count) if count else None)
        ring, sent_at = self.trips.door.last_ring(), time.monotonic()
        try:
            left, reservation = self.trips.make(done, request, self.where)
        except RedisError as error:
            self._is_unknown = self._is_unknown or (request is not None and isinstance(error, OutcomeUnknown))
            self._request = request
            self.trips.fails(error, self.where, dequeueing=request is not None)
            return list(done), []
        if reservation is None:
            self._request = request
            self.trips.herald.settled(done)
            return left, []
        # A repeated answer tells what is ours, not what is ready.
        if not reservation.ready and not reservation.delayed and repeated is None:
            self.trips.door.shut(ring)
        late, jobs = self._received(reservation, sent_at, done)
        return [*left, *late], jobs

    def stand(self, count: int, wait: Wait) -> tuple[list[Job], list[Job]]:
        """Stand at the door, and have tasks the moment it opens; or find out what is the matter if it cannot be.

        Args:
            count: How many tasks to ask for.
            wait: Ends it at once, when ended.

        Returns:
            As `go`.
        """
        if self._request is not None:
            return self.go([], 0)
        request = self._next_request(count)
        ring, sent_at = self.trips.door.last_ring(), time.monotonic()
        try:
            reservation = self.trips.stand(request, self.where, wait)
        except RedisError as error:
            log.debug("%s does not stand at the door any more: %s", self._worker, error)
            self._request, self._is_unknown = request, isinstance(error, OutcomeUnknown)
            return ([], []) if self._unanswered() is None else self.go([], 0)
        if reservation is None:
            self._request = request
            return [], []
        if reservation.ready or reservation.delayed:
            self.trips.door.ring()
        else:
            self.trips.door.shut(ring)
        return self._received(reservation, sent_at, [])

    def _received(
        self, reservation: Reservation, sent_at: float, done: Sequence[Job]
    ) -> tuple[list[Job], list[Job]]:
        """Take what was reserved by a request of `sent_at` (monotonic seconds), with which `done` was settled.

        Returns what came too late and is to be settled, and what is to be run.
        """
        self._request, self._is_unknown = None, False
        good_until = sent_at + self.trips.lease_seconds
        jobs = self._taken(reservation, good_until)
        self.trips.herald.settled(done)
        self.trips.herald.ended(reservation.ended)
        if reservation.delayed and not self._stopping.is_set():
            self.trips.schedule_delayed(self.where)
        if self._stopping.is_set() or time.monotonic() >= good_until:
            closing.hand_back(jobs)
            return jobs, []
        return [], jobs

    def _next_request(self, count: int) -> ReserveRequest:
        self._number += 1
        if self._note_request is not None:
            self._note_request(self._number)
        return self._numbered(count)

    def _numbered(self, count: int) -> ReserveRequest:
        return ReserveRequest(
            self.owner,
            self._number,
            count=count,
            lease_seconds=self.trips.lease_seconds,
            names=list(self.trips.queue.registry),
            tell_ended=self.trips.herald.wants_ended,
        )

    def _unanswered(self) -> ReserveRequest | None:
        """What must be asked again; but who stops, and knows that Redis never saw it, asks no more."""
        return None if self._stopping.is_set() and not self._is_unknown else self._request

    def _taken(self, reservation: Reservation, good_until: float) -> list[Job]:
        """Hold what was started for us, also what came too late for its lease by our own clock: it is to go back."""
        if self._stopping.is_set():
            idle = [handed.lease for handed in reservation.tasks if not handed.started]
            if idle:
                self.trips.release(idle, self.where)
        made = (self._job(handed, good_until) for handed in reservation.tasks)
        jobs = [job for job in made if job is not None]
        self.trips.holdings.take(jobs)
        return jobs

    def _job(self, handed: Handed, good_until: float) -> Job | None:
        queue = self.trips.queue
        try:
            registered = queue.registry[handed.name]
        except UnknownTask as error:
            if not self._stopping.is_set():
                log.error("task %s is a dead letter now: %s", handed.lease.task_id, error)
                self.trips.bury(closing.burial(handed, error), self.where)
            return None
        if not handed.started:
            good_until = time.monotonic() + self.trips.lease_seconds
            started = None if self._stopping.is_set() else self.trips.start(handed.lease, self.where)
            if started is None:
                return None
            handed = started
        return Job(queue, handed, registered, self._worker, good_until)
