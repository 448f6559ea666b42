"""Single keys from the terminal, whose mode is restored in any case."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from types import TracebackType
from typing import Any, Self


class Keyboard:
    """Reads keys while the block lasts, if standard input is a terminal and ours to read."""

    def __init__(self) -> None:
        self._mode: list[Any] | None = None
        self._input = -1

    def __enter__(self) -> Self:
        try:
            number = sys.stdin.fileno()
            if os.isatty(number) and os.tcgetpgrp(number) == os.getpgrp():
                self._mode = termios.tcgetattr(number)
                self._input = number
                tty.setcbreak(number)
        except (OSError, ValueError, AttributeError, termios.error):
            self._mode = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mode is not None:
            termios.tcsetattr(self._input, termios.TCSADRAIN, self._mode)

    @property
    def is_read(self) -> bool:
        """Whether keys come from here."""
        return self._mode is not None

    def pressed(self) -> str:
        """The keys pressed since the last call, "" for none; never waits."""
        if self._mode is None or not select.select([self._input], [], [], 0)[0]:
            return ""
        keys = os.read(self._input, 64)
        if not keys:  # the terminal went away
            self._mode = None
        return keys.decode("ascii", "ignore").lower()
