"""One connection to Redis, owned by one thread, on which scripts run. Knows redis-py; nobody else talks to it so.

redis-py's own command path repeats what may have been executed already and spends a third more time per call.
A link never repeats: a command is *not sent* (`RedisUnavailable`), *refused* (`RedisRefused`) or *unknown*
(`OutcomeUnknown`), and whoever asked knows by the script's guard what may be repeated.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection
from redis.retry import Retry

from limelight.errors import ConfigurationError, OutcomeUnknown, RedisRefused, RedisUnavailable
from limelight.task import Receipt

from .scripts import Script

_CONNECT_SECONDS: Final = 3.0
ANSWER_SECONDS: Final = 10.0
"""How long a link waits for an answer; no blocking command may block for longer than half of it."""


@dataclass(frozen=True, slots=True)
class Call:
    """One script call: the script, its KEYS and its ARGV."""

    script: Script
    keys: Sequence[str | bytes]
    args: Sequence[str | bytes | int | float]


class Address:
    """How to reach Redis, and how to speak of it without its password.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        options: Passed to redis-py's connections (``host``, ``password``, ``ssl_ca_certs``, …).
    """

    def __init__(self, url: str | None, options: Mapping[str, Any]) -> None:
        chosen = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": _CONNECT_SECONDS, **options}
        try:
            pool = redis.ConnectionPool.from_url(url, **chosen) if url else redis.ConnectionPool(**chosen)
        except (ValueError, TypeError):
            raise ConfigurationError(
                f"cannot use the Redis URL {hidden(url or '')!r}. "
                "It looks like redis://localhost:6379/0, rediss://host:6379 or unix:///path/to/socket; "
                "in a password, write / as %2F, @ as %40, # as %23, ? as %3F"
            ) from None
        # What our scripts rely on goes before anything that the URL asks for.
        pool.connection_kwargs.update(protocol=2, decode_responses=False, retry=Retry(NoBackoff(), 0))
        self._pool = pool
        self.db = int(pool.connection_kwargs.get("db") or 0)
        self.shown = _shown(pool.connection_kwargs)
        self._check_options()

    def _check_options(self) -> None:
        try:
            self.connection()
        except TypeError as error:
            word = str(error).rpartition(" ")[2]
            raise ConfigurationError(
                f"RedisQueue and redis-py's connections take no option {word}. "
                "If it is one of Huey's: see docs/migrating-from-huey.md"
            ) from None

    def connection(self) -> AbstractConnection:
        """A new connection of redis-py, not connected yet, not of any pool."""
        made: AbstractConnection = self._pool.connection_class(**self._pool.connection_kwargs)
        return made

    def client(self) -> redis.Redis:
        """A redis-py client on its own pool, for reads and for pub/sub."""
        return redis.Redis(connection_pool=self._pool)

    def close(self) -> None:
        """Close the client's pooled connections."""
        self._pool.disconnect()


def hidden(url: str) -> str:
    """A URL as it may be shown: without its query, its password replaced by ``***``."""
    scheme, separator, rest = url.partition("://")
    credentials, at, place = rest.rpartition("@")
    name = credentials.partition(":")[0]
    return f"{scheme}{separator}{f'{name}:***@' if at else ''}{place.partition('?')[0]}"


def _shown(options: Mapping[str, Any]) -> str:
    if path := options.get("path"):
        return f"unix://{path}"
    if "store" in options:
        return "memory"
    return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}/{options.get('db') or 0}"


class Link:
    """A pinned connection. Not for two threads at once; opens itself when first used, and again after a fault."""

    def __init__(self, address: Address) -> None:
        self.pid = os.getpid()
        self._address = address
        self._connection: AbstractConnection | None = None
        self._interrupted = False
        self._loaded: set[bytes] = set()
        self._lanes: dict[str, Receipt] = {}

    def receipt(self, kind: str) -> Receipt:
        """The next number of this link's lane for one kind of script."""
        last = self._lanes.get(kind) or Receipt(uuid.uuid4().hex, 0)
        self._lanes[kind] = Receipt(last.lane, last.number + 1)
        return self._lanes[kind]

    def retire_lane(self, kind: str) -> None:
        """Begin a new lane: a number of the old one may still be repeated, so none may follow it."""
        self._lanes.pop(kind, None)

    def call(self, call: Call) -> Any:
        """Run one script. Raises RedisUnavailable, OutcomeUnknown or RedisRefused."""
        (reply,) = self.pipeline([call])
        if isinstance(reply, Exception):
            raise reply
        return reply

    def pipeline(self, calls: Sequence[Call]) -> list[Any]:
        """Run scripts in one trip; each reply is an answer or a RedisRefused.

        Raises:
            RedisUnavailable: Nothing was sent.
            OutcomeUnknown: Some of it may have been executed.
        """
        connection = self._ready([call.script for call in calls])
        replies = self._exchange(connection, [_evalsha(call) for call in calls])
        for at, reply in enumerate(replies):
            if isinstance(reply, redis.exceptions.NoScriptError):  # SCRIPT FLUSH; it was not executed
                self._loaded.clear()
                replies[at] = self._exchange(self._ready([calls[at].script]), [_evalsha(calls[at])])[0]
        return [self._answer(reply) for reply in replies]

    def idempotent(self, call: Call) -> Any:
        """Run a script that may be run again: repeated once if the answer is lost. Raises as `call`."""
        try:
            return self.call(call)
        except OutcomeUnknown:
            return self.call(call)

    def read(self, *words: str | bytes | int | float) -> Any:
        """Run one plain command that may be run again: repeated once if the answer is lost. Raises as `call`."""
        (answer,) = self.read_all(words)
        return answer

    def read_all(self, *commands: Sequence[str | bytes | int | float]) -> list[Any]:
        """Run plain commands in one trip, as `read` does one."""
        try:
            return self._commands(commands)
        except OutcomeUnknown:
            return self._commands(commands)

    def command(self, *words: str | bytes | int | float) -> Any:
        """Run one plain command. Raises as `call`."""
        (answer,) = self._commands([words])
        return answer

    def rehearse(self, commands: Sequence[Sequence[str | bytes | int | float]]) -> list[str] | None:
        """What Redis would refuse, and why; nothing of it is done.

        Redis checks rights when a command is queued in a transaction; this one is discarded.

        Returns:
            Per command Redis' refusal, "" where it would take it; None if we may not begin a transaction. Raises as
            `call`.
        """
        connection = self._ready([])
        (begun,) = self._exchange(connection, [("MULTI",)])
        if isinstance(begun, Exception):  # without it everything would be done
            return None
        *answers, _ = self._exchange(connection, [*commands, ("DISCARD",)])
        return [str(answer) if isinstance(answer, Exception) else "" for answer in answers]

    def wire(self) -> tuple[str, bool]:
        """IP address of the server's end ("" for a socket file), and whether the connection is encrypted."""
        sock: socket.socket | None = getattr(self._ready([]), "_sock", None)
        name = sock.getpeername() if sock is not None else ""
        return "" if isinstance(name, str) else str(name[0]), isinstance(sock, ssl.SSLSocket)

    def _commands(self, commands: Sequence[Sequence[str | bytes | int | float]]) -> list[Any]:
        answers = [self._answer(reply) for reply in self._exchange(self._ready([]), commands)]
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def interrupt(self) -> None:
        """From another thread: end a blocking command; its thread gets OutcomeUnknown."""
        sock: socket.socket | None = getattr(self._connection, "_sock", None)
        if sock is not None:
            self._interrupted = True
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close_if_interrupted(self) -> None:
        """After an `interrupt` that came when the command was answered already: the next use opens anew."""
        if self._interrupted:
            self.close()

    def close(self) -> None:
        """Close the connection; the link may be used again."""
        self._interrupted = False
        if self._connection is not None:
            self._connection.disconnect()
        self._connection = None
        self._loaded.clear()

    def _ready(self, scripts: Sequence[Script]) -> AbstractConnection:
        connection = self._connection or self._open()
        missing = {script.sha: script for script in scripts if script.sha not in self._loaded}
        if missing:
            loads = [("SCRIPT", "LOAD", script.source) for script in missing.values()]
            try:
                replies = self._exchange(connection, loads)
            except OutcomeUnknown as error:
                raise RedisUnavailable(str(error)) from error  # nothing but texts were sent
            for reply in replies:
                if isinstance(reply, redis.exceptions.RedisError):
                    raise self._answer(reply)
            self._loaded.update(missing)
        return connection

    def _open(self) -> AbstractConnection:
        connection = self._address.connection()
        try:
            connection.connect()
        except redis.exceptions.AuthenticationError as error:
            raise self._refused(error) from error
        except (redis.exceptions.RedisError, OSError) as error:
            raise RedisUnavailable(
                f"cannot reach Redis at {self._address.shown}: {reason(error)}. Is it running there?"
            ) from error
        self._connection = connection
        return connection

    def _exchange(self, connection: AbstractConnection, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Send commands, read an answer for each; errors that Redis answered with are returned, not raised."""
        try:
            connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            return [self._read(connection) for _ in commands]
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError) as error:
            self.close()
            raise OutcomeUnknown(
                f"the connection to Redis at {self._address.shown} broke before the answer came: {reason(error)}"
            ) from error
        except (
            BaseException
        ):  # KeyboardInterrupt between send and read: what comes next would be a wrong answer
            self.close()
            raise

    @staticmethod
    def _read(connection: AbstractConnection) -> Any:
        try:
            return connection.read_response()
        except (redis.exceptions.AuthenticationError, redis.exceptions.BusyLoadingError) as error:
            return error  # redis-py files these under ConnectionError, but they are answers
        except redis.exceptions.ResponseError as error:
            return error

    def _answer(self, reply: Any) -> Any:
        if isinstance(reply, redis.exceptions.BusyLoadingError):
            self.close()
            return RedisUnavailable(
                f"Redis at {self._address.shown} is loading its data: {reply}. Try again soon."
            )
        if isinstance(reply, redis.exceptions.RedisError):
            if isinstance(reply, redis.exceptions.ReadOnlyError | redis.exceptions.AuthenticationError):
                self.close()  # a replica now, or not logged in: a new connection may fare better
            return self._refused(reply)
        return reply

    def _refused(self, error: Exception) -> RedisRefused:
        text = str(error).rstrip(".")
        refusal = RedisRefused(f"Redis at {self._address.shown} refused: {text}.{_advice(text)}")
        refusal.may_pass = isinstance(error, _PASSING) or any(code in text for code in _PASSING_CODES)
        return refusal


def _evalsha(call: Call) -> tuple[Any, ...]:
    return ("EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.args)


def reason(error: BaseException) -> str:
    """Why a connection failed, in a few words that hold no secret."""
    text = str(error) or type(error).__name__
    plain = re.sub(r"^Error (-?\d+ )?(while )?connecting to \S+\. ", "", text).rstrip(".")
    return plain[:1].lower() + plain[1:]


def _advice(text: str) -> str:
    """What to do about an error that Redis answered with."""
    for code, advice in _ADVICE.items():
        if code in text:
            return f" {advice}"
    return ""


_PASSING: Final = (
    redis.exceptions.AuthenticationError,
    redis.exceptions.AuthorizationError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.TryAgainError,
)
_PASSING_CODES: Final = (
    *("BUSY", "CLUSTERDOWN", "MASTERDOWN", "MISCONF", "NOREPLICAS", "READONLY"),
    *("enough good replicas", "used memory", "unable to persist"),
)
_ADVICE: Final = {
    "NOAUTH": "It wants a password: put it in the URL, redis://:password@host:6379/0.",
    "Authentication required": "It wants a password: put it in the URL, redis://:password@host:6379/0.",
    "WRONGPASS": "Name or password are wrong.",
    "invalid username-password": "Name or password are wrong.",
    "invalid password": "The password is wrong.",
    "NOPERM": "The Redis user lacks a right: scripts, keys and channels limelight:*.",
    "user executing the script": "The Redis user lacks a right: scripts, keys and channels limelight:*.",
    "used memory": "Redis is full: raise maxmemory, or let consumers catch up.",
    "WRONGTYPE": "A key of this queue holds something else: is the name used by another application?",
    "READONLY": "This is a replica: connect to the master.",
}


class ThreadLinks:
    """One link per thread, and never one that came through a fork."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._local = threading.local()
        self._free: list[Link] = []

    def get(self) -> Link:
        """The calling thread's link; a thread that ends leaves it, and its lanes, to the next."""
        loan: _Loan | None = getattr(self._local, "loan", None)
        if loan is None or loan.pid != os.getpid():
            loan = _Loan(self._borrow(), self._free)
            self._local.loan = loan
        return loan.link

    def _borrow(self) -> Link:
        with contextlib.suppress(IndexError):
            while (link := self._free.pop()).pid != os.getpid():
                pass  # it came through a fork, and its socket is the parent's
            return link
        return Link(self._address)


class _Loan:
    """A thread's hold on a link; given back when the thread is gone."""

    def __init__(self, link: Link, free: list[Link]) -> None:
        self.link, self.pid, self._free = link, os.getpid(), free

    def __del__(self) -> None:
        if self.pid == os.getpid():
            self._free.append(self.link)
