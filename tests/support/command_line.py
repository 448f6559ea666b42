"""The `limelight` command inside this process, which is much faster than one of its own."""

import contextlib
import io
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock

import msgspec

from limelight.cli.main import main


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Done:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """What it printed as JSON, one object per line."""
        return [msgspec.json.decode(line) for line in self.out.splitlines()]


def limelight(
    *args: str, terminal: bool = False, typed: str = "", env: Mapping[str, str] | None = None
) -> Done:
    """Run the command.

    Args:
        args: After ``limelight``.
        terminal: Whether its three streams are a terminal.
        typed: What is typed into it.
        env: Further environment variables.
    """
    kind = Terminal if terminal else io.StringIO
    out, err, code = kind(), kind(), 0
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("LIMELIGHT_", "OTEL_"))}
    variables = plain | {"COLUMNS": "100", "TERM": "xterm" if terminal else "dumb"} | dict(env or {})
    with (
        mock.patch.object(sys, "argv", ["limelight", *args]),
        mock.patch.object(sys, "stdin", kind(typed)),
        mock.patch.dict(os.environ, variables, clear=True),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Done(code, out.getvalue(), err.getvalue())
