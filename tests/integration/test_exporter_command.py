from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from exporters import ExporterProcess
from servers import wait_until
from stream_writer import StreamWriter


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from limelight.cli.main import main; main()", "exporter", *options],
        capture_output=True, text=True, timeout=30, check=False, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip


def only_line(result: subprocess.CompletedProcess[str]) -> str:
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("limelight:")]
    assert "Traceback" not in result.stderr
    return line


def test_help_names_every_variable() -> None:
    result = run("--help")
    assert result.returncode == 0
    for name in (
        "REDIS_URL",
        "REDIS_PASSWORD_FILE",
        "HOST",
        "PORT",
        "GROUP",
        "OTLP_ENDPOINT",
        "STATE_DIR",
        "LOG_LEVEL",
    ):
        assert f"LIMELIGHT_{name}" in result.stdout


@pytest.mark.parametrize(
    "options", [("--redis-url", "http://x:hush@y"), ("--port", "x"), ("--log-level", "loud")]
)
def test_a_wrong_setting_is_one_line_and_exit_code_2(options: tuple[str, str]) -> None:
    result = run(*options)
    assert result.returncode == 2
    assert "hush" not in only_line(result)


def test_a_port_in_use_is_one_line_that_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("--port", str(taken.getsockname()[1]))
    assert result.returncode == 2
    assert "--port" in only_line(result)


def test_a_redis_that_wants_a_password_is_named_in_one_log_line(
    own_redis: Callable[..., Any], tmp_path: Path
) -> None:
    server = own_redis()
    StreamWriter(server.url).client.config_set("requirepass", "hush")
    with ExporterProcess(server.url, tmp_path / "log") as running:
        running.wait_until_up()
        wait_until(lambda: "wants a password" in running.log.read_text())
        assert running.scrape().value("limelight_redis_up", redis=f"127.0.0.1:{server.port}/0") == 0
        assert running.terminate() == 0
    assert running.log.read_text().count("wants a password") == 1


def test_a_wrong_password_is_named_and_never_shown(own_redis: Callable[..., Any], tmp_path: Path) -> None:
    server = own_redis()
    StreamWriter(server.url).client.config_set("requirepass", "hush")
    wrong = f"redis://:guess@127.0.0.1:{server.port}/0"
    with ExporterProcess(wrong, tmp_path / "log") as running:
        running.wait_until_up()
        wait_until(lambda: "password" in running.log.read_text())
    assert "guess" not in running.log.read_text()


def test_a_password_file_opens_redis(own_redis: Callable[..., Any], tmp_path: Path) -> None:
    server = own_redis()
    StreamWriter(server.url).client.config_set("requirepass", "hush")
    (tmp_path / "password").write_text("hush\n")
    variables = {"LIMELIGHT_REDIS_PASSWORD_FILE": str(tmp_path / "password")}
    with ExporterProcess(server.url, tmp_path / "log", environment=variables) as running:
        running.wait_until_ready()
