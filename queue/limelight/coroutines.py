"""Runs `async def` tasks in a thread that runs plain functions otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Awaitable, Coroutine
from typing import Any

from .errors import TaskTimeout


class Coroutines:
    """An event loop for one thread, made when first used and kept for the next coroutine."""

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None

    def run(self, coroutine: Coroutine[Any, Any, Any], seconds: float | None) -> Any:
        """Run to the end; raises what it raises, TaskTimeout if it was cancelled because its time was over."""
        runner, self._runner = self._runner or asyncio.Runner(), None
        try:
            value = runner.run(within(coroutine, seconds), context=contextvars.copy_context())
        except TaskTimeout:  # perhaps driven out of the loop itself, which is of no use any more
            with contextlib.suppress(Exception):
                runner.close()
            raise
        except BaseException:
            self._runner = runner
            raise
        self._runner = runner
        return value

    def close(self) -> None:
        """Close the loop."""
        if self._runner is not None:
            with contextlib.suppress(Exception):
                self._runner.close()
        self._runner = None


async def within(awaitable: Awaitable[Any], seconds: float | None) -> Any:
    """Await something for so many seconds at most, then cancel it and raise TaskTimeout."""
    if seconds is None:
        return await awaitable
    try:
        async with asyncio.timeout(seconds) as limit:
            return await awaitable
    except TimeoutError as error:
        if limit.expired():
            raise TaskTimeout from error
        raise
