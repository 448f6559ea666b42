"""Settings in YAML files: loaded safely, checked as a whole, each fault told with its place and never with a value."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import yaml

LARGEST_BYTES: Final = 131_072
_LONGEST_PLACE: Final = 100
_HASH: Final = re.compile(r"\$2\S*")
"""Somebody who forgets a colon, or swaps name and hash, has a hash where a name belongs."""
_SECRET: Final = re.compile(r"[./A-Za-z0-9]{53,}")
"""A hash without its beginning; no name of a place is that long."""
_Shape = TypeVar("_Shape", bound=msgspec.Struct)


class Faults:
    """What is wrong in one file, all of it.

    Args:
        name: Of the file, as its reader knows it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.told: list[str] = []

    def add(self, place: str, what: str) -> None:
        """Note a fault at a place such as ``limits.tasks``; "" is the file as a whole. A hash in it is not shown."""
        where = f"{_SECRET.sub('(a hash)', _HASH.sub('(a hash)', place))[:_LONGEST_PLACE]}: " if place else ""
        self.told.append(f"{self._name}: {where}{_HASH.sub('(a hash)', what)}")


def read_text(path: str, faults: Faults) -> bytes:
    """The file's bytes; b"" and a fault where it cannot be read or is larger than 128 KiB."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        faults.add("", f"cannot be read: {getattr(error, 'strerror', None) or error}")
        return b""
    if len(content) > LARGEST_BYTES:
        faults.add("", f"is larger than {LARGEST_BYTES:,} bytes: no file of settings is")
        return b""
    return content


def shaped(content: bytes, shape: type[_Shape], faults: Faults) -> _Shape:
    """The content as `shape`, whose fields all have defaults; what is wrong is told and takes its default."""
    return _filled(shape, _loaded(content, faults), "", faults)


class _Loader(yaml.SafeLoader):
    """Plain values only; no aliases, which can make much of little, and no key twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not taken: write it out", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen if isinstance(key.value, str) else False:
                raise yaml.constructor.ConstructorError(
                    None, None, "this key is here already, further up", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _loaded(content: bytes, faults: Faults) -> Any:
    try:
        return _Loader(content).get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        faults.add(place, f"is no YAML that can be used: {error.problem or error.context}")
    except yaml.YAMLError:
        faults.add("", "is no text in UTF-8")
    except Exception:  # PyYAML lets through whatever its numbers, dates and depth make Python say
        faults.add("", "is no YAML that can be used: a value is nested too deeply, or no number or date")
    return None


def _filled(shape: type[_Shape], raw: Any, place: str, faults: Faults) -> _Shape:
    if raw is None:
        return shape()
    if not isinstance(raw, Mapping):
        faults.add(place, "here belong names with values, such as `name: value`")
        return shape()
    fields = {field.name: field for field in msgspec.structs.fields(shape)}
    for key in raw:
        if key not in fields:
            _refuse_key(key, place, fields, faults)
    values = {
        name: _value(field.type, raw[name], f"{place}.{name}".lstrip("."), faults)
        for name, field in fields.items()
        if raw.get(name) is not None
    }
    return shape(**{name: value for name, value in values.items() if value is not msgspec.UNSET})


def _value(kind: Any, raw: Any, place: str, faults: Faults) -> Any:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _filled(kind, raw, place, faults)
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        inner = where.strip("`").removeprefix("$").removeprefix("[...]")
        faults.add(f"{place}{inner}", what[0].lower() + what[1:].replace("`", ""))
    return msgspec.UNSET


def _refuse_key(key: object, place: str, fields: Mapping[str, Any], faults: Faults) -> None:
    name = str(key)[:40]
    close = difflib.get_close_matches(name, fields, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(fields)}"
    faults.add(place, f"unknown name {name!r}: {hint}")
