"""The compose file: it keeps the specification, it is hardened, and what it says to run works together."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_file import ComposeFile
from dockerfile import ROOT, Image
from missing import needed
from otlp import OtlpReceiver
from servers import free_port, wait_until

from limelight.embedded import bound_to_parent

pytestmark = pytest.mark.timeout(300)  # building the image may wait for a registry

FILE = ROOT / "deploy/compose/compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PORTS = {"redis": 6379, "exporter": 9898, "prometheus": 9090, "alertmanager": 9093}
PACKAGES = {
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "redis-server": "redis-server",
}


def test_it_keeps_the_compose_specification() -> None:
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    done = subprocess.run(words, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_mounted_file_is_there() -> None:
    for name, service in SERVICES.items():
        for mount in service.get("volumes", []):
            source, *_ = mount.split(":")
            if source.startswith("."):
                assert (FILE.parent / source).exists(), f"{name}: {source}"
            else:
                assert source in COMPOSE["volumes"], f"{name}: {source}"


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert all(mount.endswith(":ro") for mount in service.get("volumes", []) if mount.startswith("."))
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), (
        "reachable from everywhere"
    )


def test_only_those_who_need_redis_reach_it() -> None:
    assert COMPOSE["networks"]["tasks"]["internal"] is True
    assert {name for name, service in SERVICES.items() if "tasks" in service["networks"]} == {
        "redis", "consumer", "traffic", "exporter"
    }  # fmt: skip
    assert not SERVICES["redis"].get("ports")


def test_running_tasks_are_given_the_time_to_end() -> None:
    """Docker kills after the grace period; tasks that still run then would be lost, not handed back."""
    assert SERVICES["consumer"]["stop_grace_period"] == "40s"


@dataclass(frozen=True)
class Stack:
    """The stack, running: its URLs by service, and what is asked of them."""

    urls: dict[str, str]
    file: ComposeFile
    folder: Path
    jaeger: OtlpReceiver

    def prometheus(self, expression: str) -> list[dict[str, Any]]:
        query = urllib.parse.urlencode({"query": expression})
        result: list[dict[str, Any]] = json.loads(self.get("prometheus", f"/api/v1/query?{query}"))["data"][
            "result"
        ]
        return result

    def get(self, service: str, path: str) -> bytes:
        with urllib.request.urlopen(self.urls[service] + path, timeout=10) as reply:
            body: bytes = reply.read()
            return body

    def answers(self, service: str, path: str) -> bool:
        try:
            return bool(self.get(service, path))
        except OSError:
            return False

    def log(self, service: str) -> str:
        return (self.folder / f"{service}.log").read_text(encoding="utf-8")[-2_000:]


class Running:
    """Starts the services of the file as processes; `close` ends them in the order of their dependence."""

    def __init__(self, file: ComposeFile, folder: Path, ports: dict[str, int], image: Image) -> None:
        self._file, self._folder, self._ports, self._image = file, folder, ports, image
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, service: str) -> None:
        with (self._folder / f"{service}.log").open("wb") as log:
            self._processes[service] = subprocess.Popen(
                bound_to_parent(self._words(service)), cwd=self._folder, env=self._environment(service),
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def stop(self) -> None:
        for process in reversed(self._processes.values()):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _words(self, service: str) -> list[str]:
        words, port = self._file.command(service), self._ports.get(service, 0)
        match service:
            case "redis":
                return [_program("redis-server"), *words[1:], "--port", str(port), "--bind", "127.0.0.1"]
            case "prometheus":
                return [_program("prometheus"), *words, f"--web.listen-address=127.0.0.1:{port}"]
            case "alertmanager":
                return [_program("prometheus-alertmanager"), *words, f"--web.listen-address=127.0.0.1:{port}"]
        if entrypoint := self._file.entrypoint(service):
            program = shutil.which(entrypoint[0], path=self._image.env()["PATH"]) or entrypoint[0]
            return [program, *entrypoint[1:], *words]
        return self._image.command(*words)

    def _environment(self, service: str) -> dict[str, str]:
        if self._file.services[service]["image"].startswith("limelight:"):
            listen = {"LIMELIGHT_PORT": str(self._ports.get(service, 0)), "LIMELIGHT_HOST": "127.0.0.1"}
            return self._image.env(**self._file.environment(service), **listen)
        return {**os.environ, **self._file.environment(service)}


def _program(name: str) -> str:
    return needed(shutil.which(name), name, f"apt install {PACKAGES[name]}")


@pytest.fixture(scope="module")
def stack(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything but Grafana, with a receiver of our own in Jaeger's place, scraped every second."""
    folder = tmp_path_factory.mktemp("stack")
    ports = {service: free_port() for service in PORTS}
    addresses = {f"{service}:{port}": f"127.0.0.1:{ports[service]}" for service, port in PORTS.items()}
    with ExitStack() as ending:
        jaeger = ending.enter_context(OtlpReceiver())
        addresses["jaeger:4318"] = jaeger.http_endpoint.removeprefix("http://")
        file = ComposeFile(FILE, folder, {**addresses, "15s": "1s"})
        running = Running(file, folder, ports, image)
        ending.callback(running.stop)
        urls = {service: f"http://127.0.0.1:{port}" for service, port in ports.items()}
        stack = Stack(urls, file, folder, jaeger)
        for service in ("redis", "alertmanager", "exporter", "consumer", "traffic", "prometheus"):
            running.start(service)
        for service, path in (
            ("exporter", "/-/ready"),
            ("prometheus", "/-/ready"),
            ("alertmanager", "/-/ready"),
        ):
            wait_until(
                lambda at=service, on=path: stack.answers(at, on),
                30,
                f"{service} ready: {stack.log(service)}",
            )
        yield stack


def test_tasks_of_the_stack_are_seen_by_its_prometheus(stack: Stack) -> None:
    done = 'sum by (queue) (limelight_tasks_completed_total{task="add", outcome="success"}) > 3'
    (seen,) = wait_until(lambda: stack.prometheus(done), 40, f"completions; {stack.log('consumer')}")
    assert seen["metric"]["queue"] == "examples"
    assert {one["metric"]["job"] for one in stack.prometheus("up == 1")} == {"limelight"}
    assert stack.prometheus("limelight_redis_up")[0]["value"][1] == "1"


def test_its_exporter_sends_a_span_for_what_ran(stack: Stack) -> None:
    names = {span.name for span in stack.jaeger.wait_for_spans(4, 20)}
    assert any("add" in name for name in names), names


def test_its_prometheus_has_the_rules_and_knows_its_alertmanager(stack: Stack) -> None:
    expected = {path.name for path in (ROOT / "deploy/prometheus").glob("*.rules.yaml")}
    groups = json.loads(stack.get("prometheus", "/api/v1/rules"))["data"]["groups"]
    assert {Path(group["file"]).name for group in groups} == expected
    assert not [rule for group in groups for rule in group["rules"] if rule["health"] == "err"]
    managers = wait_until(
        lambda: json.loads(stack.get("prometheus", "/api/v1/alertmanagers"))["data"]["activeAlertmanagers"],
        20,
    )
    assert managers[0]["url"].startswith(stack.urls["alertmanager"])


def test_its_consumer_gives_a_sign_of_life_that_its_health_check_believes(stack: Stack, image: Image) -> None:
    _, *check = [stack.file.here("consumer", word) for word in SERVICES["consumer"]["healthcheck"]["test"]]
    check[0] = shutil.which(check[0], path=image.env()["PATH"]) or check[0]
    wait_until(lambda: subprocess.run(check, capture_output=True, check=False).returncode == 0, 20)


def test_its_redis_keeps_what_it_is_told_and_evicts_nothing(stack: Stack) -> None:
    port = stack.urls["redis"].rpartition(":")[2]
    words = [_program("redis-server").replace("redis-server", "redis-cli"), "-p", port, "CONFIG", "GET", "*"]
    said = subprocess.run(words, text=True, capture_output=True, check=True).stdout.splitlines()
    settings = dict(zip(said[::2], said[1::2], strict=True))
    assert settings["appendonly"] == "yes"
    assert settings["maxmemory-policy"] == "noeviction"
    assert settings["maxmemory"] != "0"
