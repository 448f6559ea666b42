"""Collectors of others, started for a test where they are installed: Jaeger v2, and rotel from PyPI."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from servers import free_port, wait_until

from limelight.embedded import bound_to_parent


class Started:
    """A collector's process; a context manager, killed at the end.

    Args:
        folder: For its log.
        port: Where something answers HTTP as soon as it is ready.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self._log, self._port = folder / "collector.log", port
        self.grpc_endpoint = f"http://127.0.0.1:{free_port()}"
        self.http_endpoint = f"http://127.0.0.1:{free_port()}"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(10)

    def launch(self, words: Sequence[str]) -> None:
        """Start it and wait until it answers."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(bound_to_parent(list(words)), stdout=log, stderr=log)
        wait_until(self._answers, 30, f"a collector that answers, see {self._log}")

    def _answers(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()[-2_000:]
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self._port}/", timeout=1).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True


class Jaeger(Started):
    """Jaeger v2 with its memory for a store; ``JAEGER_BIN``, or ``jaeger`` on PATH. Skips where there is none."""

    def __init__(self, folder: Path) -> None:
        binary = os.environ.get("JAEGER_BIN") or shutil.which("jaeger")
        if not binary:
            pytest.skip(
                "jaeger was not found; to run this test: put Jaeger v2 on PATH, or name it with JAEGER_BIN"
            )
        self._binary, self._folder, self._query = binary, folder, free_port()
        super().__init__(folder, self._query)

    def __enter__(self) -> Self:
        configuration = self._folder / "jaeger.yaml"
        configuration.write_text(json.dumps(self._configuration()))  # JSON is YAML
        self.launch([self._binary, "--config", str(configuration)])
        return self

    def ask(self, path: str, **parameters: str) -> Any:
        """Ask the stable API, ``/api/v3``; None where it knows of nothing."""
        address = f"http://127.0.0.1:{self._query}/api/v3{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(address, timeout=10) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise AssertionError(f"{address}: {error.read().decode()}") from error

    def search(self, **query: str) -> Any:
        """Traces as the search page finds them. Some versions name parameters in snake case, others in camel case."""
        query = {"num_traces": "20", "search_depth": "20", **query}
        words = {name: name.split("_") for name in query}
        camel = {name: first + "".join(map(str.title, rest)) for name, (first, *rest) in words.items()}
        both = {f"query.{spelt}": value for name, value in query.items() for spelt in {name, camel[name]}}
        return self.ask("/traces", **both)

    def spans(self, trace_id: str) -> list[dict[str, Any]]:
        """The spans of a trace as OTLP's JSON, each with the service that it is of."""
        found = self.ask(f"/traces/{trace_id}") or {}
        return [
            {**span, "service": _value(resource["resource"]["attributes"], "service.name")}
            for resource in found.get("result", {}).get("resourceSpans", [])
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]

    def _configuration(self) -> dict[str, Any]:
        def place(endpoint: str) -> dict[str, str]:
            return {"endpoint": endpoint.removeprefix("http://")}

        query = {
            "http": {"endpoint": f"127.0.0.1:{self._query}"},
            "grpc": {"endpoint": f"127.0.0.1:{free_port()}"},
        }
        return {
            "service": {
                "extensions": ["jaeger_storage", "jaeger_query"],
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["jaeger_storage_exporter"]}},
                "telemetry": {"metrics": {"level": "none"}},
            },
            "extensions": {
                "jaeger_storage": {"backends": {"memory": {"memory": {"max_traces": 1_000}}}},
                "jaeger_query": {"storage": {"traces": "memory"}, **query},
            },
            "receivers": {
                "otlp": {"protocols": {"grpc": place(self.grpc_endpoint), "http": place(self.http_endpoint)}}
            },
            "exporters": {"jaeger_storage_exporter": {"trace_storage": "memory"}},
        }


class Rotel(Started):
    """The collector in the package ``rotel``, which passes on what it gets. Skips where it is not installed.

    Args:
        folder: For its log.
        passes_to: Base URL of the receiver that it sends to, over HTTP.
    """

    def __init__(self, folder: Path, passes_to: str) -> None:
        found = importlib.util.find_spec("rotel")
        if found is None or not found.submodule_search_locations:
            pytest.skip("rotel is not installed; to run this test: pip install --pre rotel")
        self._agent = Path(found.submodule_search_locations[0]) / "rotel-agent"
        self._passes_to = passes_to
        super().__init__(folder, 0)
        self._port = int(self.http_endpoint.rpartition(":")[2])

    def __enter__(self) -> Self:
        self.launch(
            [
                *(str(self._agent), "start", "--exporter", "otlp", "--otlp-exporter-protocol", "http"),
                *("--otlp-exporter-endpoint", self._passes_to),
                *("--otlp-grpc-endpoint", self.grpc_endpoint.removeprefix("http://")),
                *("--otlp-http-endpoint", self.http_endpoint.removeprefix("http://")),
            ]
        )
        return self


def _value(attributes: list[dict[str, Any]], name: str) -> Any:
    return next((pair["value"].get("stringValue") for pair in attributes if pair["key"] == name), None)
