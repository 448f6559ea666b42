"""How long the running task may still take: for tasks that look after their time themselves."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from .errors import TaskTimeout

_until: Final[contextvars.ContextVar[float | None]] = contextvars.ContextVar(
    "limelight_deadline", default=None
)


def time_remaining() -> float | None:
    """Seconds that the running task may still take, below 0 when it is over.

    None where no timeout applies: the task has none, or this is no task.
    """
    until = _until.get()
    return None if until is None else until - time.monotonic()


def check_timeout() -> None:
    """Raise TaskTimeout if the running task's time is over; call it where stopping does no harm."""
    remaining = time_remaining()
    if remaining is not None and remaining <= 0:
        raise TaskTimeout


@contextmanager
def limited(seconds: float | None) -> Iterator[None]:
    """While it lasts, the calling context has so many seconds from now; None: as many as it likes."""
    token = _until.set(None if seconds is None else time.monotonic() + seconds)
    try:
        yield
    finally:
        _until.reset(token)
