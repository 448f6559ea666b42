"""What a run's code puts on its span, kept within limits until its closing event tells it. Knows no OpenTelemetry."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from .privacy import EVERYTHING, Privacy

ATTRIBUTES: Final = 32
EVENTS: Final = 32
LINKS: Final = 32
ATTRIBUTES_OF_EVENT: Final = 16
ITEMS: Final = 16
TEXT_BYTES: Final = 1_024
STACK_BYTES: Final = 4_096
TOTAL_BYTES: Final = 16_384

_STACK: Final = "exception.stacktrace"
_LONGEST: Final = 2**63 - 1
_size: Final = msgspec.json.Encoder().encode


class Recording:
    """Safe for many threads: the code may have some of its own, which may outlive it.

    Args:
        privacy: What may be told.

    Attributes:
        is_open: The run is not over yet; what comes later is not kept.
        privacy: As given.
    """

    def __init__(self, privacy: Privacy = EVERYTHING) -> None:
        self.is_open = True
        self.privacy = privacy
        self._name: str | None = None
        self._attributes: dict[str, Any] = {}
        self._events: list[dict[str, Any]] = []
        self._links: list[dict[str, Any]] = []
        self._status: tuple[str, str] | None = None
        self._dropped = {"attributes": 0, "events": 0, "links": 0}
        self._lock = threading.Lock()

    def rename(self, name: str) -> None:
        """Call the span otherwise."""
        if self.is_open:
            self._name = short(self.privacy.text(name))

    def attribute(self, name: str, value: Any) -> None:
        """Keep an attribute: text, a number, a truth value, or several of them. Anything else is dropped."""
        told = plain(value, self.privacy) if self.privacy.may_tell(name) else None
        with self._lock:
            if not self.is_open:
                return
            if told is None or (name not in self._attributes and len(self._attributes) >= ATTRIBUTES):
                self._dropped["attributes"] += 1
            else:
                self._attributes[short(name)] = told

    def event(self, name: str, attributes: Mapping[str, Any], at_ns: int) -> None:
        """Keep an event of that time."""
        event = {"name": short(self.privacy.text(name)), "at": str(at_ns), **self._attributes_of(attributes)}
        with self._lock:
            if self.is_open:
                self._add("events", self._events, event, EVENTS)

    def link(self, trace_id: str, span_id: str, attributes: Mapping[str, Any]) -> None:
        """Keep a link to another span."""
        link = {"trace_id": trace_id, "span_id": span_id, **self._attributes_of(attributes)}
        with self._lock:
            if self.is_open:
                self._add("links", self._links, link, LINKS)

    def status(self, code: str, description: str = "") -> None:
        """Keep a status: OK is final, UNSET changes nothing, a description is ERROR's alone."""
        if self.is_open and code in {"OK", "ERROR"} and (self._status or ("", ""))[0] != "OK":
            told = self.privacy.text(description) if code == "ERROR" and self.privacy.messages else ""
            self._status = (code, short(told))

    def close(self) -> None:
        """The run is over."""
        with self._lock:
            self.is_open = False

    def told(self) -> dict[str, Any] | None:
        """The value of the closing event's key ``span``, None for nothing to tell; at most 16 kB."""
        if self._is_blank:
            return None
        with self._lock:
            events, links = list(self._events), list(self._links)
            attributes, dropped = dict(self._attributes), dict(self._dropped)
        made = self._compose(attributes, events, links, dropped)
        while made and len(_size(made)) > TOTAL_BYTES:
            held: dict[str, Any] = {"events": events, "links": links, "attributes": attributes}
            largest = max(held, key=lambda name: len(_size(held[name])))
            _pop(held[largest])
            dropped[largest] += 1
            made = self._compose(attributes, events, links, dropped)
        return made or None

    @property
    def _is_blank(self) -> bool:
        """Nothing was put on the span, as on that of nearly every run."""
        put = (self._name, self._attributes, self._events, self._links, self._status)
        return not any(put) and not any(self._dropped.values())

    def _compose(
        self,
        attributes: dict[str, Any],
        events: list[dict[str, Any]],
        links: list[dict[str, Any]],
        dropped: dict[str, int],
    ) -> dict[str, Any]:
        status, description = self._status or ("", "")
        told: dict[str, Any] = {
            "name": self._name,
            "attributes": attributes,
            "events": events,
            "links": links,
            "status": status,
            "description": description,
            **{f"dropped_{name}": count for name, count in dropped.items()},
        }
        return {name: value for name, value in told.items() if value}

    def _attributes_of(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes of an event or a link."""
        told = {
            short(name): plain(value, self.privacy, STACK_BYTES if name == _STACK else TEXT_BYTES)
            for name, value in list(given.items())[:ATTRIBUTES_OF_EVENT]
            if self.privacy.may_tell(name)
        }
        kept = {name: value for name, value in told.items() if value is not None}
        return {"attributes": kept} if kept else {}

    def _add(self, kind: str, kept: list[dict[str, Any]], one: dict[str, Any], most: int) -> None:
        if len(kept) < most:
            kept.append(one)
        else:
            self._dropped[kind] += 1


def _pop(held: dict[str, Any] | list[dict[str, Any]]) -> None:
    if isinstance(held, dict):
        held.popitem()
    else:
        held.pop()


def short(text: str, limit: int = TEXT_BYTES) -> str:
    """The beginning of a text, as many bytes of UTF-8 as the limit allows."""
    text = text[:limit]
    raw = text.encode("utf-8", "replace")
    return text if len(raw) == len(text) else raw[:limit].decode("utf-8", "ignore")


def plain(value: Any, privacy: Privacy = EVERYTHING, limit: int = TEXT_BYTES) -> Any:
    """A value as JSON and OTLP can carry it, None for one that they cannot."""
    match value:
        case bool():
            return value
        case str():
            return short(privacy.text(str(value)), limit)
        case bytes():
            return short(privacy.text(value.decode("utf-8", "replace")), limit)
        case int():
            return int(value) if abs(value) <= _LONGEST else short(hex(value))
        case float():
            return float(value) if math.isfinite(value) else str(float(value))
        case Sequence():
            items = [plain(one, privacy, limit) for one in value[:ITEMS]]
            return [one for one in items if isinstance(one, str | bool | int | float)]
    return None
