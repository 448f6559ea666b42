"""A Redis inside the process: as much of it as Limelight uses, for tests and for immediate mode."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import threading
import time
from collections.abc import Sequence

from .blocking import waiting
from .key_commands import matching
from .keyspace import OK, Keyspace, Refusal, Reply
from .scripting import Scripts
from .session import Session
from .table import COMMANDS, Command, run, shown, whole


class MemoryStore:
    """Holds queues in this process. Queues that are given the same store share it, as they would a Redis.

    It runs the same Lua scripts as Redis, one command at a time, in a thread of its own that lives while there
    are connections. Nothing of it outlives the process, and a forked child cannot use it.

    Raises:
        ConfigurationError: lupa, which runs the scripts, is not installed.
    """

    def __init__(self) -> None:
        self.space = Keyspace(self._now_us)
        self._scripts = Scripts(self._run_for_script)
        self._ahead_us = 0
        self._pid = os.getpid()
        self._sessions: list[Session] = []
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open = 0
        self._own = {
            b"EVAL": Command(self._eval, 2, math.inf),
            b"EVALSHA": Command(self._evalsha, 2, math.inf),
            b"SCRIPT": Command(self._script, 1, math.inf),
            b"PUBLISH": Command(self._publish, 2, 2),
            b"PUBSUB": Command(self._pubsub, 1, math.inf),
        }

    # -- Time ---------------------------------------------------------------------------------------------
    @property
    def now(self) -> float:
        """Unix seconds by this store's clock."""
        return self._now_us() / 1e6

    def advance(self, seconds: float) -> None:
        """Move the store's clock: schedules, leases, time limits of results and keys go by it.

        Python's own clock stays where it is.
        """
        self._ahead_us += round(seconds * 1e6)

    def _now_us(self) -> int:
        return time.time_ns() // 1000 + self._ahead_us

    # -- Connections --------------------------------------------------------------------------------------
    def connect(self) -> socket.socket:
        """A new connection, to be spoken to in Redis' protocol; raises OSError in another process than ours."""
        if os.getpid() != self._pid:
            raise OSError("a queue in memory lives in the process that made it, and this is another")
        here, there = socket.socketpair()
        with self._lock:
            self._open += 1
            self._loop = self._loop or _running_loop()
            asyncio.run_coroutine_threadsafe(
                self._loop.connect_accepted_socket(lambda: Session(self), there), self._loop
            )
        return here

    def joined(self, session: Session) -> None:
        """A connection has opened; see `Server`."""
        self._sessions.append(session)

    def left(self, session: Session) -> None:
        """A connection has closed; with the last one the thread ends."""
        self._sessions.remove(session)
        with self._lock:
            self._open -= 1
            if not self._open and self._loop is not None:
                self._loop.stop()
                self._loop = None

    def serve_waiting(self) -> None:
        """Answer what can be answered by now; whoever has been connected longest comes first."""
        for session in [one for one in self._sessions if one.waiting is not None]:
            session.answer_waiting()

    # -- Commands -----------------------------------------------------------------------------------------
    def run(self, name: bytes, words: Sequence[bytes]) -> Reply:
        """Run one command, its name in capitals; raises Refusal."""
        if (own := self._own.get(name)) is not None:
            own.check(name, words)
            return own.run(*words)
        wait = None if name in COMMANDS else waiting(self.space, name, words)
        return run(self.space, name, words) if wait is None else wait.attempt()

    def _run_for_script(self, name: bytes, words: Sequence[bytes]) -> Reply:
        if name in self._own and name != b"PUBLISH":
            raise Refusal("ERR This Redis command is not allowed from script")
        return self.run(name, words)

    def _eval(self, source: bytes, count: bytes, *words: bytes) -> Reply:
        return self._evalsha(self._scripts.load(source), count, *words)

    def _evalsha(self, sha: bytes, count: bytes, *words: bytes) -> Reply:
        keys = whole(count)
        if not 0 <= keys <= len(words):
            raise Refusal("ERR Number of keys can't be greater than number of args")
        return self._scripts.run(sha, words[:keys], words[keys:])

    def _script(self, what: bytes, *words: bytes) -> Reply:
        match what.upper(), words:
            case b"LOAD", (source,):
                return self._scripts.load(source)
            case b"EXISTS", shas:
                return [int(self._scripts.knows(sha)) for sha in shas]
            case b"FLUSH", _:
                self._scripts.forget()
                return OK
        raise Refusal(f"ERR unknown subcommand or wrong number of arguments for '{shown(what)}'")

    def _publish(self, channel: bytes, message: bytes) -> Reply:
        return sum(session.tell(channel, message) for session in self._sessions)

    def _pubsub(self, what: bytes, *words: bytes) -> Reply:
        joined = [channel for session in self._sessions for channel in session.channels]
        match what.upper():
            case b"NUMSUB":
                return [answer for word in words for answer in (word, joined.count(word))]
            case b"CHANNELS":
                return list(matching(sorted(set(joined)), *words or (b"*",)))
            case b"NUMPAT":
                return len({pattern for session in self._sessions for pattern in session.patterns})
        raise Refusal(f"ERR unknown subcommand '{shown(what)}'")


def _running_loop() -> asyncio.AbstractEventLoop:
    """A loop in a thread of its own, which ends when the loop is stopped and does not keep the process alive."""
    loop = asyncio.SelectorEventLoop()

    def run_until_stopped() -> None:
        try:
            loop.run_forever()
        finally:
            loop.close()

    threading.Thread(target=run_until_stopped, name="limelight-memory", daemon=True).start()
    return loop
