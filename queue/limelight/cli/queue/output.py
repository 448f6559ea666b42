"""What the commands print: tables and lines for people, one JSON object per line for machines.

Nothing that came from Redis reaches a terminal as it is: texts are taken literally (no markup), and every
character that a terminal would obey or hide is written as an escape.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from limelight.cli.terminal import console, remark, speaks_unicode
from limelight.cli.text import age, compact, duration, shown

WIDEST: Final = 120
RUNNING, FAILED, LATE, QUIET = "blue", "bright_red", "yellow", "dim"
_GAP: Final = "  "
_LEAST: Final = 8


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        title: In capitals.
        right: Whether it is set flush right: numbers.
        gives: Whether it may be cut where the terminal is too narrow: texts, never ids or numbers.
    """

    title: str
    right: bool = False
    gives: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its text, as it came, and its style; a style never says what the text does not."""

    text: str
    style: str = ""


class Output:
    """Prints what one command has found or done.

    Args:
        as_json: One JSON object per line in place of tables and sentences.
        color: False for plain letters, whatever the terminal can do.
    """

    def __init__(self, *, as_json: bool = False, color: bool = True) -> None:
        self.as_json = as_json
        self.screen: Console = console(color=color)
        self.none = "–" if speaks_unicode(self.screen) else "-"
        self._mark = "…" if speaks_unicode(self.screen) else "~"

    @property
    def live(self) -> bool:
        """Whether somebody looks: a terminal, and not JSON."""
        return self.screen.is_terminal and not self.as_json

    def record(self, values: Mapping[str, Any]) -> None:
        """Print one JSON object, in ASCII, so that it is safe on a terminal too."""
        text = json.dumps(plain(values), allow_nan=False).replace("\x7f", "\\u007f")
        self.screen.print(Text(text), soft_wrap=True)

    def say(self, text: str, style: str = "") -> None:
        """Print one sentence."""
        self.screen.print(Text(shown(text), style), soft_wrap=True)

    def head(self, title: str, word: str, style: str) -> None:
        """Print what a page is about, and a word on it."""
        self.screen.print(
            Text(shown(title), "bold").append(f"  {shown(word)}", f"not bold {style}"), soft_wrap=True
        )

    def note(self, text: str) -> None:
        """Say something that is no result, on stderr; nothing with JSON."""
        if not self.as_json:
            remark(shown(text))

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
        """Print a table with its heads."""
        for line in self.lines(columns, rows):
            self.screen.print(line, soft_wrap=True)

    def lines(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> list[Text]:
        """A table's lines: on a terminal within its width, elsewhere as wide as it takes."""
        heads = [Cell(column.title, QUIET) for column in columns]
        table = [[Cell(shown(cell.text), cell.style) for cell in row] for row in [heads, *rows]]
        widths = [max(cell_len(row[at].text) for row in table) for at in range(len(columns))]
        if self.screen.is_terminal:
            widths = fitted(widths, columns, min(self.screen.width, WIDEST))
        return [self._line(row, columns, widths) for row in table]

    def _line(self, row: Sequence[Cell], columns: Sequence[Column], widths: Sequence[int]) -> Text:
        line = Text()
        for at, (cell, column, width) in enumerate(zip(row, columns, widths, strict=True)):
            text, space = self._cut(cell.text, width), " " * max(0, width - cell_len(cell.text))
            line.append(_GAP if at else "").append(space if column.right else "")
            line.append(text, cell.style).append("" if column.right else space)
        line.rstrip()
        return line

    def _cut(self, text: str, width: int) -> str:
        return text if cell_len(text) <= width else set_cell_size(text, width - 1) + self._mark

    # -- Times ------------------------------------------------------------------------------------------
    def ago(self, then: float | None, now: float) -> str:
        """When something was: its age on a terminal, elsewhere the moment itself."""
        if then is None:
            return self.none
        return age(now - then) if self.screen.is_terminal else moment(then)

    def at(self, then: float | None, now: float) -> str:
        """When something was or will be: the moment, and on a terminal how far away."""
        if then is None:
            return self.none
        if not self.screen.is_terminal:
            return moment(then)
        far = f"in {duration(then - now)}" if then > now else f"{duration(now - then)} ago"
        return f"{_local(then, now)} ({far})"

    def until(self, then: float, now: float) -> str:
        """When something will be: how far away on a terminal, elsewhere the moment itself."""
        return f"in {compact(max(0.0, then - now))}" if self.screen.is_terminal else moment(then)


def fitted(widths: Sequence[int], columns: Sequence[Column], width: int) -> list[int]:
    """Column widths that fit: the widest of those that give loses first, down to 8 cells each."""
    fit = list(widths)
    while sum(fit) + len(_GAP) * (len(fit) - 1) > width:
        giving = [at for at, column in enumerate(columns) if column.gives and fit[at] > _LEAST]
        if not giving:
            break
        fit[max(giving, key=lambda at: fit[at])] -= 1
    return fit


def moment(unix_seconds: float) -> str:
    """ISO 8601 in UTC, milliseconds; what is no moment of a calendar as the number it is."""
    try:
        return (
            datetime.fromtimestamp(unix_seconds, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )
    except (ValueError, OverflowError, OSError):
        return str(unix_seconds)


def _local(unix_seconds: float, now: float) -> str:
    """Local time, with the date where it is another day's."""
    try:
        then, today = datetime.fromtimestamp(unix_seconds), datetime.fromtimestamp(now)
    except (ValueError, OverflowError, OSError):
        return str(unix_seconds)
    return f"{then:%H:%M:%S}" if then.date() == today.date() else f"{then:%Y-%m-%d %H:%M}"


def plain(value: Any) -> Any:
    """A value as JSON can hold it; what JSON does not know becomes text."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if abs(value) < 2**63 else hex(value)
        case float():
            return value if math.isfinite(value) else str(value)
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
        case Mapping() if all(isinstance(key, str) for key in value):
            return {key: plain(item) for key, item in value.items()}
        case _:
            return str(value)
