"""The libraries that Redis gives to scripts and that speak of bytes: cmsgpack and cjson.

The bytes are those of lua_cmsgpack (whole numbers as integers, everything else that is text as `str`) and of
lua_cjson (UTF-8 as it is, a slash escaped), so that records written here and in Redis are the same.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from typing import Any, Final

_INT64: Final = range(-(2**63), 2**63)


class Table(dict[Any, Any]):
    """A Lua table as Python sees it: its keys and values."""


# -- MessagePack ------------------------------------------------------------------------------------------
def packed(value: Any) -> bytes:
    """One value as lua_cmsgpack writes it."""
    match value:
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case bytes():
            return _packed_text(value)
        case int() if value in _INT64:
            return _packed_whole(value)
        case int() | float():
            return _packed_real(float(value))
        case Table():
            return _packed_table(value)
    raise ValueError(f"cmsgpack cannot pack {type(value).__name__}")


def _packed_text(value: bytes) -> bytes:
    size = len(value)
    if size < 32:
        return bytes((0xA0 | size,)) + value
    return _head(size, b"\xd9", b"\xda", b"\xdb") + value


def _head(size: int, byte: bytes, short: bytes, long: bytes) -> bytes:
    if byte and size <= 0xFF:
        return byte + bytes((size,))
    return short + struct.pack(">H", size) if size <= 0xFFFF else long + struct.pack(">I", size)


_WHOLE: Final = (
    (0, 0x7F, b"", "B"),
    (-32, -1, b"", "b"),
    (0, 0xFF, b"\xcc", "B"),
    (0, 0xFFFF, b"\xcd", "H"),
    (0, 0xFFFFFFFF, b"\xce", "I"),
    (0, 2**63 - 1, b"\xcf", "Q"),
    (-(2**7), -1, b"\xd0", "b"),
    (-(2**15), -1, b"\xd1", "h"),
    (-(2**31), -1, b"\xd2", "i"),
    (-(2**63), -1, b"\xd3", "q"),
)


def _packed_whole(value: int) -> bytes:
    return next(
        tag + struct.pack(f">{form}", value) for least, most, tag, form in _WHOLE if least <= value <= most
    )


def _packed_real(value: float) -> bytes:
    try:
        short = struct.pack(">f", value)
    except OverflowError:
        return b"\xcb" + struct.pack(">d", value)
    same = struct.unpack(">f", short)[0] == value
    return b"\xca" + short if same else b"\xcb" + struct.pack(">d", value)


def _packed_table(table: Table) -> bytes:
    size = len(table)
    items = as_list(table)
    if items is not None:
        head = bytes((0x90 | size,)) if size < 16 else _head(size, b"", b"\xdc", b"\xdd")
        return head + b"".join(map(packed, items))
    head = bytes((0x80 | size,)) if size < 16 else _head(size, b"", b"\xde", b"\xdf")
    return head + b"".join(packed(part) for item in table.items() for part in item)


def as_list(table: Table) -> list[Any] | None:
    """The values under 1, 2, 3 …, None if there are other keys."""
    try:
        return [table[at] for at in range(1, len(table) + 1)]
    except KeyError:
        return None


class Unpacker:
    """Reads values one after the other, as lua_cmsgpack reads them; raises ValueError."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self.at = at

    def __iter__(self) -> Iterator[Any]:
        while self.at < len(self._data):
            yield self.one()

    def one(self) -> Any:
        """The next value; arrays are lists, maps are dicts."""
        tag = self._take(1)[0]
        if tag <= 0x7F:
            return tag
        if tag >= 0xE0:
            return tag - 0x100
        if tag <= 0xBF:
            return self._short(tag)
        if tag in _PLAIN:
            return _PLAIN[tag]
        if tag in _NUMBERS:
            return struct.unpack(_NUMBERS[tag], self._take(struct.calcsize(_NUMBERS[tag])))[0]
        if tag in _SIZED:
            form, kind = _SIZED[tag]
            return self._sized(kind, struct.unpack(form, self._take(struct.calcsize(form)))[0])
        raise ValueError("Bad data format in input.")

    def _short(self, tag: int) -> Any:
        if tag >= 0xA0:
            return self._take(tag & 0x1F)
        return self._sized("array" if tag >= 0x90 else "map", tag & 0xF)

    def _sized(self, kind: str, size: int) -> Any:
        if kind == "text":
            return self._take(size)
        if kind == "array":
            return [self.one() for _ in range(size)]
        return {self.one(): self.one() for _ in range(size)}

    def _take(self, size: int) -> bytes:
        part = self._data[self.at : self.at + size]
        if len(part) < size:
            raise ValueError("Missing bytes in input.")
        self.at += size
        return part


_PLAIN: Final = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS: Final = dict(enumerate((">f", ">d", ">B", ">H", ">I", ">Q", ">b", ">h", ">i", ">q"), start=0xCA))
_SIZED: Final = {
    tag: (form, kind)
    for first, kind, forms in (
        (0xC4, "text", (">B", ">H", ">I")),
        (0xD9, "text", (">B", ">H", ">I")),
        (0xDC, "array", (">H", ">I")),
        (0xDE, "map", (">H", ">I")),
    )
    for tag, form in enumerate(forms, start=first)
}


# -- JSON -------------------------------------------------------------------------------------------------
_ESCAPES: Final = {
    b'"': b'\\"',
    b"\\": b"\\\\",
    b"/": b"\\/",
    b"\b": b"\\b",
    b"\t": b"\\t",
    b"\n": b"\\n",
} | {
    b"\f": b"\\f",
    b"\r": b"\\r",
}


def as_json(value: Any) -> bytes:
    """One value as lua_cjson writes it."""
    match value:
        case None:
            return b"null"
        case bool():
            return b"true" if value else b"false"
        case bytes():
            return b'"' + re.sub(rb'[\x00-\x1f"\\/\x7f]', _escaped, value) + b'"'
        case int() | float():
            return b"%.14g" % value
        case Table():
            items = as_list(value)
            if items:
                return b"[" + b",".join(map(as_json, items)) + b"]"
            named = (as_json(_name(key)) + b":" + as_json(one) for key, one in value.items())
            return b"{" + b",".join(named) + b"}"
    raise ValueError(f"cjson cannot encode {type(value).__name__}")


def _escaped(found: re.Match[bytes]) -> bytes:
    return _ESCAPES.get(found[0]) or b"\\u%04x" % found[0][0]


def _name(key: Any) -> bytes:
    return key if isinstance(key, bytes) else b"%.14g" % key


def from_json(text: bytes) -> Any:
    """What a JSON text says, its strings as bytes; raises ValueError."""
    return _as_bytes(json.loads(text))


def _as_bytes(value: Any) -> Any:
    match value:
        case str():
            return value.encode()
        case list():
            return [_as_bytes(one) for one in value]
        case dict():
            return {_as_bytes(key): _as_bytes(one) for key, one in value.items()}
    return value
