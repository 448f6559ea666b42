"""Prints events and what there is to say about them: on a terminal, into a pipe, or as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rich.console import Console
from rich.text import Text

from limelight.event_log import Entry, Item, Missed, Outage, Recovered, Unreadable, WentBack

from .event_line import ASCII, UNICODE, EventColumns, day, json_line, plain_line, traceback_lines
from .terminal import console, remark, speaks_unicode
from .text import duration, shown


class Printer(Protocol):
    """Shows events, and remarks about them."""

    def event(self, entry: Entry) -> None:
        """Show one event."""

    def remark(self, text: str) -> None:
        """Say something that is no event."""


class TerminalPrinter:
    """Columns, in colour; remarks stand between the events.

    Args:
        screen: Where.
        tracebacks: Whether they are printed below their events.
    """

    def __init__(self, screen: Console, *, tracebacks: bool) -> None:
        self._screen = screen
        self._tracebacks = tracebacks
        self._columns = EventColumns(UNICODE if speaks_unicode(screen) else ASCII)
        self._day = ""

    def event(self, entry: Entry) -> None:
        """One line, after the date where that changed."""
        today = day(entry.event.timestamp)
        if today != self._day:
            self._say(today)
            self._day = today
        self._screen.print(self._columns.line(entry.event, self._screen.width))
        if self._tracebacks:
            for line in traceback_lines(entry.event):
                self._screen.print(Text(line, "dim"), soft_wrap=True)

    def remark(self, text: str) -> None:
        """Between dashes, in the colour of what is late."""
        self._say(text, "yellow")

    def _say(self, text: str, style: str = "dim") -> None:
        self._screen.print(Text(f"-- {text} --", style))


class LinePrinter:
    """A line per event on stdout; remarks on stderr.

    Args:
        line: Writes an event.
        tracebacks: Whether they are printed below their events.
    """

    def __init__(self, line: Callable[[Entry], str], *, tracebacks: bool) -> None:
        self._line = line
        self._tracebacks = tracebacks

    def event(self, entry: Entry) -> None:
        """One line, at once: whoever reads the pipe follows too."""
        lines = [self._line(entry), *(traceback_lines(entry.event) if self._tracebacks else ())]
        print("\n".join(lines), flush=True)  # noqa: T201

    def remark(self, text: str) -> None:
        """On stderr."""
        remark(f"limelight: {text}")


def printer(*, as_json: bool, color: bool, tracebacks: bool) -> Printer:
    """What suits stdout."""
    screen = console(color=color)
    if as_json:
        return LinePrinter(lambda entry: json_line(entry.json), tracebacks=False)
    if screen.is_terminal:
        return TerminalPrinter(screen, tracebacks=tracebacks)
    return LinePrinter(lambda entry: plain_line(entry.event), tracebacks=tracebacks)


def remark_on(item: Item) -> str:
    """What an item that is no event has to say."""
    match item:
        case Missed():
            were = "event was" if item.count == 1 else "events were"
            numbers = f"seq {item.first}" + (f" to {item.last}" if item.count > 1 else "")
            return f"{item.count:,} {were} trimmed before they could be read ({item.queue}, {numbers})"
        case WentBack():
            return (
                f"Redis forgot what {item.queue} told after seq {item.after} (it stood at {item.before}): "
                "a restart, a failover or a flush"
            )
        case Unreadable():
            return f"an entry of {item.queue} is no event ({item.id}): {shown(item.reason)}"
        case Outage():
            return f"{shown(item.reason)} Waiting for it."
        case Recovered():
            return f"Redis answers again, after {duration(item.seconds)}"
        case Entry():
            return ""
