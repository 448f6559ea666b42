"""Which Redis, and which of its queues, a command line means."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import rich_click as click

from limelight.errors import UnknownQueue

_Command = TypeVar("_Command", bound=Callable[..., Any])
DEFAULT_URL: Final = "redis://localhost:6379/0"


def url_option(command: _Command) -> _Command:
    """Add ``--url``."""
    return click.option(
        "--url",
        envvar="LIMELIGHT_REDIS_URL",
        show_envvar=True,
        default=DEFAULT_URL,
        show_default=True,
        help="Redis of the queues: redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://.",
    )(command)


def color_option(command: _Command) -> _Command:
    """Add ``--no-color``."""
    return click.option(
        "--no-color", "color", flag_value=False, default=True, help="Without colour; NO_COLOR says the same."
    )(command)


def checked(chosen: Sequence[str], known: Sequence[str], where: str) -> Sequence[str]:
    """The chosen queues, or raise UnknownQueue for one that never announced itself.

    Args:
        chosen: Names from the command line.
        known: All that there are.
        where: The Redis, as it may be shown.
    """
    for name in chosen:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            there = f" Known: {', '.join(known)}." if known else " There is none yet."
            raise UnknownQueue(f"no queue named {name!r} in {where}.{hint}{there}")
    return chosen
