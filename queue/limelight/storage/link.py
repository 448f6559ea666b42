"""One connection to Redis, owned by one thread, on which scripts run.

redis-py's own command path repeats what may have been executed already and spends a third more time per call.
A link never repeats: a command is *not sent* (`RedisUnavailable`), *refused* (`RedisRefused`) or *unknown*
(`OutcomeUnknown`), and whoever asked knows by the script's guard what may be repeated. What a node of a Cluster
sends elsewhere was not executed, so a link follows.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, cast

import hiredis
import redis
from redis.connection import AbstractConnection

from limelight.errors import OutcomeUnknown, RedisError, RedisRefused, RedisUnavailable
from limelight.forks import generation
from limelight.task import Receipt

from .address import Address
from .answers import is_between_nodes, reason, redirect, refused
from .scripts import Script
from .wait import Wait

_BETWEEN_NODES_SECONDS: Final = 1.0
"""How long a command waits for keys that a Cluster is moving."""
_BETWEEN_NODES_POLL_SECONDS: Final = 0.05

Words: TypeAlias = Sequence[str | bytes | int | float]
"""One command of Redis' protocol."""


class Call(NamedTuple):
    """One script call: the script, its KEYS and its ARGV."""

    script: Script
    keys: Sequence[str | bytes]
    args: Words


class Link:
    """A pinned connection. Not for two threads at once; opens itself when first used, and again after a fault.

    Args:
        address: Where Redis is.
        key: On a Cluster, the key whose node it is for; whatever it sends must be about keys of that slot.
    """

    def __init__(self, address: Address, key: str = "") -> None:
        self.generation = generation()
        self._address = address
        self._key = key
        self._connection: AbstractConnection | None = None
        self._interrupted = False
        self._loaded: set[bytes] = set()
        self._lanes: dict[str, Receipt] = {}
        self._posted: Call | None = None
        self._unread = False
        self._answer: Any = None

    @property
    def server(self) -> str:
        """Which server it talks to, as it may be shown."""
        return self._address.shown_of(self._connection)

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

    @property
    def has_posted(self) -> bool:
        """Whether something was posted and is not collected yet."""
        return self._posted is not None

    def was_answered(self) -> bool:
        """Wait for the answer to what was posted; False where Redis gave none, or an error. `collect` tells it."""
        self._read_posted()
        return not isinstance(self._answer, Exception)

    def post(self, call: Call) -> None:
        """Send one script and do not wait; `collect` is to follow. Raises nothing: `collect` does."""
        self._read_posted()  # of one that was never collected
        try:
            connection = self._ready([call.script])
            self._posted, self._unread = call, True
            connection.send_packed_command(_packed([_evalsha(call)]), check_health=False)
        except (RedisUnavailable, RedisRefused, OutcomeUnknown) as error:
            self._posted, self._answer = call, error
        except _BROKEN as error:
            self._answer = self._broken(error)
        except BaseException:  # KeyboardInterrupt: nobody knows how much was sent
            self.close()
            self._posted = None
            raise

    def collect(self) -> Any:
        """The answer of what was posted; raises as `call`."""
        call, self._posted = self._posted, None
        if call is None:
            raise RuntimeError("nothing was posted on this link")
        self._read_posted()
        answer, self._answer = self._answer, None
        if isinstance(answer, redis.exceptions.RedisError):
            answer = self._again(answer, functools.partial(self._once, call), aside=_eval(call))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _read_posted(self) -> None:
        """Take the answer of what was posted off the connection, before anything else is read from it."""
        if not self._unread:
            return
        try:
            self._answer, self._unread = self._read(self._ready([])), False
        except _BROKEN as error:
            self._answer = self._broken(error)
        except BaseException:  # KeyboardInterrupt: it may be read in part
            self.close()
            raise

    def pipeline(self, calls: Sequence[Call]) -> list[Any]:
        """Run scripts in one trip; each reply is an answer or a RedisRefused.

        Raises:
            RedisUnavailable: Nothing was sent.
            OutcomeUnknown: Some of it may have been executed.
        """
        connection = self._ready([call.script for call in calls])
        return self._followed_up(calls, self._exchange(connection, [_evalsha(call) for call in calls]))

    def wait(self, wait: Wait, pop: Words) -> Any:
        """Run one blocking command. Raises as `call`; OutcomeUnknown also where the wait was ended."""
        with self._interruptible(wait):
            return _none_refused([self._again(self._plain(pop), functools.partial(self._plain, pop), pop)])[0]

    def wait_and_call(self, wait: Wait, pop: Words, call: Call) -> tuple[Exception | None, Any]:
        """Run a blocking command, and a script that Redis runs the moment it is over, in one trip.

        Returns what Redis refused the blocking command with, None for nothing; and the script's answer, or its
        RedisRefused. Raises as `pipeline`; OutcomeUnknown also where the wait was ended.
        """
        connection = self._ready([call.script])
        with self._interruptible(wait):
            popped, *replies = self._exchange(connection, [pop, _evalsha(call)])
        (reply,) = self._followed_up([call], replies)
        return popped if isinstance(popped, Exception) else None, reply

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

    def read_all(self, *commands: Words) -> list[Any]:
        """Run plain commands in one trip, as `read` does one."""
        try:
            return self._commands(commands)
        except OutcomeUnknown:
            return self._commands(commands)

    def transaction(self, *commands: Words) -> list[Any]:
        """Run plain commands as `read_all` does, with nobody else's in between: their answers fit together.

        A full Redis begins no transaction; of it others' commands may come in between.
        """
        send = functools.partial(self._transacted, commands)
        try:
            answers = self._again(send(), send)
        except OutcomeUnknown:
            answers = self._again(send(), send)
        return _none_refused(answers if isinstance(answers, list) else [answers])

    def transactions(self, *batches: Sequence[Words]) -> list[list[Any] | RedisError]:
        """Run several transactions in one trip, each as `transaction` does; of one that fails, its error.

        Raises:
            RedisUnavailable: Nothing was sent.
            OutcomeUnknown: No answer, also to a second try.
        """
        try:
            replies = self._all_transacted(batches)
        except OutcomeUnknown:
            replies = self._all_transacted(batches)
        answered: list[list[Any] | RedisError] = []
        for batch, reply in zip(batches, replies, strict=True):
            send = functools.partial(self._transacted, batch)
            again = self._again(self._unless_full(reply, batch), send)
            answered.append(again if isinstance(again, list | RedisError) else [again])
        return answered

    def _all_transacted(self, batches: Sequence[Sequence[Words]]) -> list[Any]:
        """Of each transaction all answers, or the first error."""
        words = [word for batch in batches for word in (("MULTI",), *batch, ("EXEC",))]
        replies = iter(self._exchange(self._ready([]), words))
        return [_of_transaction([next(replies) for _ in range(len(batch) + 2)]) for batch in batches]

    def command(self, *words: str | bytes | int | float) -> Any:
        """Run one plain command. Raises as `call`."""
        send = functools.partial(self._plain, words)
        (answer,) = _none_refused([self._again(send(), send)])
        return answer

    def rehearse(self, commands: Sequence[Words]) -> list[str] | None:
        """What Redis would refuse, and why; nothing of it is done.

        Redis checks rights when a command is queued in a transaction; this one is discarded.

        Returns:
            Per command Redis' refusal, "" where it would take it; None if we may not begin a transaction. Raises as
            `call`.
        """
        (begun,) = self._exchange(self._ready([]), [("MULTI",)])
        if isinstance(begun, Exception):  # without it everything would be done
            return None
        *answers, discarded = self._exchange(self._ready([]), [*commands, ("DISCARD",)])
        if isinstance(discarded, Exception):  # we may not; without a connection there is nothing to carry out
            self.close()
        return [str(answer) if isinstance(answer, Exception) else "" for answer in answers]

    def wire(self) -> tuple[str, bool]:
        """IP address of the server's end ("" for a socket file), and whether the connection is encrypted."""
        sock: socket.socket | None = getattr(self._ready([]), "_sock", None)
        name = sock.getpeername() if sock is not None else ""
        return "" if isinstance(name, str) else str(name[0]), isinstance(sock, ssl.SSLSocket)

    def _commands(self, commands: Sequence[Words]) -> list[Any]:
        replies = self._exchange(self._ready([]), commands)
        for at, reply in enumerate(replies):
            if isinstance(reply, Exception):
                words = commands[at]
                replies[at] = self._again(reply, functools.partial(self._plain, words), aside=words)
        return _none_refused(replies)

    @contextlib.contextmanager
    def _interruptible(self, wait: Wait) -> Iterator[None]:
        self._ready([])  # without a connection there is nothing to interrupt
        if not wait.begin(self._interrupt):
            raise RedisUnavailable("nobody is to wait for Redis any more: nothing was sent")
        try:
            yield
        finally:
            wait.leave()
            if self._interrupted:  # perhaps when all was answered already: the next use opens anew
                self.close()

    def _interrupt(self) -> None:
        """From another thread: end a blocking command; its thread gets OutcomeUnknown."""
        sock: socket.socket | None = getattr(self._connection, "_sock", None)
        if sock is not None:
            self._interrupted = True
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; the link may be used again."""
        self._interrupted = False
        if self._unread:
            self._unread = False
            self._answer = OutcomeUnknown(
                f"the connection to Redis at {self._address.shown} was closed before the answer came"
            )
        if self._connection is not None:
            self._connection.disconnect()
        self._connection = None
        self._loaded.clear()

    # -- Sending ----------------------------------------------------------------------------------------
    def _followed_up(self, calls: Sequence[Call], replies: list[Any]) -> list[Any]:
        for at, reply in enumerate(replies):
            if isinstance(reply, Exception):
                call = calls[at]
                replies[at] = self._again(reply, functools.partial(self._once, call), aside=_eval(call))
        return replies

    def _once(self, call: Call) -> Any:
        return self._exchange(self._ready([call.script]), [_evalsha(call)])[0]

    def _plain(self, words: Words) -> Any:
        return self._exchange(self._ready([]), [words])[0]

    def _transacted(self, commands: Sequence[Words]) -> Any:
        """All answers, or the first error."""
        reply = _of_transaction(self._exchange(self._ready([]), [("MULTI",), *commands, ("EXEC",)]))
        return self._unless_full(reply, commands)

    def _unless_full(self, reply: Any, commands: Sequence[Words]) -> Any:
        """The answers of a transaction; where Redis refused it for want of memory, of its commands one by one."""
        if not isinstance(reply, redis.exceptions.OutOfMemoryError):
            return reply
        try:
            return self._commands(commands)
        except RedisRefused as error:
            return error

    def _again(self, reply: Any, send: Callable[[], Any], aside: Words | None = None) -> Any:
        """Send once more what was not executed, because its script was unknown or another node has its keys.

        Args:
            reply: What it was answered with.
            send: Sends it again, on this link.
            aside: The same as a plain command, for a node that has the key only for now.

        Returns:
            Its answer, a RedisRefused or (not executed) a RedisUnavailable. Raises OutcomeUnknown.
        """
        deadline = time.monotonic() + _BETWEEN_NODES_SECONDS
        while isinstance(reply, redis.exceptions.RedisError) and time.monotonic() < deadline:
            try:
                if isinstance(reply, redis.exceptions.NoScriptError):  # SCRIPT FLUSH
                    self._loaded.clear()
                    reply = send()
                elif self._address.is_cluster and redirect(reply):
                    reply = self._elsewhere(reply, send, aside)
                elif self._address.is_cluster and is_between_nodes(reply):
                    time.sleep(_BETWEEN_NODES_POLL_SECONDS)
                    reply = send()
                else:
                    break
            except (RedisUnavailable, RedisRefused) as error:
                return error
        return self._mapped(reply) if isinstance(reply, redis.exceptions.RedisError) else reply

    def _elsewhere(self, reply: Exception, send: Callable[[], Any], aside: Words | None) -> Any:
        """Follow a node of a Cluster that has the key no more."""
        target, connection = redirect(reply), self._connection
        if target is None or connection is None:
            return send()
        other = self._address.follow(target, connection)
        if other is None:
            self.close()
            return send()
        try:
            if aside is not None:
                return self._exchange(other, [("ASKING",), aside])[1]
        finally:
            other.disconnect()
        time.sleep(_BETWEEN_NODES_POLL_SECONDS)
        return send()

    def _ready(self, scripts: Sequence[Script]) -> AbstractConnection:
        fresh = self._connection is None
        connection = self._connection or self._open()
        missing = {script.sha: script for script in scripts if script.sha not in self._loaded}
        if missing:
            loads = [("SCRIPT", "LOAD", script.source) for script in missing.values()]
            try:
                replies = self._exchange(connection, loads)
            except OutcomeUnknown as error:
                if not fresh:  # it broke while nobody used it, and nothing but texts were sent
                    return self._ready(scripts)
                raise RedisUnavailable(str(error)) from error
            for reply in replies:
                if isinstance(reply, redis.exceptions.RedisError):
                    raise self._mapped(reply)
            self._loaded.update(missing)
        return connection

    def _open(self) -> AbstractConnection:
        self._connection = self._address.open(self._key)
        return self._connection

    def _exchange(self, connection: AbstractConnection, commands: Sequence[Words]) -> list[Any]:
        """Send commands, read an answer for each; errors that Redis answered with are returned, not raised."""
        self._read_posted()
        try:
            connection.send_packed_command(_packed(commands), check_health=False)
            return [self._read(connection) for _ in commands]
        except _BROKEN as error:
            raise self._broken(error) from error
        except (
            BaseException
        ):  # KeyboardInterrupt between send and read: what comes next would be a wrong answer
            self.close()
            raise

    def _broken(self, error: Exception) -> OutcomeUnknown:
        self.close()
        return OutcomeUnknown(
            f"the connection to Redis at {self._address.shown} broke before the answer came: {reason(error)}"
        )

    @staticmethod
    def _read(connection: AbstractConnection) -> Any:
        try:
            return connection.read_response()
        except (redis.exceptions.AuthenticationError, redis.exceptions.BusyLoadingError) as error:
            return error  # redis-py files these under ConnectionError, but they are answers
        except redis.exceptions.ResponseError as error:
            return error

    def _mapped(self, error: redis.exceptions.RedisError) -> RedisError:
        """An error that Redis answered with, as one of ours; closes a connection that will not do any more."""
        if isinstance(error, redis.exceptions.BusyLoadingError):
            self.close()
            return RedisUnavailable(
                f"Redis at {self._address.shown} is loading its data: {error}. Try again soon."
            )
        if isinstance(error, _GONE) or "UNBLOCKED" in str(error):
            self.close()  # a replica now, or not logged in: a new connection may fare better
        return refused(error, self._address.shown)


_BROKEN: Final = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError)
_GONE: Final = (redis.exceptions.ReadOnlyError, redis.exceptions.AuthenticationError)


def _packed(commands: Sequence[Words]) -> list[bytes]:
    """Commands as bytes; redis-py looks at every word once more, which costs more than packing them."""
    packed = [hiredis.pack_command(cast("tuple[str]", tuple(words))) for words in commands]
    return packed if len(packed) < 2 else [b"".join(packed)]


def _evalsha(call: Call) -> Words:
    return ("EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.args)


def _eval(call: Call) -> Words:
    return ("EVAL", call.script.source, len(call.keys), *call.keys, *call.args)


def _of_transaction(replies: Sequence[Any]) -> Any:
    """All answers of a transaction, or the first error in it."""
    *queued, answers = replies
    told = (*queued, *(answers if isinstance(answers, list) else [answers]))
    return next((reply for reply in told if isinstance(reply, Exception)), answers)


def _none_refused(answers: list[Any]) -> list[Any]:
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers
