"""A TCP proxy that can be told to fail, to stand between a client and Redis or a collector."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

Mode = Literal["pass", "cut", "hole"]


class FaultyProxy:
    """Forwards a port of 127.0.0.1 to a target, in a thread of its own, until told otherwise.

    A context manager; all methods may be called from any thread and have taken effect when they return.

    Args:
        port: The target's port.
        host: The target's host.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._target = (host, port)
        self._mode: Mode = "pass"
        self._delay_seconds = 0.0
        self._armed = b""
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty-proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self.port = 0
        self.dropped = 0
        self.connections = 0

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def url(self) -> str:
        """The proxy as a Redis URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    def pass_on(self) -> None:
        """Forward everything at once again, and what a hole held back first."""
        self._do(lambda: self._set("pass", 0.0, b""))

    def cut(self) -> None:
        """Reset all connections and refuse new ones, by RST right after they were accepted."""
        self._do(lambda: self._set("cut", 0.0, b""))
        self._do(self._reset_all)

    def reset_connections(self) -> None:
        """Reset all connections once; new ones are served."""
        self._do(self._reset_all)

    def hole(self) -> None:
        """Accept and read, but forward nothing in either direction."""
        self._do(lambda: self._set("hole", 0.0, b""))

    def delay(self, seconds: float) -> None:
        """Forward each piece that many seconds later."""
        self._do(lambda: self._set("pass", seconds, b""))

    def drop_reply(self, match: bytes) -> None:
        """Arm once: the next request that contains ``match`` is forwarded, its reply lost, the connection reset.

        So the target has executed it and the client cannot know; ``dropped`` counts the replies lost.
        """
        self._do(lambda: self._set("pass", 0.0, match))

    def _do(self, change: Callable[[], None]) -> None:
        async def changed() -> None:
            change()

        asyncio.run_coroutine_threadsafe(changed(), self._loop).result(10)

    def _set(self, mode: Mode, delay_seconds: float, armed: bytes) -> None:
        self._mode, self._delay_seconds, self._armed = mode, delay_seconds, armed

    def _reset_all(self) -> None:
        for writer in list(self._open):
            reset(writer)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server:
            self._server.close()
        self._set("cut", 0.0, b"")
        self._reset_all()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._mode == "cut":
            reset(writer)
            return
        try:
            target_reader, target_writer = await asyncio.open_connection(*self._target)
        except OSError:
            reset(writer)
            return
        link = _Link((writer, target_writer))
        self._open.update(link.writers)
        try:
            await asyncio.gather(
                self._pump(reader, target_writer, link, request=True),
                self._pump(target_reader, writer, link, request=False),
            )
        finally:
            self._open.difference_update(link.writers)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, link: _Link, *, request: bool
    ) -> None:
        """Forward one direction until it ends, then let the other side have the rest and close."""
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                if self._delay_seconds:
                    await asyncio.sleep(self._delay_seconds)
                while self._mode == "hole":
                    await asyncio.sleep(0.01)
                if request:
                    self._notice(data, link)
                elif link.reply_is_lost:
                    self.dropped += 1
                    break
                sink.write(data)
                await sink.drain()
        if link.reply_is_lost:
            link.reset()
        sink.close()

    def _notice(self, data: bytes, link: _Link) -> None:
        """Disarm if the armed bytes are in the request, wherever it was split on its way."""
        window = link.seen + data
        if self._armed and self._armed in window:
            self._armed, link.reply_is_lost = b"", True
        link.seen = window[-1_024:]


@dataclass(slots=True)
class _Link:
    """A client's connection and the one to the target."""

    writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]
    seen: bytes = b""
    reply_is_lost: bool = False

    def reset(self) -> None:
        for writer in self.writers:
            reset(writer)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection by RST: whatever was on its way is gone."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
    writer.transport.abort()
