"""The exporter's web server in a thread of this process, before pages that need no Redis."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import bcrypt
from servers import wait_until

from limelight_exporter.ports import LivePage
from limelight_exporter.tally import OwnTally
from limelight_exporter.web import LiveRoutes, RulesFile, WebApp, WebServer

BODY = b"# HELP up Up.\n# TYPE up gauge\nup 1.0\n# EOF\n"


class Pages:
    """Shows the same always; `gate` holds scrapes up while it is not set."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.body, self.rendered = BODY, 0

    def metrics(self, accept: str, budget_seconds: float) -> tuple[bytes, str]:
        self.rendered += 1
        self.gate.wait(budget_seconds)
        return self.body, "text/plain; version=0.0.4; charset=utf-8"

    def unready(self) -> Sequence[str]:
        return ()

    def facts(self) -> Iterable[tuple[str, str]]:
        return [("Version", "1")]


class Serving:
    """A context manager: serves `pages` by the rules of a file.

    Args:
        rules: The web configuration file, or none.
        pages: What it shows.
        live: Its live page, or none, and how many may watch it.
    """

    def __init__(
        self,
        rules: Path | str = "",
        pages: Pages | None = None,
        live: LivePage | None = None,
        most_viewers: int = 20,
    ) -> None:
        self.pages = pages or Pages()
        self.rules = RulesFile(str(rules))
        self.tally = OwnTally()
        routes = LiveRoutes(live, self.tally, most_viewers) if live else None
        self.app = WebApp(self.pages, self.rules, routes)
        self.server = WebServer(self.app, self.rules, "127.0.0.1", 0)
        self.port = int(self.server.url.rpartition(":")[2])
        self._thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop it, and check that it stopped."""
        self.pages.gate.set()
        self.server.stop()
        self._thread.join(15)
        assert not self._thread.is_alive()
        self.app.close()
        self.server.close()

    def connect(self, seconds: float = 10) -> socket.socket:
        """A TCP connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=seconds)

    def get(
        self,
        path: str = "/metrics",
        *,
        tls: ssl.SSLContext | None = None,
        login: tuple[str, str] | None = None,
        **headers: str,
    ) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers (by lower-case name) of one request on a connection of its own."""
        made: Any = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        if tls is not None:
            made = http.client.HTTPSConnection("localhost", self.port, timeout=10, context=tls)
        if login:
            headers["Authorization"] = basic(*login)
        try:
            made.request(
                "GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()}
            )
            answer = made.getresponse()
            return answer.status, answer.read(), {k.lower(): v for k, v in answer.getheaders()}
        finally:
            made.close()


def basic(name: str, password: str) -> str:
    """An ``Authorization`` header."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def hashed(password: str, rounds: int = 4) -> str:
    """A bcrypt hash, made fast."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds)).decode()


def hung_up_on(connection: socket.socket, seconds: float) -> bool:
    """Whether the other side ends the connection within some time."""
    connection.settimeout(seconds)

    def ended() -> bool:
        try:
            return connection.recv(65_536) == b""
        except (ConnectionError, ssl.SSLError):
            return True

    return bool(wait_until(ended, seconds))
