"""The place in a worker process where a task's code runs: its main thread, stopped by a signal."""

from __future__ import annotations

import signal
import time
from types import FrameType

from limelight.errors import TaskTimeout
from limelight.slot import AGAIN_SECONDS, Slot

from .relay import Board


class AlarmSlot(Slot):
    """As `Slot`, for the main thread: SIGALRM interrupts also what sleeps, or waits for a lock or a socket.

    What not even that stops (C code that never looks at signals) is for the parent to kill; it reads the
    deadline on the board.

    Args:
        board: Shows the deadline to the parent.
    """

    def __init__(self, board: Board) -> None:
        super().__init__(lambda _at: None)
        self._board = board
        signal.signal(signal.SIGALRM, self._on_alarm)

    def _on_alarm(self, _number: int, _frame: FrameType | None) -> None:
        if self._is_inside:
            raise TaskTimeout

    def _enter(self, seconds: float) -> None:
        self._board.deadline = time.monotonic() + seconds
        self._is_inside = True
        signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_SECONDS)

    def _postpone(self, seconds: float) -> None:
        left = self._board.deadline - time.monotonic() + seconds
        signal.setitimer(signal.ITIMER_REAL, max(0.001, left), AGAIN_SECONDS)

    def _leave(self) -> None:
        while True:
            try:
                self._is_inside = False
                signal.setitimer(signal.ITIMER_REAL, 0)
                self._board.deadline = 0.0
            except TaskTimeout:
                continue
            return
