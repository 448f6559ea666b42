"""Whatever is wrong with what a user gives the command: one clear line, the way out, a sensible exit code."""

from pathlib import Path

import pytest
import redis
from processes import Limelight, run_limelight
from servers import free_port, wait_until
from starters import OwnRedis

QUEUE = "from limelight import RedisQueue\nqueue = RedisQueue('mail')\nnumber = 7\n"


def project(folder: Path, text: str = QUEUE, name: str = "tasks.py") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("target", "text", "expected"),
    [
        (
            "nowhere.tasks:queue",
            QUEUE,
            ["nowhere.tasks:queue could not be imported", "No module named", "--path DIR"],
        ),
        ("tasks:quue", QUEUE, ["has no 'quue'", "Did you mean tasks:queue?"]),
        ("tasks:number", QUEUE, ["tasks:number is a int, not a RedisQueue", "Did you mean tasks:queue?"]),
        ("tasks", QUEUE, ["'tasks' names no queue", "module:name"]),
        ("tasks:queue=often", QUEUE, ["weight must be a whole number, as in tasks:queue=3"]),
        ("tasks:queue=0", QUEUE, ["the weight of 'mail' must be 1 or more, not 0"]),
        ("tasks:queue", "import not_installed_here", ["needs 'not_installed_here'"]),
        ("tasks:queue", "x = 1\n1 / 0", ["ZeroDivisionError: division by zero", "tasks.py:2"]),
        ("tasks:queue", "from limelight import RedisQueue\nqueue = RedisQueue('a b')", ["queue name 'a b'"]),
        (
            "tasks:queue",
            "from limelight import RedisQueue\nqueue = RedisQueue('a', url='htp://u:geheim@h')",
            ["cannot use the Redis URL 'htp://u:***@h'", "redis://localhost:6379/0"],
        ),
    ],
)
def test_a_queue_that_cannot_be_had_is_one_message_and_exit_2(
    tmp_path: Path, target: str, text: str, expected: list[str]
) -> None:
    done = run_limelight("consumer", target, cwd=project(tmp_path, text))
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("limelight: ")
    assert all(part in done.stderr for part in expected), done.stderr
    assert "Traceback" not in done.stderr
    assert "geheim" not in done.stderr
    assert len(done.stderr.splitlines()) <= 3


def test_both_forms_of_a_target_are_understood(tmp_path: Path, redis_url: str) -> None:
    package = tmp_path / "app"
    package.mkdir()
    project(package)
    for target in ("app.tasks:queue", "app.tasks.queue"):
        with Limelight("consumer", target, cwd=tmp_path, env={"LIMELIGHT_REDIS_URL": redis_url}) as process:
            with redis.Redis.from_url(redis_url) as client:
                wait_until(lambda: client.hlen("limelight:{mail}:consumers"))
            code, output = process.stop()
        assert code == 0, output
        assert "consuming queue mail" in output


def test_a_consumer_waits_for_a_redis_that_is_down_and_says_so_once(tmp_path: Path) -> None:
    url = f"redis://:geheim@127.0.0.1:{free_port()}/0"
    with Limelight(
        "consumer", "tasks:queue", cwd=project(tmp_path), env={"LIMELIGHT_REDIS_URL": url}
    ) as process:
        lines: list[str] = []
        assert process.process.stdout is not None
        while not any("connection refused" in line for line in lines):
            lines.append(process.process.stdout.readline())
        code, output = process.stop()
    assert code == 0
    assert (
        sum("cannot reach Redis" in line and "Tasks wait" in line for line in [*lines, *output.splitlines()])
        == 1
    )
    assert "geheim" not in "".join(lines) + output


@pytest.mark.parametrize("password", ["", "falsch"])
def test_a_redis_that_wants_a_password_is_one_line_and_exit_3(
    tmp_path: Path, own_redis: OwnRedis, password: str
) -> None:
    server = own_redis()
    with redis.Redis(port=server.port) as client:
        client.config_set("requirepass", "geheim")
    url = f"redis://{f':{password}@' if password else ''}127.0.0.1:{server.port}/0"
    done = run_limelight("consumer", "tasks:queue", cwd=project(tmp_path), env={"LIMELIGHT_REDIS_URL": url})
    assert done.returncode == 3, done.stderr
    assert "password" in done.stderr
    assert "Traceback" not in done.stderr
    assert not password or password not in done.stderr


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["consumer"], "Missing argument"),
        (["consumer", "a:b", "--workers", "0"], "0 is not in the range"),
        (["consumer", "a:b", "--lease", "0.1"], "--lease"),
        (["consumr"], "No such command 'consumr'"),
    ],
)
def test_wrong_usage_is_exit_2_and_names_the_thing(args: list[str], expected: str) -> None:
    done = run_limelight(*args)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [[], ["consumer"], ["exporter"], ["demo"]])
def test_help_is_a_page_that_fits_a_terminal(command: list[str]) -> None:
    done = run_limelight(*command, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage: limelight" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert "\\b" not in done.stdout
