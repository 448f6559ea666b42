"""The `limelight` command as processes of their own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

SUPPORT = Path(__file__).parent
COMMAND = [sys.executable, "-c", "from limelight.cli.main import main; main()"]


def environment(changes: Mapping[str, str]) -> dict[str, str]:
    """This process' environment without what would steer Limelight, with the changes."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("LIMELIGHT_", "OTEL_"))}
    return plain | {"PYTHONUNBUFFERED": "1", "TERM": "dumb", "COLUMNS": "100"} | dict(changes)


def run_limelight(
    *args: str, env: Mapping[str, str] | None = None, cwd: Path = SUPPORT, seconds: float = 30
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *args],
        env=environment(env or {}),
        cwd=cwd,
        text=True,
        capture_output=True,
        timeout=seconds,
        check=False,
    )


class Limelight:
    """The command as a child that a test may signal and kill; ended with the block."""

    def __init__(self, *args: str, env: Mapping[str, str] | None = None, cwd: Path = SUPPORT) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *args],
            env=environment(env or {}),
            cwd=cwd,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.wait(10)

    def stop(self, signals: Sequence[int] = (signal.SIGTERM,), seconds: float = 20) -> tuple[int, str]:
        """Send signals (a tenth of a second apart), wait; returns the exit code and what was printed."""
        for number in signals:
            self.process.send_signal(number)
            time.sleep(0.1)
        output, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, output
