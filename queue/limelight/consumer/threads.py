"""Threads by name, of which none stays dead."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

ABANDONED_LIMIT: Final = 10
"""How many stuck tasks a process bears before it had better be replaced."""

log = logging.getLogger("limelight.consumer")


@dataclass(slots=True)
class _Started:
    thread: threading.Thread
    run: Callable[[], None]
    has_ended: bool = False


class Threads:
    """Starts threads that do not keep the process alive, and starts those again that died."""

    def __init__(self) -> None:
        self._started: dict[str, _Started] = {}
        self._lock = threading.Lock()

    def start(self, name: str, run: Callable[[], None]) -> None:
        """Start one. A thread of the same name is not looked after any more."""
        started = _Started(threading.Thread(name=name, daemon=True), run)
        started.thread = threading.Thread(target=_body, args=(started,), name=name, daemon=True)
        with self._lock:
            self._started[name] = started
            started.thread.start()

    def check(self) -> None:
        """Start again what died: ended otherwise than by returning."""
        with self._lock:
            died = [
                (name, one.run)
                for name, one in self._started.items()
                if not one.has_ended and not one.thread.is_alive()
            ]
        for name, run in died:
            log.error("thread %s died: a new one takes its place", name)
            self.start(name, run)

    def join(self, name: str, seconds: float) -> bool:
        """Wait for one to end, for so many seconds at most; whether it has."""
        with self._lock:
            thread = self._started[name].thread
        thread.join(seconds)
        return not thread.is_alive()

    def alive(self) -> list[threading.Thread]:
        """Those that have not ended."""
        with self._lock:
            return [one.thread for one in self._started.values() if one.thread.is_alive()]


def _body(started: _Started) -> None:
    started.run()
    started.has_ended = True
