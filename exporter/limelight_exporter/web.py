"""The web side: a small ASGI application, and the server that runs it. Knows uvicorn; its neighbours do not."""

from __future__ import annotations

import asyncio
import gzip
import html
import socket
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, NamedTuple

import uvicorn
from prometheus_client.exposition import gzip_accepted

from limelight.errors import ConfigurationError

from .ports import Pages

LONGEST_SCRAPE_SECONDS: Final = 5.0
_MARGIN_SECONDS: Final = 0.5
_LEAST_SCRAPE_SECONDS: Final = 0.1
_TEXT: Final = "text/plain; charset=utf-8"
_HTML: Final = "text/html; charset=utf-8"

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


class Response(NamedTuple):
    """Status, body and headers of an answer."""

    status: int
    body: bytes
    content_type: str = _TEXT
    headers: tuple[tuple[str, str], ...] = ()


class WebApp:
    """The ASGI application.

    Serves ``/metrics``, ``/-/healthy`` (the process answers; never depends on Redis), ``/-/ready`` and ``/``.
    """

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._routes: Final[Mapping[str, Callable[[Mapping[str, str]], Response]]] = {
            "/": self._landing,
            "/metrics": self._metrics,
            "/-/healthy": lambda _: Response(200, b"healthy\n"),
            "/-/ready": self._ready,
        }

    async def __call__(self, scope: _Message, _receive: _Receive, send: _Send) -> None:
        """Answer one request, as the ASGI specification 3.0 says."""
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        response = await self._answer(scope["method"], scope["path"], headers)
        told = [
            ("content-type", response.content_type),
            ("content-length", str(len(response.body))),
            ("x-content-type-options", "nosniff"),
            *response.headers,
        ]
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in told]
        await send({"type": "http.response.start", "status": response.status, "headers": raw})
        body = b"" if scope["method"] == "HEAD" else response.body
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, method: str, path: str, headers: Mapping[str, str]) -> Response:
        route = self._routes.get(path)
        if route is None:
            return Response(404, b"not found; there are / /metrics /-/healthy /-/ready\n")
        if method not in {"GET", "HEAD"}:
            return Response(405, b"only GET and HEAD\n", headers=(("allow", "GET, HEAD"),))
        return await asyncio.to_thread(route, headers)

    def _metrics(self, headers: Mapping[str, str]) -> Response:
        body, content_type = self._pages.metrics(headers.get("accept", ""), scrape_seconds(headers))
        if not gzip_accepted(headers.get("accept-encoding", "")):
            return Response(200, body, content_type, (("vary", "accept, accept-encoding"),))
        vary = (("vary", "accept, accept-encoding"), ("content-encoding", "gzip"))
        return Response(200, gzip.compress(body, compresslevel=5), content_type, vary)

    def _ready(self, _: Mapping[str, str]) -> Response:
        reasons = self._pages.unready()
        if reasons:
            return Response(503, ("not ready\n" + "\n".join(reasons) + "\n").encode())
        return Response(200, b"ready\n")

    def _landing(self, _: Mapping[str, str]) -> Response:
        rows = "".join(
            f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>"
            for name, value in self._pages.facts()
        )
        return Response(200, _LANDING.replace("{rows}", rows).encode(), _HTML)


def scrape_seconds(headers: Mapping[str, str]) -> float:
    """How long a scrape may take: half a second less than Prometheus waits, 5 s at most."""
    try:
        waits = float(headers.get("x-prometheus-scrape-timeout-seconds", "inf"))
    except ValueError:
        return LONGEST_SCRAPE_SECONDS
    if waits != waits:  # noqa: PLR0124 - NaN
        return LONGEST_SCRAPE_SECONDS
    return max(_LEAST_SCRAPE_SECONDS, min(waits - _MARGIN_SECONDS, LONGEST_SCRAPE_SECONDS))


class WebServer:
    """Listens from the moment it is made, serves while `run` runs.

    Args:
        app: The ASGI application.
        host: Address to listen on, a name or an IP address.
        port: TCP port, 0 for any free one.

    Raises:
        ConfigurationError: The address cannot be listened on.
    """

    def __init__(self, app: WebApp, host: str, port: int) -> None:
        self._socket = _listening(host, port)
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http="httptools",
                loop="asyncio",
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=2,
            )
        )

    @property
    def url(self) -> str:
        """Where it listens, without a trailing slash."""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def run(self) -> None:
        """Serve until `stop`; in the main thread uvicorn's own SIGINT and SIGTERM end it too."""
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Finish what is under way and have `run` return; safe in signal handlers and from other threads."""
        self._server.should_exit = True

    def close(self) -> None:
        """Listen no longer."""
        self._socket.close()


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=128)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host} port {port}: {error.strerror or error}. "
            "Is another exporter running there? Choose another address with --host and --port"
        ) from None


_LANDING: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Limelight exporter</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.5rem }
dt { opacity: .7 } dd { margin: 0; overflow-wrap: anywhere } nav a { margin-right: 1.5rem }
</style></head><body>
<h1>Limelight exporter</h1>
<p>Turns the events of Limelight task queues into Prometheus metrics and OpenTelemetry traces.</p>
<nav><a href="/metrics">Metrics</a><a href="/-/healthy">Health</a><a href="/-/ready">Readiness</a></nav>
<dl>{rows}</dl>
</body></html>
"""
