"""The library that Redis gives to scripts for bytes of a fixed layout: struct, as far as scripts here use it.

Big-endian and unaligned: ``>``, then ``B``, ``H``, ``I<n>`` and ``i<n>`` for whole numbers, ``d`` for a double, ``s``
for a text that ends in a zero, ``c0`` for a whole text, which can only be packed.
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from typing import Any, Final

_OPTION: Final = re.compile(rb"([BHdsIi]|c0)(\d*)")
_WHOLE: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}


def struct_packed(layout: bytes, *values: Any) -> bytes:
    """Values in a row; raises ValueError for what does not fit."""
    given = iter(values)
    return b"".join(_packed(option, next(given)) for option in _options(layout))


def struct_unpacked(layout: bytes, data: bytes, at: int = 1) -> tuple[Any, ...]:
    """The values from a byte on, from 1, and the byte behind them; raises ValueError if data is too short."""
    at, values = int(at) - 1, []
    for option in _options(layout):
        value, at = _unpacked(option, data, at)
        values.append(value)
    return (*values, at + 1)


@lru_cache(maxsize=256)
def _options(layout: bytes) -> tuple[str, ...]:
    """What Python's struct calls them; "text" and "whole text" are not of its kinds."""
    if not layout.startswith(b">"):
        raise ValueError(f"struct: {layout!r} is not big-endian")
    return tuple(_option(found[1].decode(), found[2]) for found in _OPTION.finditer(layout))


def _option(letter: str, size: bytes) -> str:
    match letter:
        case "s":
            return "text"
        case "c0":
            return "whole text"
        case "d" | "B" | "H":
            return letter
    kind = _WHOLE[int(size)]
    return kind if letter == "I" else kind.lower()


def _packed(option: str, value: Any) -> bytes:
    if option in {"text", "whole text"}:
        text = value if isinstance(value, bytes) else b"%.14g" % value
        return text + b"\0" if option == "text" else text
    return struct.pack(f">{option}", float(value) if option == "d" else int(value))


def _unpacked(option: str, data: bytes, at: int) -> tuple[Any, int]:
    if option == "text":
        end = data.find(b"\0", at)
        if end < 0:
            raise ValueError("unfinished string in data")
        return data[at:end], end + 1
    size = struct.calcsize(f">{option}")
    if len(data) < at + size:
        raise ValueError("data string too short")
    return struct.unpack_from(f">{option}", data, at)[0], at + size
