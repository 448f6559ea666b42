"""The heartbeat thread: renews the leases of what runs, says that we live, tells what waited."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from limelight.errors import LimelightError
from limelight.task_queue import RedisQueue

from .holdings import Holdings, Job
from .reporter import Reporter

log = logging.getLogger("limelight.consumer")

_ANNOUNCE_EVERY: Final = 12
_SURELY_SETTLED_SECONDS: Final = 1.0
_encode: Final = msgspec.json.Encoder().encode


class Heartbeat:
    """Beats every sixth of a lease.

    Args:
        queue: Whose leases.
        consumer: Id of this consumer.
        about: What every heartbeat says of it: host, pid, version, …
        workers: How many tasks it can run at once.
        holdings: What it runs.
        reporter: Flushed at each beat.
        stopped: Set when nothing runs any more.
        lease_seconds: How long a lease lasts.
        look: Has what is begun by now noted on the jobs.
        abandoned: How many threads are stuck in tasks that would not stop.
    """

    def __init__(
        self,
        queue: RedisQueue,
        *,
        consumer: str,
        about: dict[str, object],
        workers: int,
        holdings: Holdings,
        reporter: Reporter,
        stopped: threading.Event,
        lease_seconds: float,
        look: Callable[[], None],
        abandoned: Callable[[], int],
    ) -> None:
        self._queue = queue
        self._consumer = consumer
        self._interval = lease_seconds / 6
        self._about = {**about, "workers": workers, "interval": self._interval}
        self._workers = workers
        self._holdings = holdings
        self._reporter = reporter
        self._stopped = stopped
        self._lease_seconds = lease_seconds
        self._look = look
        self._abandoned = abandoned
        self._missing: dict[Job, float] = {}

    def run(self) -> None:
        """Beat until stopped; no fault ends the thread."""
        beats = 0
        while not self._stopped.is_set():
            try:
                self.beat()
                if beats % _ANNOUNCE_EVERY == 0:
                    self._queue.storage.producing.announce()
                beats += 1
            except LimelightError as error:
                log.debug("heartbeat waits for Redis: %s", error)
            except Exception:
                log.exception("heartbeat: unexpected error")
            self._stopped.wait(self._interval)

    def beat(self) -> None:
        """Renew, say that we live, tell what waited."""
        self._look()
        jobs = self._holdings.all()
        busy = sum(job.is_running for job in jobs)
        note = _encode({**self._about, "busy": min(busy, self._workers), **self._now()}).decode()
        sent_at = time.monotonic()
        owned = self._queue.storage.renew(
            [job.handed.lease for job in jobs],
            lease_seconds=self._lease_seconds,
            consumer=self._consumer,
            heartbeat=f"{self._workers} {note}",
        )
        self._note_gone(self._holdings.renewed(jobs, owned, sent_at + self._lease_seconds))
        self._reporter.flush()

    def _now(self) -> dict[str, object]:
        """What changes from beat to beat; Redis says when it came, so our clock shows how far it is off."""
        return {"abandoned": self._abandoned(), "clock": time.time()}

    def _note_gone(self, gone: Sequence[Job]) -> None:
        """Tell once of what is held and not ours; not at once, for it may just be settled and not noted yet."""
        now = time.monotonic()
        self._missing = {job: self._missing.get(job, now) for job in gone}
        for job, since in self._missing.items():
            if now - since >= _SURELY_SETTLED_SECONDS:
                self._missing[job] = math.inf
                log.warning(
                    "%s %s is not ours any more: its lease ran out, and what it returns will be refused",
                    job.handed.name,
                    job.handed.lease.task_id,
                )
