"""Real servers for tests, and how to wait for them."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from missing import needed

from limelight.embedded import bound_to_parent, free_port

__all__ = ["Prometheus", "free_port", "wait_until"]

POLL_SECONDS: Final = 0.02
STOP_SECONDS: Final = 10.0


def wait_until(predicate: Callable[[], Any], seconds: float = 10.0, message: str = "") -> Any:
    """Poll until the predicate is true, and return what it said.

    Args:
        predicate: Asked every 20 ms; what it raises is not caught.
        seconds: How long to go on.
        message: What was waited for, for the failure.

    Raises:
        AssertionError: It never was true; the last answer is in the message.
    """
    deadline = time.monotonic() + seconds
    while not (answer := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{message or 'condition'}: not within {seconds} s, last answer {answer!r}")
        time.sleep(POLL_SECONDS)
    return answer


class Prometheus:
    """The ``prometheus`` on PATH, on a free port, scraping every second, with exemplars kept.

    A context manager; ``start`` returns when it is ready to answer.

    Args:
        folder: An empty directory for its configuration, data and log.
        targets: What it scrapes, as ``host:port``.
        rules: Rule files to load.
        metrics_path: Where targets serve their metrics.
        jobs: More of ``scrape_configs``, as Prometheus' documentation has them.
        configuration: A whole configuration in place of what these say.
    """

    def __init__(
        self,
        folder: Path,
        targets: Sequence[str],
        *,
        rules: Sequence[Path] = (),
        metrics_path: str = "/metrics",
        jobs: Sequence[Mapping[str, Any]] = (),
        configuration: Mapping[str, Any] | None = None,
    ) -> None:
        self._binary = needed(shutil.which("prometheus"), "prometheus", "apt install prometheus")
        self._folder = folder
        self._log = folder / "prometheus.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        scrape = {
            "job_name": "limelight",
            "metrics_path": metrics_path,
            "static_configs": [{"targets": list(targets)}],
        }
        self._configuration = configuration or {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "scrape_configs": [scrape, *jobs],
            "rule_files": [str(path) for path in rules],
        }

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where its API and pages are."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, on another port if somebody was faster, and wait until it is ready."""
        for _ in range(3):
            self._launch()
            wait_until(lambda: self._ended() or self._ready(), 30, f"prometheus ready, see {self._log}")
            if not self._ended():
                return
        raise AssertionError(f"prometheus did not start: {self._log.read_text()[-2_000:]}")

    def stop(self) -> None:
        """End it in good order, or kill it if it will not."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def query(self, expr: str, time: float | None = None) -> list[dict[str, Any]]:
        """Evaluate an expression at a Unix time (now if None); returns the API's ``result``.

        A vector's items are ``{"metric": {…}, "value": [time, "text"]}``, a range's have ``values`` instead.
        """
        at = {} if time is None else {"time": f"{time:.3f}"}
        result: list[dict[str, Any]] = self.get("/api/v1/query", query=expr, **at)["result"]
        return result

    def value(self, expr: str, time: float | None = None) -> float | None:
        """Return the only sample's value, or None if the result is empty."""
        result = self.query(expr, time)
        assert len(result) <= 1, f"{expr} has {len(result)} series"
        return float(result[0]["value"][1]) if result else None

    def exemplars(self, expr: str, start: float, end: float) -> list[dict[str, Any]]:
        """Return ``{"seriesLabels": {…}, "exemplars": [{"labels", "value", "timestamp"}]}`` per series."""
        found: list[dict[str, Any]] = self.get(
            "/api/v1/query_exemplars", query=expr, start=f"{start:.3f}", end=f"{end:.3f}"
        )
        return found

    def targets(self) -> list[dict[str, Any]]:
        """Return the active targets with their ``health`` and ``lastError``."""
        active: list[dict[str, Any]] = self.get("/api/v1/targets", state="active")["activeTargets"]
        return active

    def get(self, path: str, **parameters: str) -> Any:
        """Ask the HTTP API; returns ``data``.

        Raises:
            AssertionError: It refused the question; its reason is in the message.
        """
        address = f"{self.url}{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(address, timeout=10) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{address}: {error.read().decode()}") from error

    def _launch(self) -> None:
        self.port = free_port()
        configuration = self._folder / "prometheus.yml"
        configuration.write_text(json.dumps(self._configuration))  # JSON is YAML
        words = [
            self._binary,
            f"--config.file={configuration}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--enable-feature=exemplar-storage",
        ]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                bound_to_parent(words),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False
