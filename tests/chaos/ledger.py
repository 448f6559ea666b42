"""The truth, kept outside Redis: files that many processes append to, one fact a line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

PROCESSES: Final = "processes.ledger"
"""The file in which processes that run tasks say that they are there."""


class Ledger:
    """Appends facts to a file, each by one O_APPEND write.

    So lines of many processes never mix, and what was noted survives a kill -9 of who noted it.

    Args:
        path: The file; made if it is not there.
    """

    def __init__(self, path: str | Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def note(self, **facts: Any) -> None:
        """Append one fact; returns when the kernel has it."""
        os.write(self._file, json.dumps(facts).encode() + b"\n")


def facts(path: str | Path) -> list[dict[str, Any]]:
    """What was noted in a file, in order; nothing if there is no file yet."""
    file = Path(path)
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
