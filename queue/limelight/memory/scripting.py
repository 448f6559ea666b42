"""Lua scripts, run as Redis runs them: by Lua 5.1, with the libraries that Redis gives them. Knows lupa."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any, Final

from limelight.errors import ConfigurationError

from .keyspace import Refusal, Reply, Status
from .luacodec import Table, Unpacker, as_json, from_json, packed
from .luastruct import struct_packed, struct_unpacked

Call = Callable[[bytes, Sequence[bytes]], Reply]

_SANDBOX: Final = files(__package__ or "").joinpath("sandbox.lua").read_bytes()


class Scripts:
    """The scripts of one store, and the Lua that runs them.

    Args:
        call: Runs one command for a script; raises Refusal.

    Raises:
        ConfigurationError: lupa is not installed.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._lua = _lua51()
        self._runtime = self._lua.LuaRuntime(
            encoding=None, unpack_returned_tuples=True, register_eval=False, register_builtins=False
        )
        self._null = object()
        self._chunks: dict[bytes, Any] = {}
        setup = self._runtime.eval(b"function(...) " + _SANDBOX + b" end")
        codecs = (
            self._pack,
            self._unpack_one,
            self._unpack,
            self._encode,
            self._decode,
            struct_packed,
            struct_unpacked,
        )
        self._compile, self._run = setup(self._redis_call, *codecs, self._null, _sha1hex)

    def load(self, source: bytes) -> bytes:
        """Keep a script; returns its SHA-1. Raises Refusal if it is no Lua."""
        sha = _sha1hex(source)
        if sha not in self._chunks:
            compiled = self._compile(source)
            if isinstance(compiled, tuple):
                raise Refusal(f"ERR Error compiling script (new function): {compiled[1].decode()}")
            self._chunks[sha] = compiled
        return sha

    def knows(self, sha: bytes) -> bool:
        """Whether a script of this SHA-1 was loaded."""
        return sha.lower() in self._chunks

    def forget(self) -> None:
        """Forget all scripts."""
        self._chunks.clear()

    def run(self, sha: bytes, keys: Sequence[bytes], args: Sequence[bytes]) -> Reply:
        """Run a script; raises Refusal where it raised, or answered with an error."""
        chunk = self._chunks.get(sha.lower())
        if chunk is None:
            raise Refusal("NOSCRIPT No matching script. Please use EVAL.")
        reply = self._reply(self._run(chunk, self._table(keys), self._table(args)))
        if isinstance(reply, Refusal):
            raise reply
        return reply

    # -- What scripts call -------------------------------------------------------------------------------
    def _redis_call(self, name: bytes, *words: Any) -> Any:
        try:
            return self._as_lua(self._call(name.upper(), [_word(word) for word in words]))
        except Refusal as refusal:
            return self._runtime.table_from({b"err": str(refusal).encode()})

    def _pack(self, *values: Any) -> bytes:
        return b"".join(packed(self._seen(value)) for value in values)

    def _unpack_one(self, data: bytes, at: int = 0) -> int | tuple[int, Any]:
        if at >= len(data):
            return -1
        unpacker = Unpacker(data, at)
        value = self._nested(unpacker.one())
        return (-1 if unpacker.at >= len(data) else unpacker.at), value

    def _unpack(self, data: bytes) -> tuple[Any, ...]:
        return tuple(self._nested(value) for value in Unpacker(data))

    def _encode(self, value: Any) -> bytes:
        return as_json(self._seen(value))

    def _decode(self, text: bytes) -> Any:
        return self._nested(from_json(text), null=self._null)

    # -- From Lua and to Lua -----------------------------------------------------------------------------
    def _table(self, values: Sequence[Any]) -> Any:
        return self._runtime.table_from(values)

    def _as_lua(self, reply: Reply) -> Any:
        """An answer of Redis as a script sees it: nil is false, a status is a table."""
        match reply:
            case None:
                return False
            case Status():
                return self._runtime.table_from({b"ok": bytes(reply)})
            case Refusal():
                return self._runtime.table_from({b"err": str(reply).encode()})
            case list():
                return self._table([self._as_lua(one) for one in reply])
        return reply

    def _reply(self, value: Any) -> Reply:
        """What a script returned as Redis answers it: numbers lose their fraction, a nil ends a list."""
        match value:
            case bytes() | None:
                return value
            case bool():
                return 1 if value else None
            case int() | float():
                return int(value)
        if self._lua.lua_type(value) != "table":
            return None
        for name, kind in ((b"err", Refusal), (b"ok", Status)):
            text = value[name]
            if isinstance(text, bytes):
                return kind(text.decode("utf-8", "replace")) if kind is Refusal else Status(text)
        found: list[Reply] = []
        while (item := value[len(found) + 1]) is not None:
            found.append(self._reply(item))
        return found

    def _seen(self, value: Any) -> Any:
        """A value of Lua's as Python sees it."""
        if value is self._null:
            return None
        if self._lua.lua_type(value) == "table":
            return Table((self._seen(key), self._seen(one)) for key, one in value.items())
        return value

    def _nested(self, value: Any, *, null: Any = None) -> Any:
        """A value of Python's as Lua sees it."""
        if value is None:
            return null
        if isinstance(value, list):
            return self._table([self._nested(one, null=null) for one in value])
        if isinstance(value, dict):
            named = {key: self._nested(one, null=null) for key, one in value.items()}
            return self._runtime.table_from(named)
        return value


def _word(value: Any) -> bytes:
    """An argument of redis.call as the word that Redis makes of it."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return b"%.17g" % value
    raise Refusal("ERR Lua redis lib command arguments must be strings or integers")


def _sha1hex(text: bytes) -> bytes:
    return hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()


def _lua51() -> Any:
    """Lua 5.1, the one that Redis has: its numbers and string.format are the same."""
    try:
        return importlib.import_module("lupa.lua51")
    except ImportError as error:
        raise ConfigurationError(
            f"a queue in memory runs its Lua scripts by lupa, which is not installed here ({error}). "
            "Install it with: pip install 'limelight[memory]'"
        ) from error
