"""Started tasks that lie behind no worker: for whoever of this consumer is free first."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

from .holdings import Job

KEPT_SECONDS: Final = 0.030


class Spare:
    """First come, first served; what nobody takes for a while is for the watchdog to hand back. Safe for threads."""

    def __init__(self) -> None:
        self._jobs: deque[tuple[float, Job]] = deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, jobs: Sequence[Job], now: float) -> None:
        """Add tasks at `now` (monotonic seconds)."""
        with self._lock:
            self._jobs.extend((now, job) for job in jobs)

    def take(self, worker: str) -> Job | None:
        """Give a worker the oldest, if there is one."""
        if not self._jobs:
            return None
        with self._lock:
            if not self._jobs:
                return None
            _, job = self._jobs.popleft()
            job.worker = worker
            return job

    def kept_until(self) -> float:
        """Monotonic seconds until which the oldest is kept; infinity if there is none."""
        with self._lock:
            return self._jobs[0][0] + KEPT_SECONDS if self._jobs else math.inf

    def take_older(self, than: float) -> list[Job]:
        """Take what was put here before `than` (monotonic seconds)."""
        with self._lock:
            older = []
            while self._jobs and self._jobs[0][0] <= than:
                older.append(self._jobs.popleft()[1])
            return older
