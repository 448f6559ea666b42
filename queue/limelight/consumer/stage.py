"""Where an event loop awaits tasks' code, and stops it when its time is over."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from typing import Any

from limelight.errors import TaskTimeout
from limelight.report import Interruption
from limelight.slot import AGAIN_SECONDS, KICKS


class AsyncStage:
    """Cancels what runs too long, and leaves to itself what clings on.

    Attributes:
        is_ending: The consumer ends, so whatever is cancelled from now on is interrupted.

    Args:
        abandoned: Called when a coroutine would not stop; it goes on, but nobody waits for it.
    """

    def __init__(self, abandoned: Callable[[], None]) -> None:
        self.is_ending = False
        self._abandoned = abandoned
        self._left_alone: set[asyncio.Future[Any]] = set()

    async def run(self, code: Callable[[], Awaitable[Any]], seconds: float | None) -> Any:
        """Await code; raises what it raises, TaskTimeout when its time was over and it stopped, or would not.

        Args:
            code: What to await.
            seconds: How long it may take, None for as long as it likes.
        """
        try:
            return await self._run(code, seconds)
        except asyncio.CancelledError as error:
            if self.is_ending:
                raise Interruption from error
            raise

    async def _run(self, code: Callable[[], Awaitable[Any]], seconds: float | None) -> Any:
        if seconds is None:
            return await code()
        inner = asyncio.ensure_future(code())
        try:
            await asyncio.wait({inner}, timeout=seconds)
            for _ in range(KICKS):
                if inner.done():
                    return await _outcome(inner)
                inner.cancel()
                await asyncio.wait({inner}, timeout=AGAIN_SECONDS)
        except asyncio.CancelledError:  # the consumer stops
            inner.cancel()
            raise
        if inner.done():
            return await _outcome(inner)
        raise self._abandon(inner)

    def _abandon(self, inner: asyncio.Future[Any]) -> TaskTimeout:
        self._abandoned()
        self._left_alone.add(inner)
        inner.add_done_callback(self._left_alone.discard)
        stack = io.StringIO()
        if isinstance(inner, asyncio.Task):
            inner.print_stack(file=stack)
        error = TaskTimeout()
        error.add_note(f"It did not stop and is left alone.\n{stack.getvalue()}")
        return error


async def _outcome(inner: asyncio.Future[Any]) -> Any:
    try:
        return await inner
    except asyncio.CancelledError as error:
        raise TaskTimeout from error
