"""The clock of Redis, moved while it runs: libfaketime (Debian's package `faketime`) before the real server."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Final

_LIBRARY: Final = "faketime/libfaketime.so.1"
_CACHED_SECONDS: Final = 1
"""How long libfaketime goes by what it read last; a file read at every look at the clock would slow Redis down."""


def faketime_library() -> Path | None:
    """Where libfaketime is, None if it is not installed."""
    found = [path for folder in ("/usr/lib", "/usr/local/lib") for path in Path(folder).glob(f"*/{_LIBRARY}")]
    found += [
        path for path in [Path("/usr/lib", _LIBRARY), Path("/usr/local/lib", _LIBRARY)] if path.exists()
    ]
    return found[0] if found else None


class MovableClock:
    """A clock that is some seconds ahead of this machine's; each move is remembered.

    Without libfaketime it stands still at no offset, and `movable` is False.

    Args:
        folder: For its files.
        library: libfaketime, None if there is none.
    """

    def __init__(self, folder: Path, library: Path | None) -> None:
        self.movable = library is not None
        self.moves: list[tuple[float, float]] = [(0.0, 0.0)]
        self._library = library
        self._file = folder / "clock"
        self._folder = folder
        self._file.write_text("+0\n")

    @property
    def offset_seconds(self) -> float:
        """How far it is ahead now."""
        return self.moves[-1][1]

    @property
    def furthest(self) -> float:
        """The farthest ahead that it ever was."""
        return max(offset for _, offset in self.moves)

    def move_to(self, offset_seconds: float) -> None:
        """Move it; whoever lives by it sees that within two seconds."""
        if not self.movable:
            return
        scratch = self._file.with_suffix(".new")
        scratch.write_text(f"{offset_seconds:+.0f}\n")
        scratch.replace(self._file)
        self.moves.append((time.time(), round(offset_seconds)))

    def server(self, binary: Path) -> Path:
        """A program that runs the server by this clock; the server itself where the clock cannot be moved."""
        if self._library is None:
            return binary
        # jemalloc asks for the time before libfaketime is ready to tell it; libc's own malloc does not.
        settings = {
            "LD_PRELOAD": f"{self._library} libc.so.6",
            "FAKETIME_TIMESTAMP_FILE": self._file,
            "FAKETIME_CACHE_DURATION": _CACHED_SECONDS,
            "FAKETIME_DONT_FAKE_MONOTONIC": 1,
        }
        words = [f"{name}={shlex.quote(str(value))}" for name, value in settings.items()]
        script = self._folder / "redis-by-the-moved-clock"
        script.write_text(f'#!/bin/sh\nexec env {" ".join(words)} {shlex.quote(str(binary))} "$@"\n')
        script.chmod(0o755)
        return script
