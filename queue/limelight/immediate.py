"""Running tasks where they are enqueued, through the same transitions as in a consumer.

For tests and scripts: there are no leases to renew, and nobody waits for what is not due yet.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import math
import threading
import time
import uuid
from collections.abc import Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

from . import closing
from .attempt import attempt
from .coroutines import Coroutines
from .emitter import Speaker
from .errors import RedisRefused, UnknownTask
from .execution import Call
from .herald import Herald
from .job import Job, Origin
from .registry import Registry
from .slot import Slot
from .storage.base import Handed, Parcel, Reservation, ReserveRequest

LEASE_SECONDS: Final = 3_600.0
"""How long a task may run here before a consumer of the same Redis takes it for lost."""

_BATCH: Final = 1_000


class Runnable(Origin, Protocol):
    """What is needed of a queue whose tasks are run here."""

    registry: Registry
    result_ttl_ms: int

    @property
    def speaker(self) -> Speaker:
        """Who this process is in events."""
        ...


class InlineWorker:
    """Runs tasks in the thread that asks for it. Safe for many threads; a task may itself enqueue.

    Args:
        queue: Whose tasks.
    """

    def __init__(self, queue: Runnable) -> None:
        self._queue = queue
        self._herald = Herald(queue)

    @property
    def _where(self) -> str:
        return self._queue.speaker.worker("inline")

    def check(self, parcels: Iterable[Parcel]) -> None:
        """Raise UnknownTask, before anything is enqueued, for what could not be run here."""
        for parcel in _all(parcels):
            self._queue.registry[parcel.name]

    def run(self, parcels: Iterable[Parcel]) -> None:
        """Run what was enqueued, and what follows it, as often as it is ready.

        What is to run later is put on the schedule and left there.

        Args:
            parcels: The tasks, and the callbacks of their groups.

        Raises:
            RedisError: Redis could not be reached, or refused.
            KeyboardInterrupt: It came while a task ran; the task has failed by it.
        """
        parcels = list(_all(parcels))
        while sum(self._run_while_ready(parcel.id) for parcel in parcels):
            pass  # what follows them may be ready by now
        if any(parcel.delay is not None or parcel.execute_at is not None for parcel in parcels):
            self.schedule()

    def drain(self) -> int:
        """Run whatever is ready, and what becomes ready by it, until nothing is; returns how many runs that were.

        Raises as `run`.
        """
        owner, number, runs, busy = uuid.uuid4().hex, 0, 0, True
        try:
            while busy:
                number += 1
                reservation = self._reserve(owner, number)
                self._herald.ended(reservation.ended)
                if reservation.delayed:
                    self.schedule()
                runs += sum(self._handle(handed) for handed in reservation.tasks)
                busy = bool(reservation.tasks or reservation.ready or reservation.delayed)
        finally:
            self._queue.storage.leave(owner, [owner])
        return runs

    def schedule(self) -> None:
        """Put what was enqueued for later on the schedule, as a worker does."""
        taken, herald = _BATCH, self._herald
        while taken == _BATCH:
            taken, scheduled = self._queue.storage.schedule_delayed(
                _BATCH, self._where, tell_which=herald.wants_scheduled
            )
            herald.scheduled(scheduled)

    def promote(self) -> None:
        """Make ready what is due, as a scheduler does."""
        while self._queue.storage.promote(_BATCH, self._queue.speaker.where)[0] == _BATCH:
            pass

    def _reserve(self, owner: str, number: int) -> Reservation:
        names = list(self._queue.registry)
        request = ReserveRequest(
            *(owner, number),
            count=1,
            lease_seconds=LEASE_SECONDS,
            names=names,
            tell_ended=self._herald.wants_ended,
        )
        _, reserved = self._queue.storage.settle_and_reserve(
            [], request, where=self._where, result_ttl_ms=self._queue.result_ttl_ms
        )
        if isinstance(reserved, RedisRefused):
            raise reserved
        assert reserved is not None  # noqa: S101 - it was asked for
        return reserved

    def _run_while_ready(self, task_id: str) -> int:
        storage, runs = self._queue.storage, 0
        while (lease := storage.take(task_id, lease_seconds=LEASE_SECONDS)) is not None:
            (handed,) = storage.start(
                [lease],
                lease_seconds=LEASE_SECONDS,
                where=self._where,
                tell_ended=self._herald.wants_ended,
            )
            runs += 1
            if handed is not None and handed.ended:
                self._herald.ended([handed])
            elif handed is not None:
                self._run(handed)
        return runs

    def _handle(self, handed: Handed) -> int:
        """Run a task that was reserved, or bury it; returns how many runs that were."""
        if not handed.started:
            self._bury(handed)
            return 0
        self._run(handed)
        return 1

    def _run(self, handed: Handed) -> None:
        job = Job(self._queue, handed, self._queue.registry[handed.name], "inline", math.inf)
        place = _Place()
        settlement = attempt(job, place.call)
        ((settled,), _) = self._queue.storage.settle_and_reserve(
            [settlement], None, where=self._where, result_ttl_ms=self._queue.result_ttl_ms
        )
        if isinstance(settled, RedisRefused):
            raise settled
        if settled:
            job.settled = settlement.decision
            self._herald.settled([job])
        if place.interrupt is not None:
            raise place.interrupt

    def _bury(self, handed: Handed) -> None:
        try:
            self._queue.registry[handed.name]
        except UnknownTask as error:
            self._queue.storage.bury(
                closing.burial(handed, error),
                where=self._where,
                result_ttl_ms=self._queue.result_ttl_ms if self._queue.results else 0,
            )


class _Place:
    """Where the code of one run is called: in this thread, with a guard while it has a timeout.

    Attributes:
        interrupt: The Ctrl-C that ended it, if one did.
    """

    def __init__(self) -> None:
        self.interrupt: KeyboardInterrupt | None = None
        self._slot = Slot(lambda _: threading.Thread(target=self._guard, daemon=True).start())
        self._over = threading.Event()

    def call(self, call: Call, seconds: float | None) -> Any:
        """Run code, a coroutine to its end; raises what it raises, or TaskTimeout."""
        try:
            return self._slot.call(lambda: _away_from_loops(call(), seconds), seconds)
        except KeyboardInterrupt as error:
            self.interrupt = error
            raise
        finally:
            self._over.set()
            self._slot.close()

    def _guard(self) -> None:
        """Drive the code out when its time is over."""
        while not self._over.wait(min(self._slot.kick_at - time.monotonic(), threading.TIMEOUT_MAX)):
            self._slot.kick(time.monotonic())


def _away_from_loops(value: Any, seconds: float | None) -> Any:
    """What a task's code gave; of a coroutine that cannot run here, its value, awaited in another thread."""
    if not inspect.iscoroutine(value):
        return value
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return value
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(contextvars.copy_context().run, _awaited, value, seconds).result()


def _awaited(coroutine: Coroutine[Any, Any, Any], seconds: float | None) -> Any:
    coroutines = Coroutines()
    try:
        return coroutines.run(coroutine, seconds)
    finally:
        coroutines.close()


def _all(parcels: Iterable[Parcel]) -> Iterator[Parcel]:
    """Parcels and all that follow them, whatever comes."""
    for parcel in parcels:
        yield parcel
        yield from _all(one for one in (parcel.on_success, parcel.on_error) if one is not None)
