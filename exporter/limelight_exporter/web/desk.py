"""Where scrapes are handed in: a few are rendered at once, and those that must wait share one rendering."""

from __future__ import annotations

import asyncio
import gzip
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from limelight_exporter.ports import Pages

AT_ONCE: Final = 4
_GZIP_LEVEL: Final = 5


class Page:
    """A rendered exposition.

    Attributes:
        body: The text.
        content_type: Its type.
    """

    def __init__(self, body: bytes, content_type: str) -> None:
        self.body, self.content_type = body, content_type

    @cached_property
    def zipped(self) -> bytes:
        """The body by gzip."""
        return gzip.compress(self.body, compresslevel=_GZIP_LEVEL)


@dataclass(eq=False, slots=True)
class _Order:
    accept: str
    deadline: float
    zipped: bool = False
    page: asyncio.Future[Page] = field(init=False)


class ScrapeDesk:
    """Has `Pages` render in threads of its own; for use in one event loop.

    An order that no thread has begun is joined by all that come meanwhile: what it will show is newer than any of them.

    Args:
        pages: Renders.
    """

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="limelight-render")
        self._lock = threading.Lock()
        self._waiting: dict[str, _Order] = {}

    def close(self) -> None:
        """Take no more; what is being rendered ends by its own deadline."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def page(self, accept: str, budget_seconds: float, *, zipped: bool) -> Page:
        """The exposition as it is when the order is begun.

        Args:
            accept: The request's ``Accept`` header.
            budget_seconds: How long the client will wait.
            zipped: Whether it wants gzip, so that this too is made once and in the thread.
        """
        deadline = time.monotonic() + budget_seconds
        with self._lock:
            order = self._waiting.get(accept)
            if order is None:
                order = self._waiting[accept] = _Order(accept, deadline)
                order.page = asyncio.get_running_loop().run_in_executor(self._threads, self._render, order)
            order.deadline = min(order.deadline, deadline)
            order.zipped |= zipped
        return await asyncio.shield(order.page)

    def _render(self, order: _Order) -> Page:
        with self._lock:
            del self._waiting[order.accept]
        page = Page(*self._pages.metrics(order.accept, max(0.0, order.deadline - time.monotonic())))
        if order.zipped:
            _ = page.zipped
        return page
