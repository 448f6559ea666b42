from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from exporters import ExporterProcess
from servers import wait_until
from stream_writer import StreamWriter

from limelight_exporter.options import OPTIONS


def run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from limelight.cli.main import main; main()", "exporter", *options],
        capture_output=True, text=True, timeout=30, check=False,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "120", **environment},
    )  # fmt: skip


def only_line(result: subprocess.CompletedProcess[str]) -> str:
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("limelight:")]
    assert "Traceback" not in result.stderr
    return line


def test_help_names_every_flag_and_variable() -> None:
    result = run("--help")
    assert result.returncode == 0
    for option in OPTIONS.values():
        assert option.variable in result.stdout
        assert option.flag in result.stdout


def test_checking_the_configuration_tells_all_of_it_and_no_secret(tmp_path: Path) -> None:
    (tmp_path / "limelight.yml").write_text("buckets: [1, 2.5]")
    result = run(
        "--check-config", "--config-file", str(tmp_path / "limelight.yml"), "--redis-url", "redis://:hush@r"
    )
    assert result.returncode == 0
    assert "1 2.5" in result.stdout
    assert "r:6379/0" in result.stdout
    assert "hush" not in result.stdout + result.stderr


def test_checking_the_configuration_tells_every_fault_of_flags_files_and_variables(tmp_path: Path) -> None:
    (tmp_path / "limelight.yml").write_text("buckets: [2, 1]")
    (tmp_path / "web.yml").write_text("basic_auth_users: {a: plain}\nunknown: 1")
    files = ("--config-file", str(tmp_path / "limelight.yml"), "--web.config.file", str(tmp_path / "web.yml"))
    for check in ("--check-config", "--log-level=info"):  # and so does the start
        result = run(
            check,
            *files,
            "--port",
            "x",
            OTEL_TRACES_EXPORTER="zipkin",
            OTEL_EXPORTER_OTLP_ENDPOINT="http://c",
        )
        assert result.returncode == 2
        told = result.stderr
        for word in (
            "5 settings",
            "--port (LIMELIGHT_PORT)",
            "buckets",
            "basic_auth_users.a",
            "unknown",
            "zipkin",
        ):
            assert word in told, told
        assert "Traceback" not in told


def test_a_password_on_the_command_line_is_warned_of(redis_url: str, tmp_path: Path) -> None:
    with ExporterProcess(redis_url.replace("//", "//:hush@"), tmp_path / "log") as running:
        running.wait_until_up()
    assert "process list" in running.log.read_text()
    assert "hush" not in running.log.read_text()


def test_buckets_limits_and_the_choice_of_queues_reach_the_metrics(redis_url: str, tmp_path: Path) -> None:
    (tmp_path / "limelight.yml").write_text(
        "queues: {exclude: [b*]}\nbuckets: [0.001, 9]\nlimits: {tasks: 1}"
    )
    for queue in ("a", "b"):
        writer = StreamWriter(redis_url, queue)
        writer.finish_tasks(1, "one")
        writer.finish_tasks(1, "two")
    with ExporterProcess(
        redis_url, tmp_path / "log", "--config-file", str(tmp_path / "limelight.yml")
    ) as running:
        scraped = running.wait_until_ready().scrape()
    done = {labels for name, labels in scraped.samples if name == "limelight_tasks_completed_total"}
    assert {dict(labels)["queue"] for labels in done} == {"a"}
    assert {dict(labels)["task"] for labels in done} == {"one", "_other"}
    buckets = {labels for name, labels in scraped.samples if name == "limelight_task_duration_seconds_bucket"}
    assert {dict(labels)["le"] for labels in buckets} == {"0.001", "9.0", "+Inf"}
    assert not any(dict(labels).get("queue") == "b" for _, labels in scraped.samples)


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


def test_redis_that_stays_away_is_told_once_and_is_no_reconnect(tmp_path: Path) -> None:
    with ExporterProcess("redis://127.0.0.1:1/0", tmp_path / "log").wait_until_up() as running:
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 2.5)  # longer than it takes to look for queues again
        assert running.scrape().value("limelight_exporter_redis_reconnects_total") == 0
        assert running.log.read_text().count("trying again until it works") == 1


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
