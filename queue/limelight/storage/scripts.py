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
    """

    name: str
    things: tuple[str, ...]
    source: bytes
    sha: bytes

    def keys(self, keys: QueueKeys, extra: Iterable[str] = ()) -> list[str]:
        """The KEYS of one call; `extra` are those that come once per task."""
        return [*(keys[thing] for thing in self.things), *extra]


def load(name: str, folder: str = "limelight.storage.lua") -> Script:
    """Assemble one script from its file and the files that its USES header names."""
    text = _read(folder, name)
    header = dict(_HEADER.findall(text))
    declared = header.get("KEYS", "").split()
    things = tuple(thing for thing in declared if not thing.endswith(VARIABLE))
    uses = ["_prelude", *header.get("USES", "").split()]
    locals_line = ""
    if things:
        names = ", ".join(thing.upper() for thing in things)
        locals_line = f"local {names} = {', '.join(f'KEYS[{n}]' for n in range(1, len(things) + 1))}\n"
    things = tuple(thing for thing in things if thing not in _NAMED_BY_CALLER)
    shared = "\n".join(_read("limelight.storage.lua", use) for use in uses)
    source = f"{locals_line}{shared}\n{_wrapped(text)}".encode()
    return Script(name, things, source, hashlib.sha1(source, usedforsecurity=False).hexdigest().encode())


def _wrapped(text: str) -> str:
    """Run the script's own text, then write what it collected, then answer."""
    return f"local function transition()\n{text}\nend\nlocal answer = transition()\nwrite()\nreturn answer\n"


def _read(folder: str, name: str) -> str:
    return files(folder).joinpath(f"{name}.lua").read_text(encoding="utf-8")


def _all() -> Mapping[str, Script]:
    names = sorted(
        entry.name.removesuffix(".lua")
        for entry in files("limelight.storage.lua").iterdir()
        if entry.name.endswith(".lua") and not entry.name.startswith("_")
    )
    return {name: load(name) for name in names}


SCRIPTS: Final = _all()
