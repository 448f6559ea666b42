"""Where scrapes are handed in: a few are rendered at once, and those that must wait share one rendering."""

from __future__ import annotations

import asyncio
import gzip
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakValueDictionary

from limelight_exporter.ports import Pages

AT_ONCE: Final = 4
_GZIP_LEVEL: Final = 5


class Page:
    """A rendered exposition; any thread may use it.

    Attributes:
        body: The text.
        content_type: Its type.
    """

    def __init__(self, body: bytes, content_type: str) -> None:
        self.body, self.content_type = body, content_type
        self._lock = threading.Lock()
        self._zipped: bytes | None = None

    @property
    def zipped(self) -> bytes:
        """The body by gzip, made once; who asks meanwhile waits for it."""
        with self._lock:
            if self._zipped is None:
                self._zipped = gzip.compress(self.body, compresslevel=_GZIP_LEVEL)
            return self._zipped


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
        self._known = WeakValueDictionary[tuple[int, str], Page]()

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
        budget = max(0.0, order.deadline - time.monotonic())
        page = self._page(*self._pages.metrics(order.accept, budget))
        if order.zipped:
            _ = page.zipped
        return page

    def _page(self, body: bytes, content_type: str) -> Page:
        """The page of a body: one for all orders that `Pages` gave the same answer, so that it is zipped once."""
        with self._lock:
            key = (id(body), content_type)
            page = self._known.get(key)
            if page is None:
                page = self._known[key] = Page(body, content_type)
            return page
