"""`limelight consumer`: signals, logs, and what it does when it cannot go on."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from processes import Limelight
from running import is_accounted_for, statuses, told
from servers import free_port, wait_until

from limelight import RedisQueue, Task
from limelight.task import TaskOptions

APP = """
import pathlib
import threading
import time

from running import timed

from limelight import RedisQueue, crontab

queue = RedisQueue("command")


@queue.task()
def version():
    return 1


@queue.task()
def slow(seconds):
    time.sleep(seconds)


@queue.task()
def fail():
    raise ValueError("no luck")


@queue.periodic_task(crontab(minute="*"))
def tick():
    pass


timed(queue, lambda: threading.Event().wait(60), 0.05)
"""


def call(name: str, *args: Any) -> Task:
    return Task(options=TaskOptions(name=name), args=args)


@pytest.fixture
def queue(redis_url: str) -> RedisQueue:
    return RedisQueue("command", url=redis_url)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def consumer(queue: RedisQueue, folder: Path, *more: str) -> Limelight:
    options = queue.storage.address.client().connection_pool.connection_kwargs
    url = f"redis://{options['host']}:{options['port']}/0"
    support = str(Path(__file__).parents[1] / "support")
    return Limelight(
        *("consumer", "app:queue", *more), cwd=folder, env={"LIMELIGHT_REDIS_URL": url, "PYTHONPATH": support}
    )


@pytest.mark.parametrize("kind", ["thread", "process", "async"])
def test_sighup_ends_what_runs_and_starts_anew_with_the_application_as_it_is_then(
    queue: RedisQueue, folder: Path, kind: str
) -> None:
    with consumer(queue, folder, "-k", kind, "-w", "2") as process:
        assert queue.enqueue(call("version")).get(blocking=True, timeout=20) == 1
        slow = queue.enqueue(call("slow", 0.7))
        wait_until(lambda: told(queue, id=slow.id, status="started"))
        (folder / "app.py").write_text(APP.replace("return 1", "return 2"))
        process.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(told(queue, status="consumer-started")) == 2, 20)
        assert queue.enqueue(call("version")).get(blocking=True, timeout=20) == 2
        code, output = process.stop()
    assert code == 0, output
    assert statuses(queue, id=slow.id) == ["enqueued", "started", "finished"]
    first, second = told(queue, status="consumer-started")
    assert first["pid"] == second["pid"] == process.process.pid
    assert first["consumer"] != second["consumer"]
    assert len(told(queue, status="consumer-stopped")) == 2
    is_accounted_for(queue)


def test_a_stop_that_comes_while_it_reloads_is_for_good(queue: RedisQueue, folder: Path) -> None:
    with consumer(queue, folder) as process:
        slow = queue.enqueue(call("slow", 1.0))
        wait_until(lambda: told(queue, id=slow.id, status="started"), 20)
        code, output = process.stop([signal.SIGHUP, signal.SIGTERM])
    assert code == 0, output
    assert statuses(queue, id=slow.id)[-1] == "finished"
    assert "starting anew" not in output


def test_it_gives_a_sign_of_life_every_second_while_redis_is_away(folder: Path) -> None:
    alive = folder / "alive"
    env = {"LIMELIGHT_REDIS_URL": f"redis://localhost:{free_port()}/0", "LIMELIGHT_ALIVE_FILE": str(alive)}
    env |= {"PYTHONPATH": str(Path(__file__).parents[1] / "support")}
    with Limelight("consumer", "app:queue", cwd=folder, env=env) as process:
        wait_until(alive.exists, 20)
        first = alive.stat().st_mtime
        wait_until(lambda: alive.stat().st_mtime > first, 5, "a second sign")
        assert process.stop()[0] == 0


def test_without_periodic_tasks_nothing_is_checked(queue: RedisQueue, folder: Path) -> None:
    queue.storage.address.client().hset(queue.keys["periodic_runs"], "tick:due", 60_000_000)
    with consumer(queue, folder, "-n") as process:
        assert queue.enqueue(call("version")).get(blocking=True, timeout=20) == 1
        process.stop()
    assert "checking-periodic" not in statuses(queue)
    assert "tick" not in {event["task"] for event in told(queue)}


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_a_json_log_is_one_object_per_line_whoever_writes_it(
    queue: RedisQueue, folder: Path, kind: str
) -> None:
    log = folder / "consumer.log"
    options = ("--log-format", "json", "-l", str(log), "-v")
    with consumer(queue, folder, *options, "-k", kind) as process:
        queue.enqueue(call("fail"))
        wait_until(lambda: told(queue, status="dead"), 20)
        code, output = process.stop()
    assert code == 0
    assert not output
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {"time", "level", "logger", "pid", "thread", "message"} <= set(lines[0])
    (failed,) = (line for line in lines if "failed in attempt 1" in line["message"])
    assert failed["level"] == "warning"
    assert (failed["pid"] == process.process.pid) == (kind == "thread")


def test_a_quiet_consumer_says_only_what_is_wrong(queue: RedisQueue, folder: Path) -> None:
    with consumer(queue, folder, "-q") as process:
        queue.enqueue(call("fail"))
        assert queue.enqueue(call("version")).get(blocking=True, timeout=20) == 1
        wait_until(lambda: told(queue, status="dead"))
        _, output = process.stop()
    assert "ValueError: no luck" in output
    assert "INFO" not in output


def test_a_consumer_whose_threads_are_all_stuck_gives_up_for_its_supervisor(
    queue: RedisQueue, folder: Path
) -> None:
    with consumer(queue, folder, "-w", "10", "-t", "5") as process:
        for _ in range(10):
            queue.enqueue(call("<lambda>"))
        assert process.process.wait(60) == 1
        output = process.process.stdout.read() if process.process.stdout else ""
    assert "this process gives up" in output
    assert statuses(queue, outcome="timeout") == ["timeout"] * 10
    is_accounted_for(queue)


def test_a_consumer_whose_processes_cannot_start_gives_up_and_says_why(
    queue: RedisQueue, folder: Path
) -> None:
    once = """
marker = pathlib.Path(__file__).with_suffix(".imported")
if not marker.exists():
    marker.touch()
    queue.task(name="hidden")(version.func)
"""
    (folder / "app.py").write_text(APP + once)
    with consumer(queue, folder, "-k", "process") as process:
        assert process.process.wait(60) == 1
        output = process.process.stdout.read() if process.process.stdout else ""
    assert "declares no task hidden of queue 'command'" in output
    assert "this consumer gives up" in output
