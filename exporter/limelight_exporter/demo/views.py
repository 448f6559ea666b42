"""Where frames go: a live terminal, or plain lines for pipes and logs."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console
from rich.live import Live

from limelight.cli.event_line import plain_line

from .lines import skipped_line, summary_line
from .reader import Reader
from .screen import Surroundings, draw, tasks_for

SUMMARY_SECONDS: Final = 5.0


class View(Protocol):
    """Shows what a reader knows, again and again."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, reader: Reader, note: str = "") -> None:
        """Show the present; `note` stands where else the verdict does."""


class LiveView:
    """Redraws in place; the last frame stays when it is closed."""

    def __init__(self, console: Console, around: Surroundings) -> None:
        self._console = console
        self._around = around
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, reader: Reader, note: str = "") -> None:
        """Redraw; call it four times a second at most."""
        width, height = self._console.size
        frame = reader.frame(tasks_for(height, 2), note)
        self._live.update(draw(frame, self._around, width=width, height=height), refresh=True)


class PlainView:
    """Prints each event once, and a summary every five seconds."""

    def __init__(self) -> None:
        self._summary_due = time.monotonic() + SUMMARY_SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def show(self, reader: Reader, note: str = "") -> None:
        """Print what is new."""
        told, skipped = reader.unprinted()
        lines = [plain_line(event) for event in told]
        if skipped:
            lines.append(skipped_line(time.time(), skipped))
        if time.monotonic() >= self._summary_due:
            self._summary_due += SUMMARY_SECONDS
            lines.append(summary_line(reader.frame(0, note)))
        if lines:
            print("\n".join(lines), flush=True)  # noqa: T201 - this is the output
