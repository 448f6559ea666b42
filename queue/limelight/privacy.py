"""What of a failure, and of what a task's code tells of itself, may leave the worker. Pure."""

from __future__ import annotations

import re
import traceback as tb
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final

from .errors import ConfigurationError

REDACTED: Final = "[redacted]"
_ON: Final = frozenset({"", "on", "true", "1", "yes"})
_OFF: Final = frozenset({"off", "false", "0", "no"})


@dataclass(frozen=True, slots=True)
class Privacy:
    """What is told of failures.

    It holds before anything is sent to Redis: for events, dead letters, failed results and logs of consumers.

    Attributes:
        messages: Whether the text of an exception is told. Its type always is.
        tracebacks: Whether its traceback is told; without `messages` it is the lines of code alone.
        redact: Regular expressions; what they match in messages, tracebacks, and in what a task's code puts on its span
            becomes ``[redacted]``.
    """

    messages: bool = True
    tracebacks: bool = True
    redact: Sequence[str] = ()
    _patterns: tuple[re.Pattern[str], ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        if isinstance(self.redact, str):
            raise ConfigurationError("redact must be several expressions: write redact=(r'…',)")
        object.__setattr__(self, "_patterns", tuple(_checked(expression) for expression in self.redact))

    def text(self, text: str) -> str:
        """A text without what is to be redacted."""
        for pattern in self._patterns:
            text = pattern.sub(REDACTED, text)
        return text

    def traceback(self, error: BaseException, frames: TracebackType | None = None) -> str:
        """The traceback of an exception as text, not redacted yet; without messages the lines of code alone.

        Args:
            error: Which.
            frames: From where on; None: all.
        """
        frames = frames or error.__traceback__
        if self.messages:
            return "".join(tb.format_exception(type(error), error, frames))
        code = "".join(tb.format_tb(frames))
        return f"Traceback (most recent call last):\n{code}{type(error).__qualname__}\n"

    def may_tell(self, attribute: str) -> bool:
        """Whether an attribute of a span may be told at all."""
        match attribute:
            case "exception.message":
                return self.messages
            case "exception.stacktrace":
                return self.messages and self.tracebacks
        return True


EVERYTHING: Final = Privacy()
"""Hides nothing."""


def _checked(expression: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(expression)
    except (re.error, TypeError) as error:
        raise ConfigurationError(f"redact: {expression!r} is no regular expression: {error}") from None
    if pattern.search(""):
        raise ConfigurationError(
            f"redact: {expression!r} matches the empty text, so it would match everywhere"
        )
    return pattern


def privacy_of(environment: Mapping[str, str]) -> Privacy:
    """The privacy that the environment asks for.

    Args:
        environment: ``LIMELIGHT_ERROR_MESSAGES`` and ``LIMELIGHT_TRACEBACKS`` (on, off), ``LIMELIGHT_REDACT`` (one
            regular expression).

    Raises:
        ConfigurationError: One of them cannot be used: what was to be hidden must not be told by mistake.
    """
    pattern = environment.get("LIMELIGHT_REDACT", "")
    return Privacy(
        messages=_switch(environment, "LIMELIGHT_ERROR_MESSAGES"),
        tracebacks=_switch(environment, "LIMELIGHT_TRACEBACKS"),
        redact=(pattern,) if pattern else (),
    )


def _switch(environment: Mapping[str, str], name: str) -> bool:
    value = environment.get(name, "").strip().lower()
    if value not in _ON | _OFF:
        raise ConfigurationError(f"{name} must be on or off, not {value!r}")
    return value in _ON
