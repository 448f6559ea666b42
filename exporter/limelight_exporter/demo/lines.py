"""One fact per line, for pipes and logs: full ids, ISO times, no colour."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from limelight.cli.text import rate
from limelight.events import Event

from .watch import Frame

_PLAIN: Final = re.compile(r"[^\s\"=\\\x00-\x1f\x7f]+")
_LONGEST: Final = 300


def event_line(event: Event) -> str:
    """An event: time, status, and what it says as ``key=value``."""
    return " ".join([_iso(event.timestamp), event.status, *_pairs(event)])


def _pairs(event: Event) -> Iterator[str]:
    values: dict[str, object] = {"queue": event.queue, "task": event.task, "id": event.id}
    if event.outcome is not None or event.end is not None:
        values |= {"duration": event.duration, "attempt": f"{event.attempt}/{event.max_attempts}"}
        values |= {"outcome": event.outcome, "end": event.end}
    values |= {"error_type": event.error_type, "error_message": event.error_message, "worker": event.worker}
    return (f"{key}={_quoted(str(value))}" for key, value in values.items() if value not in {None, ""})


def summary_line(frame: Frame) -> str:
    """All queues at one moment."""
    parts = [_iso(frame.now), "summary", f"up={frame.up_seconds:.0f}", f"verdict={_quoted(frame.verdict)}"]
    parts += [
        f"{row.name}: ready={row.ready} running={row.running}/{row.workers} scheduled={row.scheduled} "
        f"dead={row.dead} in={rate(row.came)}/s out={rate(row.went)}/s state={_quoted(row.state)}"
        for row in frame.queues
    ]
    return " ".join(parts)


def skipped_line(now: float, count: int) -> str:
    """Says that events came too fast to be printed; they are counted all the same."""
    return f"{_iso(now)} not-shown events={count}"


def _iso(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _quoted(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else json.dumps(value[:_LONGEST])
