"""Processes that take part and may be killed, frozen and started again; each keeps its life's record."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from limelight.embedded import bound_to_parent

TESTS: Final = Path(__file__).parents[1]
COMMAND: Final = [sys.executable, "-c", "from limelight.cli.main import main; main()"]


@dataclass(slots=True)
class Life:
    """One process from its start to its end, in Unix seconds; `asked`: how often we killed or stopped it."""

    pid: int
    began: float
    ended: float = float("inf")
    asked: int = 0
    code: int | None = None


def signaled(pid: int, number: int) -> bool:
    """Send a signal to a process that may be gone; whether it was there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


class Actor:
    """A program that is run again and again in one place.

    Args:
        name: Which, for logs and reports.
        words: The command.
        environment: On top of this process', from which what would steer Limelight is removed.
        log: Takes what it prints.
    """

    def __init__(self, name: str, words: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self.lives: list[Life] = []
        self._words = list(words)
        plain = {
            key: value for key, value in os.environ.items() if not key.startswith(("LIMELIGHT_", "OTEL_"))
        }
        self._environment = plain | {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1"} | dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        """Whether it runs now; notes its end."""
        if self._process is None:
            return False
        code = self._process.poll()
        if code is None:
            return True
        self.lives[-1].ended, self.lives[-1].code = time.time(), code
        self._process = None
        return False

    @property
    def life(self) -> Life:
        """The newest."""
        return self.lives[-1]

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.alive:
            return
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                bound_to_parent(self._words),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                cwd=TESTS,
                start_new_session=True,
            )
        self.lives.append(Life(self._process.pid, time.time()))

    def kill(self, *, whole: bool = False) -> None:
        """SIGKILL, also to its worker processes if `whole`; returns when it is gone itself."""
        if self.alive and self._process is not None:
            self.life.asked += 1
            self._send(signal.SIGKILL, whole=whole)
            self._process.wait(10)
        assert not self.alive

    def signal(self, number: int, *, whole: bool = False) -> None:
        """Send a signal, also to its worker processes if `whole`; one that ends it counts as asked for."""
        if self.alive:
            self.life.asked += number in {signal.SIGTERM, signal.SIGINT}
            self._send(number, whole=whole)

    def _send(self, number: int, *, whole: bool) -> None:
        (os.killpg if whole else os.kill)(self.life.pid, number)  # it leads a group of its own
