"""One answer for all who ask at the same time."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class _Turn(Generic[Answer]):
    """One piece of work that is still to begin, and who waits for it."""

    def __init__(self) -> None:
        self.deadline = math.inf
        self.answer = Future[Answer]()


class JointWork(Generic[Answer]):
    """Does one piece of work at a time, and for all who asked for the same before it began only once.

    Who asks while it is being done gets what is done next: an answer is never older than its question.

    Args:
        work: Is given the question and the earliest deadline (monotonic seconds) of those who asked it.
    """

    def __init__(self, work: Callable[[str, float], Answer]) -> None:
        self._work = work
        self._lock, self._gate = threading.Lock(), threading.Lock()
        self._next: dict[str, _Turn[Answer]] = {}

    def ask(self, question: str, deadline: float) -> Answer:
        """The answer, or what the work raised.

        Half of the time until the deadline is waited for somebody else's work; after that both are done at once.
        """
        with self._lock:
            turn, first = self._next.get(question), False
            if turn is None:
                turn, first = self._next.setdefault(question, _Turn()), True
            turn.deadline = min(turn.deadline, deadline)
        if first:
            self._take(question, turn)
        return turn.answer.result()

    def _take(self, question: str, turn: _Turn[Answer]) -> None:
        alone = self._gate.acquire(timeout=max(0.0, (turn.deadline - time.monotonic()) / 2))
        try:
            with self._lock:
                del self._next[question]  # whoever asks from now on may know of more than we shall look at
            turn.answer.set_result(self._work(question, turn.deadline))
        except BaseException as error:
            turn.answer.set_exception(error)
        finally:
            if alone:
                self._gate.release()
