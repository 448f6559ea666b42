"""Listens, accepts and hands connections to uvicorn's protocol: whoever is slow holds up nobody else. Knows uvicorn."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from typing import Final

import uvicorn

from limelight.errors import ConfigurationError

from .app import LARGEST_HEAD_BYTES, LONGEST_SCRAPE_SECONDS, WebApp
from .protocol import IDLE_SECONDS, Connection, Door
from .rules_file import LOOK_SECONDS, RulesFile

HANDSHAKE_SECONDS: Final = 5.0
_GOODBYE_SECONDS: Final = 2.0
_BREATH_SECONDS: Final = 0.1
_log = logging.getLogger(__name__)


class WebServer:
    """Listens from the moment it is made, serves while `run` runs.

    Args:
        app: The ASGI application.
        rules: Say whether connections are TLS.
        host: Address to listen on, a name or an IP address.
        port: TCP port, 0 for any free one.

    Raises:
        ConfigurationError: The address cannot be listened on.
    """

    def __init__(self, app: WebApp, rules: RulesFile, host: str, port: int) -> None:
        self._rules = rules
        self._socket = _listening(host, port)
        self._server = _Server(app, rules)

    @property
    def url(self) -> str:
        """Where it listens, without a trailing slash."""
        host, port = self._socket.getsockname()[:2]
        scheme = "http" if self._rules.current.tls is None else "https"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    def run(self) -> None:
        """Serve until `stop`; in the main thread uvicorn's own SIGINT and SIGTERM end it too."""
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Finish what is under way and have `run` return; safe in signal handlers and from other threads."""
        self._server.should_exit = True

    def close(self) -> None:
        """Listen no longer."""
        self._socket.close()


class _Server(uvicorn.Server):
    """uvicorn's life cycle around an accept loop of our own, for uvicorn has one TLS context for ever."""

    def __init__(self, app: WebApp, rules: RulesFile) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                loop="asyncio",
                lifespan="off",
                ws="none",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                h11_max_incomplete_event_size=LARGEST_HEAD_BYTES,
                timeout_keep_alive=IDLE_SECONDS,
                timeout_graceful_shutdown=int(LONGEST_SCRAPE_SECONDS) + 1,
            )
        )
        self._app, self._rules = app, rules
        self._door = Door()
        self._jobs: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept."""
        self.servers = []
        for listening in sockets or ():
            listening.setblocking(False)
            self._begin(self._accept(listening))
        if self._rules.watched:
            self._begin(self._watch())
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nobody else, and let those finish who are being answered."""
        self._app.end_streams()
        for job in list(self._jobs):
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await super().shutdown(sockets)

    def _begin(self, work: asyncio._CoroutineLike[None]) -> asyncio.Task[None]:
        job: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        return job

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self._rules.refresh)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError as error:  # out of file descriptors, or the client is gone already
                _log.debug("no connection accepted: %s", error)
                await asyncio.sleep(_BREATH_SECONDS)
                continue
            if not self._door.make_room():
                connection.close()
                continue
            job = self._begin(self._welcome(connection, self._rules.current.tls))
            self._door.idle(job, job.cancel)
            job.add_done_callback(self._door.gone)

    async def _welcome(self, connection: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Shake hands. Who does not, or holds a certificate that is none, is hung up on."""
        limits = {"ssl_handshake_timeout": HANDSHAKE_SECONDS, "ssl_shutdown_timeout": _GOODBYE_SECONDS}
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: Connection(self.config, self.server_state, self._door),
                connection,
                ssl=tls,
                **(limits if tls is not None else {}),
            )
        except OSError as error:
            _log.debug("a client was hung up on: %s", error)


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=128)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host} port {port}: {error.strerror or error}. "
            "Is another exporter running there? Choose another address with --host and --port"
        ) from None
