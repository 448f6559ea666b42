"""Prints findings: a page for people, an object per line for machines."""

from __future__ import annotations

import json
from collections import Counter
from typing import Final

from rich.console import Console
from rich.text import Text

from limelight.cli.text import number, shown

from .finding import Finding, Status

_STATUS: Final = 6
_FOUND: Final = 46
_STYLES: Final = {Status.OK: "", Status.WARN: "yellow", Status.FAIL: "bright_red"}


class Page:
    """One line per finding, with what to do below it where something is to do.

    Args:
        screen: Where.
    """

    def __init__(self, screen: Console) -> None:
        self._screen = screen
        self._queue = ""
        self._counts: Counter[Status] = Counter()

    def show(self, finding: Finding) -> None:
        """Print one; what came from Redis is not obeyed."""
        if finding.queue != self._queue:
            self._queue = finding.queue
            self._screen.print(Text(f"\n{shown(finding.queue)}", "bold"))
        self._counts[finding.status] += 1
        self._print(self._head(finding), indent=_STATUS)
        if finding.detail and not self._fits(finding):
            self._print(Text(" " * _STATUS + shown(finding.detail), "dim"), indent=_STATUS)
        if finding.fix:
            self._print(Text(" " * (_STATUS + 2) + f"fix: {shown(finding.fix)}"), indent=_STATUS + 7)

    def end(self) -> None:
        """Count them."""
        well, late, wrong = (number(self._counts[status]) for status in Status)
        self._screen.print(Text(f"\n{well} well, {late} to look at, {wrong} to fix."))

    def _head(self, finding: Finding) -> Text:
        line = Text.assemble((f"{finding.status:<{_STATUS}}", _STYLES[finding.status]), shown(finding.found))
        if finding.detail and self._fits(finding):
            line.pad_right(max(2, _STATUS + _FOUND - line.cell_len))
            line.append(shown(finding.detail), "dim")
        return line

    def _fits(self, finding: Finding) -> bool:
        """Whether the detail has room on the same line: always where nothing is as narrow as a screen."""
        if not self._screen.is_terminal:
            return True
        start = max(_STATUS + _FOUND, _STATUS + len(shown(finding.found)) + 2)
        return start + len(shown(finding.detail)) <= self._screen.width

    def _print(self, line: Text, *, indent: int) -> None:
        """Wrapped by words at the terminal's width, the rest under the beginning; whole lines elsewhere."""
        if not self._screen.is_terminal:
            self._screen.print(line, soft_wrap=True)
            return
        first, *rest = line.wrap(self._screen, self._screen.width)
        self._screen.print(first)
        if rest:
            room = max(20, self._screen.width - indent)
            for part in Text(" ").join(rest).wrap(self._screen, room):
                self._screen.print(Text(" " * indent).append_text(part))


class JsonLines:
    """One object per finding."""

    def show(self, finding: Finding) -> None:
        """Print one."""
        words = {
            "check": finding.check,
            "status": finding.status.value,
            "queue": finding.queue or None,
            "found": finding.found,
            "detail": finding.detail,
            "fix": finding.fix,
        }
        print(json.dumps(words), flush=True)  # noqa: T201

    def end(self) -> None:
        """Nothing more to say."""
