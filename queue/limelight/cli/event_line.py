"""How one event looks: a line of columns on a terminal, a line of ``key=value`` elsewhere. Pure.

Whatever comes from Redis is untrusted: no control character of it reaches the terminal, and none of it is markup.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from limelight import events
from limelight.events import Event

from .text import compact, cut, shown

WIDE: Final = 100
_GAP: Final = "  "
_SHORT_STATUS: Final = 12
_LONG_STATUS: Final = 20
_ID: Final = 8
_DURATION: Final = 6
_SHORTEST_NAME: Final = 6
_LONGEST_NAME: Final = {"queue": 12, "task": 20, "worker": 14}
_NARROW_TASK: Final = 16
_LONGEST_TEXT: Final = 300
_PLAIN: Final = re.compile(r"[^\s\"=\\]+")
_LATE: Final = frozenset(
    {
        events.EVENT_RETRYING,
        events.EVENT_REDELIVERED,
        events.EVENT_INTERRUPTED,
        events.EVENT_EXPIRED,
        events.EVENT_LOCKED,
        events.EVENT_RATE_LIMITED,
        events.EVENT_REVOKED,
        events.EVENT_CANCELED,
    }
)


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What stands for nothing, and where a text was cut: all that the terminal's encoding can say."""

    none: str
    cut: str


UNICODE: Final = Glyphs("–", "…")
ASCII: Final = Glyphs("-", "~")


class EventColumns:
    """Lines whose columns stand under each other; they grow with the names that come.

    Args:
        glyphs: What may be drawn with.
    """

    def __init__(self, glyphs: Glyphs = UNICODE) -> None:
        self._glyphs = glyphs
        self._widths = dict.fromkeys(_LONGEST_NAME, _SHORTEST_NAME)

    def line(self, event: Event, width: int) -> Text:
        """Time, status, task, id, duration and what else there is to say; with room also queue and worker.

        It has `width` cells at most.
        """
        wide = width >= WIDE
        line = Text.assemble((clock(event.timestamp), "dim"), _GAP, no_wrap=True, end="")
        status = cut(event.status, _LONG_STATUS, self._glyphs.cut)
        line.append(f"{status:<{_LONG_STATUS if wide else _SHORT_STATUS}}{_GAP}", _style(event))
        if wide:
            line.append(self._cell("queue", event.queue))
            line.append(self._cell("task", event.task))
        else:
            line.append(
                self._cell("task", event.task, _NARROW_TASK, give=max(0, len(status) - _SHORT_STATUS))
            )
        line.append(f"{cut(event.id or '', _ID, ''):<{_ID}}{_GAP}")
        took = self._glyphs.none if event.duration is None else compact(event.duration)
        line.append(f"{took:>{_DURATION}}{_GAP}")
        if wide:
            line.append(self._cell("worker", _worker(event)), "dim")
        line.append(shown(_detail(event)))
        line.rstrip()
        if line.cell_len > width:
            line.truncate(width - len(self._glyphs.cut))
            line.append(self._glyphs.cut)
        return line

    def _cell(self, column: str, name: str | None, longest: int = 0, give: int = 0) -> str:
        """As wide as the longest name so far, less what the column before it took."""
        longest = longest or _LONGEST_NAME[column]
        text = shown(name or self._glyphs.none)
        if cell_len(text) > longest:
            text = set_cell_size(text, longest - 1) + self._glyphs.cut
        self._widths[column] = max(self._widths[column], cell_len(text))
        return set_cell_size(text, max(cell_len(text), self._widths[column] - give)) + _GAP


def plain_line(event: Event) -> str:
    """An event as one fact for pipes and logs: ISO time, status, and what it says as ``key=value``."""
    return " ".join([iso(event.timestamp), quoted(event.status), *_pairs(event)])


def json_line(told: bytes) -> str:
    """An event's JSON as it is, on one line; what a terminal would obey is escaped, as JSON escapes it."""
    text = told.decode()
    return text if text.isprintable() else "".join(map(_json_char, text))


def traceback_lines(event: Event) -> Iterator[str]:
    """The traceback of an event, line by line, indented."""
    for line in (event.traceback or "").splitlines():
        yield f"    {shown(line)}"


def clock(timestamp: float) -> str:
    """Local time of day to the millisecond."""
    at = _local(timestamp)
    return "??:??:??.???" if at is None else at.strftime("%H:%M:%S.%f")[:-3]


def day(timestamp: float) -> str:
    """Local date."""
    at = _local(timestamp)
    return "" if at is None else at.strftime("%Y-%m-%d")


def iso(timestamp: float) -> str:
    """UTC to the millisecond; a number that is no time as the number it is."""
    at = _local(timestamp)
    if at is None:
        return repr(timestamp)
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def quoted(value: str) -> str:
    """A value of ``key=value``: as it is if nothing in it could mislead, else as a JSON string, cut."""
    plain = _PLAIN.fullmatch(value) and value.isprintable()
    return value if plain else json.dumps(value[:_LONGEST_TEXT])


def _local(timestamp: float) -> datetime | None:
    """None for what no calendar holds: anybody who may write to the stream can say so."""
    try:
        return datetime.fromtimestamp(timestamp).astimezone()
    except (ValueError, OverflowError, OSError):
        return None


def _json_char(char: str) -> str:
    if char.isprintable():
        return char
    return " " if char in "\n\r\t" else json.dumps(char)[1:-1]  # raw ones stand between the values only


def _style(event: Event) -> str:
    if event.error or event.status == events.EVENT_DEAD:
        return "bright_red"
    if event.status in {events.EVENT_STARTED, events.EVENT_FINISHED}:
        return "blue"
    return "yellow" if event.status in _LATE else ""


def _worker(event: Event) -> str:
    return "/".join(part for part in (event.host, event.worker) if part)


def _detail(event: Event) -> str:
    """What one event has to say beyond the columns."""
    if event.error_type and (event.error or event.status == events.EVENT_DEAD):
        kind = event.error_type.rpartition(".")[2]
        gave_up = f"gave up after {_attempt(event)}: " if event.status == events.EVENT_DEAD else ""
        return f"{gave_up}{kind}: {event.error_message or ''}"
    match event.status:
        case events.EVENT_RETRYING:
            remain = "1 attempt remains" if event.retries == 1 else f"{event.retries} attempts remain"
            return f"again {_in(event.retry_delay)}, {remain}"
        case events.EVENT_STARTED:
            return f"{_attempt(event)} after {compact(event.wait or 0)} of waiting"
        case events.EVENT_SCHEDULED | events.EVENT_ENQUEUED if event.execute_time is not None:
            return f"for {clock(event.execute_time)}"
        case events.EVENT_CONSUMER_STARTED:
            return f"{event.workers} workers: {', '.join(event.tasks)}"
    return _attempt(event) if event.max_attempts > 1 and event.outcome else ""


def _attempt(event: Event) -> str:
    """Which attempt, and which run where they differ: a lost or interrupted run gives its attempt back."""
    run = f" (run {event.run})" if event.run != event.attempt else ""
    return f"attempt {event.attempt}/{event.max_attempts}{run}"


def _in(seconds: float | None) -> str:
    return f"in {compact(seconds)}" if seconds else "at once"


def _pairs(event: Event) -> Iterator[str]:
    values: Mapping[str, object] = {
        "queue": event.queue,
        "task": event.task,
        "id": event.id,
        "run": event.run or None,
        "attempt": f"{event.attempt}/{event.max_attempts}" if event.attempt else None,
        "wait": event.wait if event.status == events.EVENT_STARTED else None,
        "duration": event.duration,
        "retry_delay": event.retry_delay if event.status == events.EVENT_RETRYING else None,
        "outcome": event.outcome,
        "end": event.end,
        "error_type": event.error_type,
        "error_message": event.error_message,
        "host": event.host,
        "worker": event.worker,
    }
    return (f"{key}={quoted(str(value))}" for key, value in values.items() if value not in {None, ""})
