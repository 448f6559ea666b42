"""Signals: what happens to tasks, told to handlers in the process where it happens.

A signal is sent when the thing has happened, and in no other process; what must miss nothing reads the events
(docs/events.md). Handlers are called one after the other, by the thread that ran the task; they should be quick.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any, Final

from .errors import ConfigurationError
from .lifecycle import Decision, Fate
from .task import Task

log = logging.getLogger(__name__)

SIGNAL_CANCELED: Final = "canceled"
SIGNAL_COMPLETE: Final = "complete"
SIGNAL_ENQUEUED: Final = "enqueued"
SIGNAL_ERROR: Final = "error"
SIGNAL_EXECUTING: Final = "executing"
SIGNAL_EXPIRED: Final = "expired"
SIGNAL_INTERRUPTED: Final = "interrupted"
SIGNAL_LOCKED: Final = "locked"
SIGNAL_RATE_LIMITED: Final = "rate-limited"
SIGNAL_RETRYING: Final = "retrying"
SIGNAL_REVOKED: Final = "revoked"
SIGNAL_SCHEDULED: Final = "scheduled"
SIGNAL_TIMEOUT: Final = "timeout"

SIGNALS: Final = frozenset(
    {
        SIGNAL_CANCELED,
        SIGNAL_COMPLETE,
        SIGNAL_ENQUEUED,
        SIGNAL_ERROR,
        SIGNAL_EXECUTING,
        SIGNAL_EXPIRED,
        SIGNAL_INTERRUPTED,
        SIGNAL_LOCKED,
        SIGNAL_RATE_LIMITED,
        SIGNAL_RETRYING,
        SIGNAL_REVOKED,
        SIGNAL_SCHEDULED,
        SIGNAL_TIMEOUT,
    }
)

_ALL: Final = ""

Handler = Callable[..., Any]
"""Called as ``handler(signal, task)``, and for `SIGNAL_ERROR` as ``handler(signal, task, exception)``."""


class Signals:
    """Who wants to hear what. Safe for many threads, as long as handlers are connected before they are needed."""

    def __init__(self) -> None:
        self._handlers: dict[str, tuple[Handler, ...]] = {}

    def __bool__(self) -> bool:
        """Whether anybody wants to hear anything."""
        return bool(self._handlers)

    def connect(self, handler: Handler, *signals: str) -> None:
        """Call a handler for these signals, or for all if none is named.

        Raises:
            ConfigurationError: There is no such signal, or the handler is async.
        """
        if inspect.iscoroutinefunction(handler):
            raise ConfigurationError(f"signal handler {handler!r} is async: handlers are plain functions")
        for signal in checked_signals(signals) or (_ALL,):
            self._handlers[signal] = (*self._handlers.get(signal, ()), handler)

    def disconnect(self, handler: Handler, *signals: str) -> None:
        """Call a handler no more for these signals, or for none at all if none is named."""
        for signal in checked_signals(signals) or tuple(self._handlers):
            left = tuple(one for one in self._handlers.get(signal, ()) if one != handler)
            if left:
                self._handlers[signal] = left
            else:
                self._handlers.pop(signal, None)

    def wants(self, signal: str) -> bool:
        """Whether anybody wants to hear this signal."""
        return signal in self._handlers or _ALL in self._handlers

    def send(self, signal: str, task: Task | None, exc: BaseException | None = None) -> None:
        """Call the handlers of a signal, those of this signal first; one that raises is logged and stops nobody.

        Args:
            signal: One of `SIGNALS`.
            task: What it happened to. None calls nobody: nobody wanted to hear when the task began.
            exc: What it raised, with `SIGNAL_ERROR`.
        """
        if task is None:
            return
        told = (signal, task) if exc is None else (signal, task, exc)
        for handler in (*self._handlers.get(signal, ()), *self._handlers.get(_ALL, ())):
            try:
                handler(*told)
            except (Exception, SystemExit):  # a handler that wants to exit may not take a worker along
                log.exception("the handler %r of signal %s raised", handler, signal)

    def send_settled(self, decision: Decision, task: Task | None) -> None:
        """Tell what became of a task when its run closed, once Redis has taken the decision."""
        for signal in _settled(decision):
            self.send(signal, task)


def _settled(decision: Decision) -> tuple[str, ...]:
    match decision.fate:
        case Fate.END if decision.outcome == "success":
            return (SIGNAL_COMPLETE,)
        case Fate.RETRY:
            return (SIGNAL_RETRYING, SIGNAL_SCHEDULED if decision.delay_seconds > 0 else SIGNAL_ENQUEUED)
        case Fate.BACK:
            return (SIGNAL_INTERRUPTED,)
    return ()


def checked_signals(signals: tuple[str, ...]) -> tuple[str, ...]:
    """Return them; raises ConfigurationError if there is one that is never sent."""
    unknown = [signal for signal in signals if signal not in SIGNALS]
    if unknown:
        raise ConfigurationError(
            f"there is no signal {', '.join(map(repr, unknown))}: take SIGNAL_… from limelight.signals "
            f"({', '.join(sorted(SIGNALS))}), and write @queue.signal() with its parentheses"
        )
    return signals
