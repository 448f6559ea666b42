"""The ASGI application: which request gets which answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qs

from limelight_exporter.ports import Pages

from .answer import Request, Response
from .desk import ScrapeDesk
from .landing import CONTENT_TYPE, POLICY, landing
from .live_routes import STREAM_HEADERS, LiveRoutes, Stream
from .login import Login, TooManyAttempts
from .rate import TokenBucket
from .rules import Rules
from .rules_file import RulesFile
from .selection import selected

LONGEST_SCRAPE_SECONDS: Final = 5.0
LARGEST_HEAD_BYTES: Final = 16_384
_MARGIN_SECONDS: Final = 0.5
_LEAST_SCRAPE_SECONDS: Final = 0.1
_MOST_NAMES: Final = 1_000
_PIECE_BYTES: Final = 65_536
_CLOSE: Final = ("connection", "close")

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


class WebApp:
    """The ASGI application.

    Serves ``/metrics`` and ``/`` to whom the rules admit, ``/-/healthy`` (the process answers; never depends on Redis)
    and ``/-/ready`` to everybody.

    Args:
        pages: What there is to show.
        rules: Who may see it.
        live: The live page; without one ``/`` is a plain page of links.
    """

    def __init__(self, pages: Pages, rules: RulesFile | None = None, live: LiveRoutes | None = None) -> None:
        self._pages = pages
        self._rules = rules or RulesFile()
        self._desk = ScrapeDesk(pages)
        self._login = Login()
        self._bucket = TokenBucket()
        self._probes: Final = {"/-/healthy": self._healthy, "/-/ready": self._ready}
        self._live = live
        self._routes: Final = {"/": self._landing, "/metrics": self._metrics}
        if live is not None:
            del self._routes["/"]

    def close(self) -> None:
        """End its threads."""
        if self._live is not None:
            self._live.viewers.close()
        self._desk.close()
        self._login.close()

    def end_streams(self) -> None:
        """Have those answers end that go on; in the thread of the event loop."""
        if self._live is not None:
            self._live.viewers.end()

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer one request, as the ASGI specification 3.0 says."""
        if scope["type"] != "http":
            return
        rules = self._rules.current
        request = Request.of(scope)
        response = await self._answer(request, rules)
        if isinstance(response, Stream):
            await self._stream(response, rules, scope.get("state") or {}, receive, send)
            return
        told = {
            "content-type": response.content_type,
            "content-length": str(len(response.body)),
            "x-content-type-options": "nosniff",
            "cache-control": "no-store",
            **dict(response.headers),
            **dict(rules.headers),
        }
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in told.items()]
        await send({"type": "http.response.start", "status": response.status, "headers": raw})
        body = memoryview(b"" if request.method == "HEAD" else response.body)
        # In pieces, so that who reads slowly waits here with a body that is shared, not with a copy in a buffer.
        for at in range(0, len(body), _PIECE_BYTES):
            await send(
                {"type": "http.response.body", "body": bytes(body[at : at + _PIECE_BYTES]), "more_body": True}
            )
        await send({"type": "http.response.body", "body": b""})

    async def _stream(
        self, stream: Stream, rules: Rules, connection: Mapping[str, Any], receive: _Receive, send: _Send
    ) -> None:
        """Answer for as long as somebody listens; how the connection does without a time limit it has told us."""
        assert self._live is not None  # noqa: S101 - the stream is its
        connection.get("unlimited", _nothing)()
        headers = STREAM_HEADERS | dict(rules.headers)
        await self._live.viewers.stream(
            stream.query, headers, receive, send, connection.get("hang_up", _nothing)
        )

    async def _answer(self, request: Request, rules: Rules) -> Response | Stream:
        if request.size > LARGEST_HEAD_BYTES:
            return Response(431, b"the request is too long\n", headers=(_CLOSE,))
        if request.has_body:
            return Response(413, b"no request here has a body\n", headers=(_CLOSE,))
        if probe := self._probes.get(request.path):
            return _not_allowed(request) or probe()
        if refusal := await self._refusal(request, rules):
            return refusal
        route = self._routes.get(request.path)
        if route is None and self._live is not None:
            answered = _not_allowed(request) or await self._live.answer(request)
            if answered is not None:
                return answered
        if route is None:
            return Response(404, b"not found; there are / /metrics /-/healthy /-/ready\n")
        return _not_allowed(request) or await route(request)

    async def _refusal(self, request: Request, rules: Rules) -> Response | None:
        """Why somebody is not served; None if they are."""
        if not self._bucket.admits(rules.interval_seconds, rules.burst, time.monotonic()):
            return Response(429, b"too many requests\n", headers=(("retry-after", "1"),))
        if rules.needs_client and request.client_names is None:
            return Response(403, b"a client certificate is needed\n")
        if rules.client_names and rules.client_names.isdisjoint(request.client_names or ()):
            return Response(403, b"the client certificate holds none of the names that may\n")
        if not rules.users:
            return None
        try:
            admitted = await self._login.admits(request.headers.get("authorization", ""), rules.users)
        except TooManyAttempts:
            return Response(503, b"too many passwords to check\n", headers=(("retry-after", "1"),))
        challenge = ("www-authenticate", 'Basic realm="limelight", charset="UTF-8"')
        return None if admitted else Response(401, b"name and password, please\n", headers=(challenge,))

    async def _metrics(self, request: Request) -> Response:
        zipped = accepts_gzip(request.headers.get("accept-encoding", ""))
        names = _names(request.query)
        if names is None:
            return Response(400, b"name[] is given too often, or the query is none\n")
        page = await self._desk.page(
            request.headers.get("accept", ""), scrape_seconds(request.headers), zipped=zipped and not names
        )
        if names:
            body = await asyncio.to_thread(selected, page.body, names)
            return Response(200, body, page.content_type)
        vary = ("vary", "accept, accept-encoding")
        if not zipped:
            return Response(200, page.body, page.content_type, (vary,))
        body = await asyncio.to_thread(lambda: page.zipped)
        return Response(200, body, page.content_type, (vary, ("content-encoding", "gzip")))

    async def _landing(self, _: Request) -> Response:
        policy = (("content-security-policy", POLICY),)
        return Response(200, landing(self._pages.facts()), CONTENT_TYPE, policy)

    def _healthy(self) -> Response:
        return Response(200, b"healthy\n")

    def _ready(self) -> Response:
        reasons = self._pages.unready()
        if reasons:
            return Response(503, ("not ready\n" + "\n".join(reasons) + "\n").encode())
        return Response(200, b"ready\n")


def scrape_seconds(headers: Mapping[str, str]) -> float:
    """How long a scrape may take: half a second less than Prometheus waits, 5 s at most."""
    try:
        waits = float(headers.get("x-prometheus-scrape-timeout-seconds", "inf"))
    except ValueError:
        return LONGEST_SCRAPE_SECONDS
    if waits != waits:  # noqa: PLR0124 - NaN
        return LONGEST_SCRAPE_SECONDS
    return max(_LEAST_SCRAPE_SECONDS, min(waits - _MARGIN_SECONDS, LONGEST_SCRAPE_SECONDS))


def accepts_gzip(header: str) -> bool:
    """Whether an ``Accept-Encoding`` header takes gzip, by name or as anything, with a weight that is not 0."""
    weights = {}
    for part in header.lower().split(","):
        coding, _, parameter = part.partition(";")
        weights[coding.strip()] = parameter.strip().removeprefix("q=").strip() or "1"
    try:
        return float(weights.get("gzip", weights.get("*", "0"))) > 0
    except ValueError:
        return False


def _nothing() -> None:
    """Stands in where there is no connection to tell."""


def _names(query: bytes) -> list[bytes] | None:
    """What ``name[]`` asks for; None for a query that is none."""
    try:
        asked = parse_qs(query.decode("ascii"), max_num_fields=_MOST_NAMES).get("name[]", [])
    except ValueError:
        return None
    return [name.encode("utf-8", "replace") for name in asked]


def _not_allowed(request: Request) -> Response | None:
    if request.method in {"GET", "HEAD"}:
        return None
    return Response(405, b"only GET and HEAD\n", headers=(("allow", "GET, HEAD"),))
