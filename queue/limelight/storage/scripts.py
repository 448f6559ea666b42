"""The Lua scripts as data: their text, their keys in order, their SHA."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from limelight.keys import QueueKeys

_HEADER: Final = re.compile(r"^-- (KEYS|USES): (.+)$", re.MULTILINE)
_SHARED: Final = "limelight.storage.lua"
_NAMED_BY_CALLER: Final = frozenset({"result", "limit"})
VARIABLE: Final = "…"
"""In a KEYS header: this key comes once per task, and the caller names it."""


@dataclass(frozen=True, slots=True)
class Script:
    """One transition, as loaded into Redis.

    Attributes:
        name: File name without ``.lua``.
        things: The queue's keys that it touches, in the order of KEYS.
        source: What is sent to Redis: key names, shared opening, the file.
        sha: SHA-1 of the source, hex, as EVALSHA wants it.
        names: What stands in the source for the names of keys and fields.
    """

    name: str
    things: tuple[str, ...]
    source: bytes
    sha: bytes
    names: Mapping[str, str]

    def keys(self, keys: QueueKeys, extra: Iterable[str] = ()) -> list[str]:
        """The KEYS of one call; `extra` are those that come once per task."""
        return [*(keys[thing] for thing in self.things), *extra]


def load(name: str, folder: str = _SHARED) -> Script:
    """Assemble one script from its file and the files that its USES header names."""
    text = _read(folder, name)
    header = _header(text)
    declared = header.get("KEYS", "").split()
    things = [thing for thing in declared if not thing.endswith(VARIABLE)]
    used = _used(["_clock", *header.get("USES", "").split()])
    texts = [*used.values(), _wrapped(text) if "_changes" in used else text]
    named = {**FIELDS, **FORMATS, **{thing.upper(): f"KEYS[{n}]" for n, thing in enumerate(things, 1)}}
    source = with_names("\n".join(texts), named).encode()
    sha = hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()
    return Script(name, tuple(thing for thing in things if thing not in _NAMED_BY_CALLER), source, sha, named)


def with_names(text: str, named: Mapping[str, str]) -> str:
    """Write what names stand for: a constant costs a script nothing, a local captured by functions much."""
    return re.sub(r"(?<![\w'\"])[A-Z_]+(?![\w'\"])", lambda word: named.get(word[0], word[0]), text)


def _used(names: Iterable[str]) -> dict[str, str]:
    """Text of each file that is used, by name, each behind those that it uses itself."""
    found: dict[str, str] = {}
    for name in names:
        text = _read(_SHARED, name)
        found.update(_used(_header(text).get("USES", "").split()))
        found[name] = text
    return found


def _header(text: str) -> dict[str, str]:
    return dict(_HEADER.findall(text))


def _wrapped(text: str) -> str:
    """Run the script's own text, then write what it collected, then answer."""
    return f"local function transition()\n{text}\nend\nlocal answer = transition()\nwrite()\nreturn answer\n"


def _read(folder: str, name: str) -> str:
    return files(folder).joinpath(f"{name}.lua").read_text(encoding="utf-8")


def _fields(header: str) -> list[tuple[str, str]]:
    """Names of the fields of a record that a header of ``lua/_record.lua`` lists, and how each is packed."""
    lines = re.findall(rf"^-- {header}: (.+)$", _read(_SHARED, "_record"), re.MULTILINE)
    return [(name, form) for name, _, form in (word.partition(":") for word in " ".join(lines).split())]


_CHANGING: Final = _fields("FIELDS")
_PLACED: Final = _fields("PLACED")
_FIXED: Final = _fields("FIXED")
FIELDS: Final[Mapping[str, str]] = {
    name: str(number)
    for number, (name, _) in enumerate([*_CHANGING, *_PLACED, *_FIXED, ("RUN_PIECE", "")], 2)
}
"""The fields of a task's record (see ``lua/_record.lua``) and their numbers."""


def _packing(*fields: tuple[str, str]) -> str:
    return "".join(form for _, form in fields)


FORMATS: Final[Mapping[str, str]] = {
    "LAYOUT": "248",
    "FORMAT": f"'>{_packing(*_CHANGING, *_PLACED, *_FIXED)}'",
    "LAYOUT_AND_FORMAT": f"'>B{_packing(*_CHANGING, *_PLACED, *_FIXED)}'",
    "LAYOUT_AND_FRESH": f"'>B{_packing(*_CHANGING)}'",
    "PLACING": f"'>{_packing(*_PLACED)}'",
}
"""How Redis' ``struct`` packs the fields of a record; with its first byte; and those that a script gives a new one."""


def _all() -> Mapping[str, Script]:
    names = sorted(
        entry.name.removesuffix(".lua")
        for entry in files(_SHARED).iterdir()
        if entry.name.endswith(".lua") and not entry.name.startswith("_")
    )
    return {name: load(name) for name in names}


SCRIPTS: Final = _all()
