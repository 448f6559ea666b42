"""The reaper thread: takes tasks from workers that are gone, and keeps the dead letters within their limit."""

from __future__ import annotations

import logging
import threading
from typing import Final

from limelight.closing import lost_result
from limelight.errors import LimelightError
from limelight.storage.administration import CHUNK
from limelight.task_queue import RedisQueue

log = logging.getLogger("limelight.consumer")

_BATCH: Final = 100


class Reaper:
    """Looks at once, and then every sixth of a lease, for leases that are over.

    Args:
        queue: Whose leases.
        stopping: Set when it shall end.
        lease_seconds: How long a lease lasts.
    """

    def __init__(self, queue: RedisQueue, *, stopping: threading.Event, lease_seconds: float) -> None:
        self._queue = queue
        self._stopping = stopping
        self._lease_seconds = lease_seconds
        self._where = queue.speaker.where

    def run(self) -> None:
        """Look until told to stop; no fault ends the thread."""
        pause = 0.0
        while not self._stopping.wait(pause):
            pause = self._lease_seconds / 6
            try:
                self._look()
                self._trim_dead()
            except LimelightError as error:
                log.debug("reaper waits for Redis: %s", error)
            except Exception:
                log.exception("reaper: unexpected error")

    def _look(self) -> None:
        storage = self._queue.storage
        while task_ids := storage.expired(lease_seconds=self._lease_seconds, count=_BATCH):
            for task_id in task_ids:
                self._reap(task_id)
            if len(task_ids) < _BATCH or self._stopping.is_set():
                return

    def _reap(self, task_id: str) -> None:
        verdict = self._queue.storage.reap(
            task_id,
            lease_seconds=self._lease_seconds,
            result=lost_result(task_id, "its worker was lost"),
            result_ttl_ms=self._queue.result_ttl_ms if self._queue.results else 0,
            where=self._where,
        )
        if verdict in {"redelivered", "dead"}:
            log.warning("the worker of task %s is lost: the task is %s", task_id, verdict)

    def _trim_dead(self) -> None:
        keep, trimmed = self._queue.max_dead, CHUNK
        while keep is not None and trimmed == CHUNK and not self._stopping.is_set():
            trimmed = self._queue.storage.administration.trim_dead(keep)
            if trimmed:
                log.warning("purged the %d oldest dead letters: more than %d (max_dead)", trimmed, keep)
