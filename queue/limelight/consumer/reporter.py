"""Events that go with no change of state: kept in a bounded buffer while Redis is away, told when it is back."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from limelight.errors import OutcomeUnknown, RedisError
from limelight.storage.base import Notice
from limelight.storage.redis import RedisStorage
from limelight.task import Receipt

log = logging.getLogger("limelight.consumer")

BUFFER_SIZE: Final = 1_000
_BATCH: Final = 100


class Reporter:
    """Tells notices in order, each once; the oldest are dropped first, and how many is told too.

    Args:
        storage: Where they are told.
    """

    def __init__(self, storage: RedisStorage) -> None:
        self._storage = storage
        self._waiting: deque[Notice] = deque()
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._dropped = 0
        self._unanswered: tuple[list[Notice], Receipt] | None = None
        self._down_since: float | None = None

    def redis_is_down(self, error: Exception) -> None:
        """Log an outage: one line when it begins, however many threads notice."""
        with self._lock:
            first, self._down_since = self._down_since is None, self._down_since or time.monotonic()
        if first:
            log.error("%s Tasks wait; I go on trying.", error)

    def redis_is_up(self) -> None:
        """Log the end of an outage, if there was one."""
        if self._down_since is None:
            return
        with self._lock:
            since, self._down_since = self._down_since, None
        if since is not None:
            log.info("Redis is back after %.1f s", time.monotonic() - since)

    def add(self, *notices: Notice) -> None:
        """Take notices; never blocks, never fails."""
        with self._lock:
            for notice in notices:
                if len(self._waiting) >= BUFFER_SIZE:
                    self._waiting.popleft()
                    self._dropped += 1
                self._waiting.append(notice)

    def flush(self) -> bool:
        """Tell what waits; False if Redis would not have it now (it stays in the buffer)."""
        with self._sending:
            try:
                while batch := self._unanswered or self._next_batch():
                    self._send(*batch)
            except OutcomeUnknown:
                return False
            except RedisError as error:
                log.debug("events wait until Redis takes them: %s", error)
                return False
            return True

    def _next_batch(self) -> tuple[list[Notice], Receipt] | None:
        with self._lock:
            if not self._waiting:
                return None
            notices = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            if self._dropped:
                notices[0] = _telling_of_loss(notices[0], self._dropped)
                self._dropped = 0
        return notices, self._storage.new_receipt("tell")

    def _send(self, notices: Sequence[Notice], receipt: Receipt) -> None:
        self._unanswered = (list(notices), receipt)  # sent again under the same receipt until answered
        self._storage.tell(notices, receipt)
        self._unanswered = None


def _telling_of_loss(notice: Notice, dropped: int) -> Notice:
    return replace(notice, fragment=f'{notice.fragment},"dropped":{dropped}')
