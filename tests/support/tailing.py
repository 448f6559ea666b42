"""A command that goes on, whose lines a test reads as they come."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import IO, Self

from processes import COMMAND, SUPPORT, environment
from servers import wait_until


class Tailing:
    """``limelight …`` in a process of its own; its lines are kept, stdout and stderr apart. Ended with the block."""

    def __init__(self, *args: str, env: Mapping[str, str] | None = None) -> None:
        self.out: list[str] = []
        self.err: list[str] = []
        self.process = subprocess.Popen(
            [*COMMAND, *args],
            env=environment(env or {}),
            cwd=SUPPORT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdout
        assert self.process.stderr
        self._readers = [
            _reader(self.process.stdout, self.out),
            _reader(self.process.stderr, self.err),
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    def wait_for(self, pattern: str, *, err: bool = False) -> str:
        """The first line in which the pattern is found, when it has come."""
        lines = self.err if err else self.out

        def found() -> str | None:
            return next((line for line in list(lines) if re.search(pattern, line)), None)

        line: str = wait_until(found, 15, f"{pattern!r} in {self.out[-5:]}, stderr {self.err[-5:]}")
        return line

    def interrupt(self) -> int:
        """Ctrl-C; returns the exit code, when all that it said is read."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(15)
        for reader in self._readers:
            reader.join(5)
        return code


def _reader(stream: IO[str], lines: list[str]) -> threading.Thread:
    def read() -> None:
        with stream:
            for line in stream:
                lines.append(line.rstrip("\n"))  # noqa: PERF401 - as they come

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def on_a_terminal(*args: str, env: Mapping[str, str] | None = None, columns: int = 100) -> str:
    """What the command writes to a terminal of so many columns, to its end."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *args],
        env=environment({"TERM": "xterm-256color", "COLUMNS": str(columns), **(env or {})}),
        cwd=SUPPORT,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        written = b"".join(iter(lambda: _read(ours), b""))
        process.wait(15)
    os.close(ours)
    return written.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux says so when the other side is closed
        return b""
