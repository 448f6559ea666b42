"""One connection to a memory store, as the store sees it: transactions, subscriptions, commands that wait."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, ParamSpec, Protocol

import hiredis

from . import blocking
from .key_commands import matching
from .keyspace import OK, Keyspace, Refusal, Reply, Status

P = ParamSpec("P")
Words = list[bytes]
log = logging.getLogger("limelight.memory")


class Server(Protocol):
    """What a session needs of its store."""

    space: Keyspace

    def run(self, name: bytes, words: Sequence[bytes]) -> Reply:
        """Run one command; raises Refusal."""
        ...

    def joined(self, session: Session) -> None:
        """A connection has opened."""
        ...

    def left(self, session: Session) -> None:
        """A connection has closed."""
        ...

    def serve_waiting(self) -> None:
        """Something may have changed: see whether a waiting command can be answered."""
        ...


class Session(asyncio.Protocol):
    """Reads commands and answers them in order.

    Attributes:
        channels, patterns: What it listens to.
        waiting: The command that it waits for an answer of, if it does.
    """

    def __init__(self, server: Server) -> None:
        self.channels: dict[bytes, None] = {}
        self.patterns: dict[bytes, None] = {}
        self.waiting: blocking.Wait | None = None
        self._server = server
        self._reader = hiredis.Reader()
        self._unread: deque[Words] = deque()
        self._queued: list[Words] | None = None
        self._transaction = {b"MULTI": self._multi, b"EXEC": self._exec, b"DISCARD": self._discard}
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.WriteTransport

    # -- asyncio's side -----------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The store begins to listen."""
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101 - asyncio gives sockets these
        self._transport = transport
        self._server.joined(self)

    def data_received(self, data: bytes) -> None:
        """Commands, or parts of them, have come."""
        self._reader.feed(data)
        while (words := self._reader.gets()) is not False:
            self._unread.append(words)
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it ended is no matter
        """The other side is gone."""
        self._waits_no_more()
        self._server.left(self)

    # -- Answering ----------------------------------------------------------------------------------------
    def answer_waiting(self) -> None:
        """Answer the command that waits, if it can be answered now."""
        if self.waiting is None:
            return
        reply = self._guarded(self.waiting.attempt)
        if reply is not None:
            self._end_wait(reply)

    def push(self, *words: Reply) -> None:
        """Send what nobody asked for at this moment: a message of a channel."""
        self._transport.write(_encoded(list(words)))

    def _go_on(self) -> None:
        while self._unread and self.waiting is None:
            name, *words = self._unread.popleft()
            reply = self._guarded(self._answer, name.upper(), words)
            if self.waiting is None and reply is not _SENT:
                self._transport.write(_encoded(reply))
            self._server.serve_waiting()

    @staticmethod
    def _guarded(answer: Callable[P, Reply], *args: P.args, **kwargs: P.kwargs) -> Reply:
        """An answer, be it an error; a fault of ours is one too, and ends no other connection."""
        try:
            return answer(*args, **kwargs)
        except Refusal as refusal:
            return refusal
        except Exception as error:
            log.exception("the memory store failed")
            return Refusal(f"ERR the memory store failed: {type(error).__name__}: {error}")

    def _answer(self, name: bytes, words: Words) -> Reply:
        if name in self._transaction:
            return self._transaction[name]()
        if self._queued is not None:
            self._queued.append([name, *words])
            return Status(b"QUEUED")
        if name in _JOINING:
            return self._subscribe(name, getattr(self, _JOINING[name]), words)
        if name in _LEAVING:
            return self._unsubscribe(name, getattr(self, _LEAVING[name]), words)
        if name == b"PING" and (self.channels or self.patterns):
            return [b"pong", *(words or [b""])]
        wait = blocking.waiting(self._server.space, name, words)
        return self._server.run(name, words) if wait is None else self._wait(wait)

    # -- Waiting ------------------------------------------------------------------------------------------
    def _wait(self, wait: blocking.Wait) -> Reply:
        reply = wait.attempt()
        if reply is None:
            self.waiting = wait
            if wait.seconds is not None:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(wait.seconds, self._end_wait, None)
        return reply

    def _end_wait(self, reply: Reply) -> None:
        self._waits_no_more()
        self._transport.write(b"*-1\r\n" if reply is None else _encoded(reply))
        self._go_on()

    def _waits_no_more(self) -> None:
        self.waiting = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- Transactions -------------------------------------------------------------------------------------
    def _multi(self) -> Reply:
        if self._queued is not None:
            raise Refusal("ERR MULTI calls can not be nested")
        self._queued = []
        return OK

    def _exec(self) -> Reply:
        if self._queued is None:
            raise Refusal("ERR EXEC without MULTI")
        queued, self._queued = self._queued, None
        return [self._guarded(self._server.run, name, words) for name, *words in queued]

    def _discard(self) -> Reply:
        if self._queued is None:
            raise Refusal("ERR DISCARD without MULTI")
        self._queued = None
        return OK

    # -- Channels -----------------------------------------------------------------------------------------
    def _subscribe(self, name: bytes, joined: dict[bytes, None], words: Words) -> Reply:
        for word in words:
            joined[word] = None
            self.push(name.lower(), word, len(self.channels) + len(self.patterns))
        return _SENT

    def _unsubscribe(self, name: bytes, joined: dict[bytes, None], words: Words) -> Reply:
        leaving: list[bytes | None] = [*words] or [*joined] or [None]
        for word in leaving:
            if word is not None:
                joined.pop(word, None)
            self.push(name.lower(), word, len(self.channels) + len(self.patterns))
        return _SENT

    def tell(self, channel: bytes, message: bytes) -> int:
        """Hand on what was published; returns how many of its subscriptions it met."""
        met = 0
        if channel in self.channels:
            self.push(b"message", channel, message)
            met += 1
        for pattern in self.patterns:
            if matching([channel], pattern):
                self.push(b"pmessage", pattern, channel, message)
                met += 1
        return met


_SENT: Final = Status(b"sent already")
_JOINING: Final = {b"SUBSCRIBE": "channels", b"PSUBSCRIBE": "patterns"}
_LEAVING: Final = {b"UNSUBSCRIBE": "channels", b"PUNSUBSCRIBE": "patterns"}


def _encoded(reply: Reply) -> bytes:
    """A reply in the words of Redis' protocol, version 2."""
    match reply:
        case None:
            return b"$-1\r\n"
        case Status():
            return b"+%b\r\n" % reply
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(reply), reply)
        case int():
            return b":%d\r\n" % reply
        case Refusal():
            return b"-%b\r\n" % str(reply).replace("\r", " ").replace("\n", " ").encode()
    return b"*%d\r\n%b" % (len(reply), b"".join(map(_encoded, reply)))
