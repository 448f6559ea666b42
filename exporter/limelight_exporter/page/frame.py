"""A view as it is sent: all of it to who has nothing, and to everybody else what is new."""

from __future__ import annotations

from typing import Final

import msgspec

from .nodes import entries
from .overview import View

_encode: Final = msgspec.json.Encoder().encode


class Frame:
    """What one page shows at one moment; made once for all who look at it.

    Args:
        view: What it shows.
        at: Unix seconds by Redis' clock.
    """

    def __init__(self, view: View, at: float) -> None:
        self._parts: dict[str, bytes] = {}
        for root in view.roots:
            self._parts |= entries(root)
        self._head = {"title": view.title, "kind": view.kind, "said": view.verdict, "since": view.since}
        self._at = at

    def news(self, before: Frame | None) -> bytes:
        """JSON: what somebody needs who has another frame, or none; empty where nothing is new."""
        known = before._parts if before else {}  # noqa: SLF001 - its own kind
        changed = [part for key, part in self._parts.items() if known.get(key) != part]
        if before and not changed and before._head == self._head:  # noqa: SLF001
            return b""
        return self._message(changed)

    def pulse(self) -> bytes:
        """JSON: that nothing is new."""
        return self._message([])

    def _message(self, parts: list[bytes]) -> bytes:
        head = _encode(self._head | {"at": round(self._at, 3)})
        return head[:-1] + b',"parts":[' + b",".join(parts) + b"]}"
