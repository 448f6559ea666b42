"""The demo's child processes: each ends with this one at the latest."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from limelight.embedded import bound_to_parent

LEASE_SECONDS: Final = 6
DRAIN_SECONDS: Final = 5
_END_SECONDS: Final = 2.0
_LAST_WORDS: Final = 20
_ROOT: Final = Path(__file__).parents[2]
APPLICATION: Final = Path(__file__).with_name("shop.py")
QUEUES: Final[Mapping[str, str]] = {
    "demo-shop": "limelight_exporter.demo.shop:shop",
    "demo-mail": "limelight_exporter.demo.shop:mail",
}
"""Queue → where a consumer finds it."""


class Child:
    """A process of ours. Ctrl-C in the terminal does not reach it; its last words are kept.

    As a context manager it is dead behind the block. Make it in the main thread, so that the kernel can bind it to
    this process where it knows how to.

    Args:
        name: For messages: "the consumer of demo-mail".
        words: Arguments for this Python.
        redis_url: What the application finds as ``LIMELIGHT_REDIS_URL``.
    """

    def __init__(self, name: str, words: Sequence[str], redis_url: str) -> None:
        self.name = name
        self._process = subprocess.Popen(  # noqa: S603 - our own modules
            bound_to_parent([sys.executable, *words]),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=_ROOT,
            env={**os.environ, "LIMELIGHT_REDIS_URL": redis_url},
            start_new_session=True,
        )
        self._last_words: deque[str] = deque(maxlen=_LAST_WORDS)
        self._listener = threading.Thread(target=self._listen, name=f"stderr of {name}", daemon=True)
        self._listener.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self.close_input()
        self._listener.join(_END_SECONDS)

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    @property
    def end(self) -> str:
        """How it ended, and the last line it wrote about it."""
        self._listener.join(_END_SECONDS)
        words = [line for line in self._last_words if line.strip()]
        return f"{self.name} ended by itself ({_code(self._process.returncode)})" + (
            f": {words[-1].strip()}" if words else ""
        )

    def say(self, line: str) -> None:
        """Write a line to its standard input; nothing happens if it is gone."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                self._process.stdin.write(f"{line}\n".encode())
                self._process.stdin.flush()

    def close_input(self) -> None:
        """End its standard input."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def ask_to_end(self) -> None:
        """Send SIGTERM."""
        self._process.terminate()

    def wait(self, seconds: float) -> bool:
        """Wait for its end; False if it still runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return not self.is_alive

    def kill(self) -> None:
        """Send SIGKILL and wait for its end."""
        self._process.kill()
        self._process.wait()

    def _listen(self) -> None:
        if self._process.stderr is not None:
            with self._process.stderr as lines:
                self._last_words.extend(line.decode("utf-8", "replace") for line in lines)


def consumer(queue: str, *, workers: int, redis_url: str) -> Child:
    """Start a consumer of one of `QUEUES`, just as a user would."""
    words = ["-m", "limelight", "consumer", QUEUES[queue], "--path", str(_ROOT), "--log-level", "error"]
    words += [
        "--workers",
        str(workers),
        "--lease",
        str(LEASE_SECONDS),
        "--shutdown-timeout",
        str(DRAIN_SECONDS),
    ]
    return Child(f"the consumer of {queue}", words, redis_url)


def traffic(rate: float, redis_url: str) -> Child:
    """Start the shop's customers."""
    return Child("the shop's customers", ["-m", "limelight_exporter.demo.traffic", str(rate)], redis_url)


def _code(returncode: int | None) -> str:
    if returncode is not None and returncode < 0:
        return signal.Signals(-returncode).name
    return f"exit {returncode}"
