"""One HTTP connection, and the door that counts them: nobody holds one without using it. Knows uvicorn's protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from .tls import client_names

MOST_CONNECTIONS: Final = 512
REQUEST_SECONDS: Final = 10.0
"""For a request to arrive whole, from its first moment on."""
ANSWER_SECONDS: Final = 30.0
"""For an answer to be made and taken."""
IDLE_SECONDS: Final = 120
"""Between two requests on one connection: longer than people let Prometheus wait between two scrapes."""


class Door:
    """Knows all connections, and who has waited longest without asking for anything."""

    def __init__(self) -> None:
        self._idle: dict[object, Callable[[], object]] = {}
        self._busy: set[object] = set()

    def make_room(self) -> bool:
        """Close the longest idle connection if there are too many; False if all of them are at work."""
        if len(self._idle) + len(self._busy) < MOST_CONNECTIONS:
            return True
        if not self._idle:
            return False
        who = next(iter(self._idle))
        self._idle.pop(who)()
        return True

    def idle(self, who: object, close: Callable[[], object]) -> None:
        """It asks for nothing, from now on (if it did before) or still."""
        self._busy.discard(who)
        self._idle.setdefault(who, close)

    def busy(self, who: object) -> None:
        """Its request is being answered."""
        self._idle.pop(who, None)
        self._busy.add(who)

    def gone(self, who: object) -> None:
        """It is closed."""
        self._idle.pop(who, None)
        self._busy.discard(who)


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1, with a time limit on each of its states.

    Args:
        config: uvicorn's.
        server_state: uvicorn's.
        door: Is told what state it is in.
    """

    def __init__(self, config: Config, server_state: ServerState, door: Door) -> None:
        super().__init__(config=config, server_state=server_state, app_state={})
        self._door = door
        self._limit: asyncio.TimerHandle | None = None
        self._asking = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Tell the app who the client is, and wait for its request."""
        super().connection_made(transport)
        self.app_state = {
            "client_names": client_names(transport.get_extra_info("ssl_object")),
            "unlimited": self._stop_clock,
            "hang_up": transport.abort,
        }
        self._door.idle(self, transport.abort)
        self._within(REQUEST_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Take in a part of a request."""
        if not self._asking:
            self._asking = True
            self._within(REQUEST_SECONDS, self.transport.abort)
        before = self.cycle
        try:
            super().data_received(data)
        except h11.LocalProtocolError:  # nonsense behind a request that is being answered
            self.transport.abort()
        if self.cycle is not before:
            self._answering()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request; if it began as one, what the app has to say to it is sent no more."""
        if self.cycle is not None:
            self.cycle.disconnected = True
        super().send_400_response(msg)

    def on_response_complete(self) -> None:
        """Wait for the next request; the time limit between two is uvicorn's."""
        before = self.cycle
        self._asking = False
        self._within(ANSWER_SECONDS, self._drop_unread)
        self._door.idle(self, self.transport.abort)
        super().on_response_complete()
        if self.cycle is not before:  # the next one was here already
            self._answering()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._stop_clock()
        self._door.gone(self)
        super().connection_lost(exc)

    def _answering(self) -> None:
        self._within(ANSWER_SECONDS, self.transport.abort)
        self._door.busy(self)

    def _drop_unread(self) -> None:
        """The answer is made; a client that has not taken it by now will not."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def _within(self, seconds: float, otherwise: Callable[[], object]) -> None:
        self._stop_clock()
        self._limit = self.loop.call_later(seconds, otherwise)

    def _stop_clock(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
