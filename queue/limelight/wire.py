"""The wire format: a task's call and its result as bytes, and back, unchanged in value and type.

Values travel as MessagePack with extension types for what it does not know. Nothing is guessed: a value of
any other type is refused with the name of the argument that holds it. Reading never runs code; pickle exists
only as an explicit choice, signed with a secret (`SignedPickle`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import pickle
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Final, Protocol
from uuid import UUID

import msgspec

from .errors import CannotCarry, ConfigurationError, UndecodableMessage
from .retry import LONGEST_DELAY_SECONDS, STEADY, Backoff

MESSAGE_VERSION: Final = 1

_TUPLE, _SET, _FROZENSET, _MAP, _BIGINT = 1, 2, 3, 4, 5
_DATETIME, _DATE, _TIME, _TIMEDELTA, _DECIMAL, _UUID = 10, 11, 12, 13, 14, 15
_NATIVE_INT: Final = range(-(2**63), 2**64)
_MAX_DEPTH: Final = 100


class Serializer(Protocol):
    """Turns plain values into bytes and back. `name` travels along: a reader with another one refuses."""

    name: str

    def dumps(self, value: Any) -> bytes:
        """Encode; raise CannotCarry, with a path like ``[1]["when"]``, for what does not fit."""
        ...

    def loads(self, data: bytes) -> Any:
        """Decode; raise UndecodableMessage for anything that `dumps` did not make."""
        ...


# -- MessagePack ----------------------------------------------------------------------------------------
_encode: Final = msgspec.msgpack.Encoder().encode


def _extension(code: int, value: Any) -> msgspec.msgpack.Ext:
    return msgspec.msgpack.Ext(code, _encode(value))


def _zone(value: dt.datetime | dt.time) -> str | None:
    return value.tzinfo.key if isinstance(value.tzinfo, zoneinfo.ZoneInfo) else None


def _moment(value: dt.datetime | dt.time) -> list[Any]:
    zone = _zone(value)
    return [value.replace(tzinfo=None).isoformat() if zone else value.isoformat(), zone, value.fold]


_SIMPLE: Final = frozenset({type(None), bool, float, bytes})
_ENCODERS: Final[Mapping[type, Callable[[Any], msgspec.msgpack.Ext]]] = {
    dt.datetime: lambda value: _extension(_DATETIME, _moment(value)),
    dt.date: lambda value: _extension(_DATE, value.isoformat()),
    dt.time: lambda value: _extension(_TIME, _moment(value)),
    dt.timedelta: lambda value: _extension(_TIMEDELTA, [value.days, value.seconds, value.microseconds]),
    Decimal: lambda value: _extension(_DECIMAL, str(value)),
    UUID: lambda value: _extension(_UUID, value.bytes),
}


def _pack(value: Any, path: str, depth: int = 0) -> Any:
    """Replace what MessagePack does not know by extensions; raise CannotCarry with the path to the rest."""
    kind = type(value)
    if kind in _SIMPLE:
        return value
    if kind is str:
        return _checked_text(value, path)
    if kind is int:
        return value if value in _NATIVE_INT else _extension(_BIGINT, format(value, "x"))
    if depth >= _MAX_DEPTH:
        raise CannotCarry(f"{path} is nested more than {_MAX_DEPTH} deep")
    if kind is list or kind is tuple:
        items = [_pack(item, f"{path}[{at}]", depth + 1) for at, item in enumerate(value)]
        return items if kind is list else _extension(_TUPLE, items)
    if kind is dict:
        return _pack_dict(value, path, depth)
    if kind is set or kind is frozenset:
        items = [_pack(item, f"an item of {path}", depth + 1) for item in value]
        return _extension(_SET if kind is set else _FROZENSET, items)
    encoder = _ENCODERS.get(kind)
    if encoder is None:
        raise CannotCarry(
            f"{path} is a {kind.__module__}.{kind.__qualname__}, which cannot travel in a message. "
            "Pass plain values (numbers, text, bytes, lists, dicts, dates, …) or its id, "
            "or choose serializer=SignedPickle(secret)."
        )
    return encoder(value)


def _pack_dict(value: dict[Any, Any], path: str, depth: int) -> Any:
    if all(type(key) is str for key in value):
        return {
            _checked_text(key, f"a key of {path}"): _pack(item, f"{path}[{key!r}]", depth + 1)
            for key, item in value.items()
        }
    pairs = [
        [_pack(key, f"a key of {path}", depth + 1), _pack(item, f"{path}[{key!r}]", depth + 1)]
        for key, item in value.items()
    ]
    return _extension(_MAP, pairs)


def _checked_text(value: str, path: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise CannotCarry(f"{path} holds half a surrogate pair, which is no text in UTF-8") from None
    return value


def _unpack_moment(kind: type[dt.datetime] | type[dt.time]) -> Callable[[Any], Any]:
    def unpack(value: Any) -> Any:
        text, zone, fold = value
        moment = kind.fromisoformat(text)
        if zone is not None:
            moment = moment.replace(tzinfo=zoneinfo.ZoneInfo(zone))
        return moment.replace(fold=fold)

    return unpack


_DECODERS: Final[Mapping[int, Callable[[Any], Any]]] = {
    _TUPLE: tuple,
    _SET: set,
    _FROZENSET: frozenset,
    _MAP: lambda pairs: {key: value for key, value in pairs},  # noqa: C416 - pairs of exactly two
    _BIGINT: lambda text: int(text, 16),
    _DATETIME: _unpack_moment(dt.datetime),
    _DATE: dt.date.fromisoformat,
    _TIME: _unpack_moment(dt.time),
    _TIMEDELTA: lambda parts: dt.timedelta(parts[0], parts[1], parts[2]),
    _DECIMAL: Decimal,
    _UUID: lambda raw: UUID(bytes=raw),
}


def _on_extension(code: int, data: memoryview) -> Any:
    decoder = _DECODERS.get(code)
    if decoder is None:
        raise UndecodableMessage(f"extension type {code} is not known to this version")
    return decoder(_decode(data))


_decode: Final = msgspec.msgpack.Decoder(ext_hook=_on_extension).decode


class MessagePack:
    """The default serializer: plain values, exact in value and type; reading it runs no code."""

    name = "msgpack"

    def dumps(self, value: Any) -> bytes:
        """Encode a plain value; raises CannotCarry for anything else."""
        try:
            return _encode(_pack(value, "value"))
        except CannotCarry:
            raise
        except Exception as error:  # a tzinfo of one's own may raise anything
            raise CannotCarry(f"value cannot be encoded: {type(error).__name__}: {error}") from error

    def loads(self, data: bytes) -> Any:
        """Decode; raises UndecodableMessage."""
        try:
            return _decode(data)
        except Exception as error:  # bytes that somebody else wrote may make any constructor raise
            raise UndecodableMessage(f"not a MessagePack value of ours: {error}") from error


class SignedPickle:
    """Pickle behind HMAC-SHA256, for those who must send objects.

    Whoever knows the secret can run code in every worker; keep it out of Redis and out of the code. The signature
    covers the arguments, not the task: whoever can write to Redis may hand signed arguments to another task.

    Args:
        secret: At least 16 bytes, the same in producers and workers.
    """

    name = "pickle"

    def __init__(self, secret: str | bytes) -> None:
        self._secret = secret.encode() if isinstance(secret, str) else bytes(secret)
        if len(self._secret) < 16:
            raise ConfigurationError("SignedPickle needs a secret of at least 16 bytes, this one is shorter")

    def dumps(self, value: Any) -> bytes:
        """Encode any object that pickle takes; raises CannotCarry for the rest."""
        try:
            body = pickle.dumps(value)
        except Exception as error:
            raise CannotCarry(f"value cannot be pickled: {error}") from error
        return self._sign(body) + body

    def loads(self, data: bytes) -> Any:
        """Decode what was signed with our secret; anything else raises UndecodableMessage and is not read."""
        signature, body = data[:32], data[32:]
        if not hmac.compare_digest(signature, self._sign(body)):
            raise UndecodableMessage("the signature does not fit: another secret, or not one of our messages")
        try:
            return pickle.loads(body)  # noqa: S301 - signed by us just above
        except Exception as error:
            raise UndecodableMessage(f"cannot be unpickled: {error}") from error

    def _sign(self, body: bytes) -> bytes:
        return hmac.new(self._secret, body, hashlib.sha256).digest()


# -- Messages and results -------------------------------------------------------------------------------
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=LONGEST_DELAY_SECONDS)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Moment = Annotated[float, msgspec.Meta(ge=0, le=dt.datetime(9999, 1, 1, tzinfo=dt.UTC).timestamp())]


class Message(msgspec.Struct, frozen=True, array_like=True):
    """A task's call as it lies in Redis. Fields may be added at the end, never changed.

    Attributes:
        retry: Longest delay of a retry in seconds, and its jitter; None where neither was asked for.
        due: Unix seconds of the due time that it is the run of, None unless its task is periodic.
        headers: What travels along beside the trace, which is in the task's record: ``baggage``, and what
            propagators other than W3C's have written.
    """

    v: int
    name: str
    codec: str
    payload: bytes
    retry_backoff: _Seconds
    trace_state: str
    timeout: _Seconds = 0.0
    retry: tuple[_Seconds, _Share] | None = None
    due: _Moment | None = None
    headers: dict[str, str] | None = None

    @property
    def backoff(self) -> Backoff:
        """How the delays of the call's retries grow and spread."""
        return Backoff(self.retry_backoff, *(self.retry or ()))


class StoredResult(msgspec.Struct, frozen=True, array_like=True):
    """How a task ended: its value, or what `TaskException.metadata` says. Fields may be added at the end."""

    v: int
    codec: str
    payload: bytes
    error: dict[str, Any] | None = None


_encode_message: Final = msgspec.msgpack.Encoder().encode
_decode_message: Final = msgspec.msgpack.Decoder(Message).decode


def _no_extension(code: int, _: memoryview) -> Any:
    raise UndecodableMessage(f"what is told of a failure is text and numbers, not extension type {code}")


_decode_result: Final = msgspec.msgpack.Decoder(StoredResult, ext_hook=_no_extension).decode


def encode_call(
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    serializer: Serializer,
    backoff: Backoff,
    trace_state: str,
    timeout: float = 0.0,
    due: float | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Encode one call. Raises CannotCarry naming the argument of `name` that does not fit.

    `timeout` is in seconds, 0 for none.
    """
    try:
        payload = serializer.dumps([list(args), dict(kwargs)])
    except CannotCarry as error:
        raise CannotCarry(f"{name}(): {_argument(str(error))}") from None
    bounds = (backoff.longest_seconds, backoff.jitter)
    retry = None if bounds == (STEADY.longest_seconds, STEADY.jitter) else bounds
    return _encode_message(
        Message(
            MESSAGE_VERSION,
            name,
            serializer.name,
            payload,
            backoff.factor,
            trace_state,
            timeout,
            retry,
            due,
            dict(headers) if headers else None,
        )
    )


def _argument(problem: str) -> str:
    """Speak of arguments, not of the pair they travel in."""
    return problem.replace("value[0][", "argument [", 1).replace("value[1][", "argument [", 1)


def decode_message(body: bytes) -> Message:
    """Decode the envelope of a call; raises UndecodableMessage."""
    try:
        message = _decode_message(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UndecodableMessage(f"the message is not one of ours: {error}") from error
    if message.v != MESSAGE_VERSION:
        raise UndecodableMessage(
            f"the message has version {message.v}, this worker reads {MESSAGE_VERSION}: update it"
        )
    return message


def decode_arguments(message: Message, serializer: Serializer) -> tuple[list[Any], dict[str, Any]]:
    """Decode the arguments of a call; raises UndecodableMessage, also for another codec than ours."""
    value = _loads(message.codec, message.payload, serializer)
    match value:
        case [list() as args, dict() as kwargs] if all(isinstance(key, str) for key in kwargs):
            return args, kwargs
    raise UndecodableMessage("the message holds no arguments")


def encode_result(value: Any, serializer: Serializer) -> bytes:
    """Encode a task's return value; raises CannotCarry."""
    return _encode_message(StoredResult(MESSAGE_VERSION, serializer.name, serializer.dumps(value)))


def encode_failure(metadata: Mapping[str, Any]) -> bytes:
    """Encode what a failed task leaves for those who ask for its result."""
    return _encode_message(StoredResult(MESSAGE_VERSION, "", b"", dict(metadata)))


def decode_result(data: bytes, serializer: Serializer) -> tuple[Any, dict[str, Any] | None]:
    """Decode a stored result: ``(value, None)`` or ``(None, metadata of the failure)``."""
    try:
        stored = _decode_result(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UndecodableMessage(f"the stored result is not one of ours: {error}") from error
    if stored.error is not None:
        return None, stored.error
    return _loads(stored.codec, stored.payload, serializer), None


def _loads(codec: str, payload: bytes, serializer: Serializer) -> Any:
    if codec != serializer.name:
        raise UndecodableMessage(f"it was written with {codec!r}, this queue reads {serializer.name!r}")
    return serializer.loads(payload)
