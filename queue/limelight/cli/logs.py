"""Where a command's log goes, and what a line of it looks like."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from .text import shown

_encode: Final = msgspec.json.Encoder().encode
_TEXT: Final = "%(asctime)s %(levelname)-7s %(threadName)-10s %(message)s"
FORMATS: Final = ("text", "json")


def log_to(path: Path | None, level: str, form: str) -> None:
    """Set up logging of this process; a worker process does so again for itself.

    Args:
        path: File to append to (it may be rotated by moving it away); None for stderr.
        level: The least level that is told.
        form: ``text``, or ``json`` for one object per line.
    """
    handler: logging.Handler = (
        logging.StreamHandler(sys.stderr)
        if path is None
        else logging.handlers.WatchedFileHandler(path, encoding="utf-8")
    )
    handler.setFormatter(JsonLines() if form == "json" else TextLines(_TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class TextLines(logging.Formatter):
    """Lines for reading: only the first of a record begins at the margin, so that nothing quoted can pass for another,
    and every character that a terminal would obey or hide is made visible.
    """  # noqa: D205 - one sentence

    def format(self, record: logging.LogRecord) -> str:
        """Write one record, its traceback behind it."""
        return "\n    ".join(map(_visible, super().format(record).split("\n")))


def _visible(line: str) -> str:
    return "\t".join(map(shown, line.split("\t")))


class JsonLines(logging.Formatter):
    """One JSON object per line: ``time`` (Unix seconds), ``level``, ``logger``, ``pid``, ``thread``, ``message``,
    and ``traceback`` where there is one.
    """  # noqa: D205 - the list is the summary

    def format(self, record: logging.LogRecord) -> str:
        """Encode one record."""
        line: dict[str, Any] = {
            "time": round(record.created, 6),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "thread": record.threadName,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _encode(line).decode()
