"""What the live page's addresses are answered with; the stream alone is not an answer but goes on."""

from __future__ import annotations

from typing import Final, NamedTuple

from limelight_exporter.ports import LivePage, Tally

from .answer import Request, Response
from .viewers import Viewers

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HTML: Final = "text/html; charset=utf-8"
_JSON: Final = "application/json"
_PRIVATE: Final = (("referrer-policy", "no-referrer"), ("cross-origin-opener-policy", "same-origin"))
STREAM_HEADERS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # or nginx keeps what we send until it has a few KiB
    "x-content-type-options": "nosniff",
    **dict(_PRIVATE),
}
_RETRY_SECONDS: Final = 10


class Stream(NamedTuple):
    """The answer that goes on: of which page."""

    query: str


class LiveRoutes:
    """The page, its data and its files.

    Args:
        page: Makes them.
        tally: Is told how many look.
        most_viewers: How many may, at a time.
    """

    def __init__(self, page: LivePage, tally: Tally, most_viewers: int) -> None:
        self._page = page
        self.viewers = Viewers(page, tally, most_viewers)

    async def answer(self, request: Request) -> Response | Stream | None:
        """The answer; None for an address that is none of ours."""
        query = request.query.decode("ascii", "replace")
        if request.path == "/":
            headers = (("content-security-policy", POLICY), *_PRIVATE)
            return Response(200, await self.viewers.html(query), _HTML, headers)
        if request.path == "/state":
            return Response(200, await self.viewers.state(query), _JSON, _PRIVATE)
        if request.path == "/live":
            return self._stream(request, query)
        folder, _, name = request.path.rpartition("/")
        return self._file(request, name) if folder == "/static" else None

    def _stream(self, request: Request, query: str) -> Response | Stream:
        if self.viewers.is_full:
            wait = (("retry-after", str(_RETRY_SECONDS)),)
            return Response(503, b"too many look already; /state has the same, once\n", headers=wait)
        if request.method == "HEAD":
            return Response(200, b"", STREAM_HEADERS["content-type"])
        return Stream(query)

    def _file(self, request: Request, name: str) -> Response | None:
        asset = self._page.file(name)
        if asset is None:
            return None
        tag = f'"{asset.tag}"'
        kept = "max-age=31536000, immutable" if asset.tag.encode() in request.query else "no-cache"
        headers = (("etag", tag), ("cache-control", kept))
        if request.headers.get("if-none-match") == tag:
            return Response(304, b"", asset.content_type, headers)
        return Response(200, asset.body, asset.content_type, headers)
