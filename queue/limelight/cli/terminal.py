"""Where lines go: a terminal or something else, with or without colour, whatever it can encode."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


def console(*, color: bool = True) -> Console:
    """A console on stdout that takes texts literally, and writes what its encoding lacks as escapes.

    NO_COLOR and TERM=dumb are obeyed.
    """
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    return Console(markup=False, emoji=False, highlight=False, no_color=None if color else True)


def speaks_unicode(screen: Console) -> bool:
    """Whether it can show more than ASCII."""
    return screen.encoding.lower().startswith("utf")


def remark(text: str) -> None:
    """Say something that is no result: on stderr, so that a pipe carries results only."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


@contextmanager
def quiet_end() -> Iterator[None]:
    """Ctrl-C, and a reader that has seen enough (``| head``), end the block without a word."""
    try:
        yield
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # Python flushes stdout once more at its end; let that succeed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
