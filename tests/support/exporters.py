"""Exporters for tests: in this process, or as the command in one of their own, and what they serve."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prometheus_client.openmetrics.parser import text_string_to_metric_families
from servers import free_port, wait_until

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def get(url: str, **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
    """Status, body and headers of an answer, whatever the status."""
    request = urllib.request.Request(
        url, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.read(), dict(reply.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), dict(error.headers)


class Scraped:
    """One scrape, as OpenMetrics, parsed."""

    def __init__(self, url: str) -> None:
        status, body, _ = get(f"{url}/metrics", Accept=OPENMETRICS)
        assert status == 200, body
        self.samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples
        }

    def value(self, name: str, **labels: Any) -> float | None:
        """The sample with exactly these labels, None if there is none."""
        return self.samples.get((name, frozenset(labels.items())))

    def counters(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Everything that must never fall and that all exporters of a group agree on."""
        return {
            key: value
            for key, value in self.samples.items()
            if key[0].endswith(("_total", "_bucket", "_count", "_sum"))
            and key[0].startswith(("limelight_task", "limelight_events", "limelight_periodic"))
        }


class ExporterProcess:
    """``limelight exporter`` in a process of its own; a context manager, killed at the end.

    Args:
        redis_url: Where Redis is.
        log: Takes its stderr.
        options: More of the command line.
        environment: On top of this process'.
    """

    def __init__(
        self, redis_url: str, log: Path, *options: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        words = ["exporter", "--redis-url", redis_url, "--port", str(self.port), *options]
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from limelight.cli.main import main; main()", *words],
                stderr=stderr,
                env={**os.environ, "NO_COLOR": "1", **(environment or {})},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def wait_until_ready(self, seconds: float = 20) -> Self:
        """Return when ``/-/ready`` says yes."""
        wait_until(lambda: self.answers("/-/ready"), seconds, f"exporter ready: {self.log.read_text()}")
        return self

    def wait_until_up(self, seconds: float = 20) -> Self:
        """Return when ``/-/healthy`` says yes."""
        wait_until(lambda: self.answers("/-/healthy"), seconds, f"exporter up: {self.log.read_text()}")
        return self

    def answers(self, path: str) -> bool:
        """Whether the path is answered with 200."""
        assert self.process.poll() is None, f"the exporter ended: {self.log.read_text()}"
        try:
            return get(self.url + path)[0] == 200
        except OSError:
            return False

    def scrape(self) -> Scraped:
        """Scrape it."""
        return Scraped(self.url)

    def terminate(self) -> int:
        """Tell it to stop; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)

    def kill(self) -> None:
        """kill -9, if it still runs."""
        self.process.kill()
        self.process.wait(15)
