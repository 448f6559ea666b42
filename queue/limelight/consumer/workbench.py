"""What one worker has before it: tasks to begin, the one it runs, settlements to send."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

from .holdings import Job

RELIEVED_AFTER_SECONDS: Final = 0.015


class Workbench:
    """Filled and emptied by its worker; relieved by the watchdog while the worker is busy with one task.

    Attributes:
        current: The task that runs now.
    """

    def __init__(self) -> None:
        self.current: Job | None = None
        self._todo: deque[Job] = deque()
        self._done: list[Job] = []
        self._since = 0.0
        self._lock = threading.Lock()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to begin and nothing to send."""
        return not self._todo and not self._done

    def put(self, jobs: Sequence[Job], now: float) -> None:
        """Lay tasks down to be begun one after another."""
        with self._lock:
            self._todo.extend(jobs)
            self._since = now

    def begin(self, job: Job, now: float) -> bool:
        """Begin a task that did not lie here; False if it must not be."""
        with self._lock:
            self.current = job
            if not self._done:
                self._since = now
            return True

    def next(self, done: Job | None = None, *, begin: bool = True) -> Job | None:
        """Lay down what is done and begin the next, if there is one (and if anything shall begin)."""
        with self._lock:
            if done is not None:
                self._done.append(done)
            self.current = self._todo.popleft() if begin and self._todo else None
            return self.current

    def take_done(self) -> list[Job]:
        """Take what is to be sent."""
        with self._lock:
            done, self._done = self._done, []
            return done

    def take_todo(self) -> list[Job]:
        """Take what was not begun."""
        with self._lock:
            todo = list(self._todo)
            self._todo.clear()
            return todo

    def put_done(self, jobs: Sequence[Job]) -> None:
        """Lay down what is to be sent, before what was done since."""
        with self._lock:
            self._done[:0] = jobs

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self.current = None
            self._todo.clear()
            self._done.clear()

    def due_for_relief(self) -> float:
        """Monotonic seconds at which what lies here has lain long enough; infinity if nothing waits for a task."""
        with self._lock:
            if self.current is None or self.is_empty:
                return math.inf
            return self._since + RELIEVED_AFTER_SECONDS

    def relieve(self) -> tuple[list[Job], list[Job]]:
        """Take what waits behind the task that runs: what is to be sent, and what was not begun."""
        with self._lock:
            if self.current is None:
                return [], []
            done, self._done = self._done, []
            todo = list(self._todo)
            self._todo.clear()
            return done, todo
