"""Doing what cannot be undone: asking first, and showing how far it is."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from limelight.errors import ConfigurationError

from .output import Output

EXIT_CUT_OFF: Final = 130
_LONG: Final = 5_000


def confirm(output: Output, question: str, *, yes: bool) -> None:
    """Return if it may be done; otherwise end the command.

    Args:
        output: Of the command.
        question: What will be done, with its counts: ``Throw 12 dead letters of mail away``.
        yes: Whether ``--yes`` was given.

    Raises ConfigurationError where nobody can be asked: no terminal, or JSON.
    """
    if yes:
        return
    if output.as_json or not interactive():
        raise ConfigurationError(
            f"this would do the following, and nobody can be asked: {question}.\n  Say --yes"
        )
    if not click.confirm(f"{question}?", err=True):
        output.note("Nothing was done.")
        raise SystemExit(1)


def interactive() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def worked_off(output: Output, steps: Iterable[int], expected: int, *, doing: str) -> int:
    """Go through all steps and return their sum; where that takes long, show how far they are.

    Ctrl-C ends the command between two steps with exit code 130, having said how many were done.
    """
    done = 0
    with _progress(output, expected, doing) as shown:
        task = shown.add_task(doing, total=expected) if shown else None
        try:
            for step in steps:
                done += step
                if shown is not None and task is not None:
                    shown.update(task, completed=done, total=max(expected, done))
        except KeyboardInterrupt:
            output.note(f"stopped after {done:,} of {expected:,}; what is done is done")
            raise SystemExit(EXIT_CUT_OFF) from None
    return done


def _progress(output: Output, expected: int, doing: str) -> AbstractContextManager[Progress | None]:
    if expected < _LONG or not output.live or not sys.stderr.isatty() or not doing:
        return nullcontext()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
