"""Those who look at the live page: one look at the queues a second for all of them, and nothing for nobody."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from limelight_exporter import catalog
from limelight_exporter.ports import Frame, LivePage, Tally

TURN_SECONDS: Final = 1.0
PULSE_SECONDS: Final = 5.0
"""Who is told nothing new is told that much this often, and so knows that the line is alive."""
BLOCKED_SECONDS: Final = 10.0
"""How long a reader may take nothing, with 64 KiB waiting for it."""
_log = logging.getLogger(__name__)

_Drawn = TypeVar("_Drawn")
_Message = MutableMapping[str, Any]
_Send = Callable[[_Message], Awaitable[None]]
_Receive = Callable[[], Awaitable[_Message]]


class Viewer:
    """One of them: what it was sent last, and the newest there is. A slow one skips what came in between."""

    def __init__(self, query: str) -> None:
        self.query = query
        self._newest: Frame | None = None
        self._sent: Frame | None = None
        self._woken = asyncio.Event()
        self._told_at = 0.0

    def show(self, frame: Frame | None) -> None:
        """Have this frame sent next; None only wakes it."""
        self._newest = frame or self._newest
        self._woken.set()

    async def next_message(self) -> bytes:
        """When it is woken: what is new since the last message, or now and then that nothing is, or nothing."""
        await self._woken.wait()
        self._woken.clear()
        if self._newest is None:
            return b""
        message, self._sent = self._newest.news(self._sent), self._newest
        now = time.monotonic()
        if not message and now - self._told_at >= PULSE_SECONDS:
            message = self._newest.pulse()
        if message:
            self._told_at = now
        return message


class Viewers:
    """Serves the page's stream, and draws all of the page in one thread of its own; for one event loop.

    Args:
        page: Makes frames.
        tally: Is told how many look.
        most: How many may, at a time.
    """

    def __init__(self, page: LivePage, tally: Tally, most: int) -> None:
        self._page, self._tally, self._most = page, tally, most
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="limelight-page")
        self._viewers: set[Viewer] = set()
        self._turns: asyncio.Task[None] | None = None
        self._ending = False
        tally.set(catalog.PAGE_VIEWERS, (), 0)

    def close(self) -> None:
        """Draw no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def end(self) -> None:
        """Have all streams end at once."""
        self._ending = True
        for viewer in self._viewers:
            viewer.show(None)

    @property
    def is_full(self) -> bool:
        """Whether nobody else may look now."""
        return len(self._viewers) >= self._most

    async def html(self, query: str) -> bytes:
        """The page."""
        return await self._drawn(self._page.html, query)

    async def state(self, query: str) -> bytes:
        """All that it shows, as JSON."""
        return (await self._drawn(self._page.frame, query)).news(None)

    async def _drawn(self, draw: Callable[[str], _Drawn], query: str) -> _Drawn:
        return await asyncio.get_running_loop().run_in_executor(self._thread, draw, query)

    async def stream(
        self,
        query: str,
        headers: Mapping[str, str],
        receive: _Receive,
        send: _Send,
        hang_up: Callable[[], object],
    ) -> None:
        """Send frames as server-sent events until one side has enough.

        Args:
            query: Which page.
            headers: Of the answer, beside those of a stream.
            receive: Tells when the client is gone.
            send: As ASGI's.
            hang_up: Ends the connection of who does not read, whatever is still to be sent.
        """
        viewer = Viewer(query)
        self._viewers.add(viewer)
        gone = asyncio.ensure_future(_until_gone(receive, viewer))
        try:
            self._tell()
            if self._turns is None:
                self._turns = asyncio.ensure_future(self._take_turns())
            raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
            async with asyncio.timeout(BLOCKED_SECONDS):
                await send({"type": "http.response.start", "status": 200, "headers": raw})
                await _send_piece(send, b"retry: 3000\n\n")
            await self._show_to(viewer)
            await self._serve(viewer, gone, send)
        except TimeoutError:
            hang_up()
            await asyncio.wait([gone], timeout=BLOCKED_SECONDS)  # or uvicorn would miss the answer's end
        finally:
            gone.cancel()
            self._viewers.discard(viewer)
            self._tell()

    async def _show_to(self, viewer: Viewer) -> None:
        viewer.show(await self._drawn(self._page.frame, viewer.query))

    async def _serve(self, viewer: Viewer, gone: asyncio.Future[None], send: _Send) -> None:
        while not (self._ending or gone.done()):
            message = await viewer.next_message()
            if message and not gone.done():
                async with asyncio.timeout(BLOCKED_SECONDS):
                    await _send_piece(send, b"data: " + message + b"\n\n")
        if not gone.done():
            await send({"type": "http.response.body", "body": b""})

    async def _take_turns(self) -> None:
        """Draw each page that somebody looks at once a second; ends with the last of them."""
        try:
            while self._viewers and not self._ending:
                await asyncio.sleep(TURN_SECONDS)
                for query in {viewer.query for viewer in self._viewers}:
                    frame = await self._drawn(self._page.frame, query)
                    for viewer in [one for one in self._viewers if one.query == query]:
                        viewer.show(frame)
        except RuntimeError:  # the thread was told to draw no more
            _log.debug("the page is closed")
        finally:
            self._turns = None

    def _tell(self) -> None:
        self._tally.set(catalog.PAGE_VIEWERS, (), len(self._viewers))


async def _until_gone(receive: _Receive, viewer: Viewer) -> None:
    """Return when the client has hung up, and wake who would send to it."""
    with contextlib.suppress(asyncio.CancelledError):
        while (await receive())["type"] != "http.disconnect":
            pass
        viewer.show(None)


async def _send_piece(send: _Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})
