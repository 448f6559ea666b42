"""What came in an event from users, as far as OTLP can carry it: bounded, and of the right shape. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from .ops import SpanEvent, SpanLink

TEXT_LIMIT: Final = 4_096
"""Characters of one text; workers cut earlier, but an event may come from anybody who may write to the stream."""
KEY_LIMIT: Final = 255
MOST: Final = 128
"""Attributes of one thing, and events and links of one span."""

TRACE_ID: Final = re.compile(r"(?!0{32})[0-9a-f]{32}")
SPAN_ID: Final = re.compile(r"(?!0{16})[0-9a-f]{16}")
LONGEST: Final = 2**63 - 1


def cut(text: str, limit: int = TEXT_LIMIT) -> str:
    """A text of at most `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def attributes_in(values: Any) -> dict[str, Any]:
    """Attributes that OTLP can carry; what it cannot is left out."""
    if not isinstance(values, Mapping):
        return {}
    found: dict[str, Any] = {}
    for name, value in values.items():
        if len(found) == MOST:
            break
        if name and (carried := _carried(value)) is not None:
            found[cut(str(name), KEY_LIMIT)] = carried
    return found


def _carried(value: Any) -> Any:
    """The value; None where there is none. An integer beyond 64 bits would make the whole request unreadable."""
    if isinstance(value, str):
        return cut(value)
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) <= LONGEST else cut(str(value))
    if isinstance(value, list):
        items = [_carried(item) for item in value[:MOST] if isinstance(item, str | bool | int | float)]
        return items if len({type(item) for item in items}) <= 1 else [str(item) for item in items]
    return None


def events_in(values: Any) -> list[SpanEvent]:
    """Events whose time and name can be read."""
    if not isinstance(values, list):
        return []
    return [made for value in values[:MOST] if (made := _event(value)) is not None]


def _event(value: Any) -> SpanEvent | None:
    if not isinstance(value, Mapping):
        return None
    name, at = value.get("name"), value.get("at")
    if not isinstance(name, str) or not isinstance(at, str) or not at.isascii() or not at.isdigit():
        return None
    if len(at) > len(str(LONGEST)) or int(at) > LONGEST:
        return None
    return SpanEvent(cut(name, KEY_LIMIT), int(at), attributes_in(value.get("attributes")))


def links_in(values: Any) -> list[SpanLink]:
    """Links whose ids can be read."""
    if not isinstance(values, list):
        return []
    return [made for value in values[:MOST] if (made := _link(value)) is not None]


def _link(value: Any) -> SpanLink | None:
    if not isinstance(value, Mapping):
        return None
    trace_id, span_id = str(value.get("trace_id")), str(value.get("span_id"))
    if not TRACE_ID.fullmatch(trace_id) or not SPAN_ID.fullmatch(span_id):
        return None
    return SpanLink(trace_id, span_id, attributes_in(value.get("attributes")))
