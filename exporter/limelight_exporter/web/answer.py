"""What the application is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

TEXT: Final = "text/plain; charset=utf-8"


class Response(NamedTuple):
    """Status, body and headers of an answer."""

    status: int
    body: bytes
    content_type: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """What the app wants to know of a request.

    Attributes:
        method: In capitals.
        path: Without the query.
        query: Undecoded.
        headers: By lower-case name; of several alike the last.
        client_names: Alternative names of the client's certificate, None without one.
    """

    method: str
    path: str
    query: bytes
    headers: Mapping[str, str]
    client_names: tuple[str, ...] | None

    @staticmethod
    def of(scope: MutableMapping[str, Any]) -> Request:
        """Read an ASGI scope of type ``http``."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        names = (scope.get("state") or {}).get("client_names")
        return Request(scope["method"], scope["path"], scope.get("query_string", b""), headers, names)

    @property
    def size(self) -> int:
        """Roughly its bytes."""
        return len(self.path) + len(self.query) + sum(len(a) + len(b) for a, b in self.headers.items())

    @property
    def has_body(self) -> bool:
        """Whether anything follows the headers."""
        return "transfer-encoding" in self.headers or self.headers.get("content-length", "0").strip("0") != ""
