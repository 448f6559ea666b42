"""`limelight demo` as a user runs it: what it says, and that nothing is left behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import wait_until

SENTENCE = re.compile(
    r"Stopped\. ([\d,]+) tasks? ran, ([\d,]+) attempts? failed, ([\d,]+) dead, nothing lost\."
)

Demo = subprocess.Popen[str]
StartDemo = Callable[..., Demo]


@pytest.fixture
def demo() -> Iterator[StartDemo]:
    """Starts demos without a terminal; what still runs at the test's end is killed."""
    started: list[Demo] = []

    def start(*words: str) -> Demo:
        process = subprocess.Popen(
            [sys.executable, "-m", "limelight", "demo", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "LIMELIGHT_TEST_MARK": mark(len(started))},
        )
        started.append(process)
        return process

    yield start
    for number, process in enumerate(started):
        process.kill()
        process.communicate()
        for pid in relatives(mark(number)):
            os.kill(pid, signal.SIGKILL)


def mark(number: int) -> str:
    return f"demo-{os.getpid()}-{number}"


def relatives(told: str) -> list[int]:
    """All processes that inherited this mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if f"LIMELIGHT_TEST_MARK={told}".encode() in environment.split(b"\0"):
            found.append(int(folder.name))
    return found


def port_of(process: Demo) -> int:
    """The port on which the demo's exporter listens, found by its sockets."""
    inodes = set()
    for link in Path(f"/proc/{process.pid}/fd").iterdir():
        target = os.readlink(link) if link.is_symlink() else ""
        inodes |= set(re.findall(r"socket:\[(\d+)\]", target))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and fields[9] in inodes:
            return int(fields[1].partition(":")[2], 16)
    return 0


def served(process: Demo) -> str:
    """What /metrics says, "" while it does not answer."""
    try:
        port = port_of(process)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
            return str(reply.read().decode())
    except OSError:
        return ""


def wait_for_finished_tasks(process: Demo) -> None:
    done = re.compile(r'limelight_tasks_completed_total\{.*outcome="success".*\} [1-9]')
    wait_until(lambda: process.poll() is None and done.search(served(process)), 30, "tasks in /metrics")


def test_a_demo_ends_by_itself_and_its_numbers_add_up(demo: StartDemo) -> None:
    process = demo("--duration", "8", "--rate", "20", "--port", "0")
    wait_for_finished_tasks(process)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    lines = output.splitlines()
    found = SENTENCE.fullmatch(lines[-1])
    assert found, lines[-1]
    ends = [line for line in lines if " end=" in line]
    failures = [line for line in lines if " outcome=error" in line]
    assert int(found[1].replace(",", "")) == len(ends) > 20
    assert int(found[2].replace(",", "")) == len(failures)
    assert any(" summary up=" in line for line in lines)
    assert "\x1b" not in output
    assert relatives(mark(0)) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_demo_in_good_order(demo: StartDemo, number: signal.Signals) -> None:
    process = demo("--port", "0")
    wait_for_finished_tasks(process)
    process.send_signal(number)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert SENTENCE.fullmatch(output.splitlines()[-1])
    assert relatives(mark(0)) == []


def test_a_demo_that_is_killed_takes_its_processes_along(demo: StartDemo) -> None:
    process = demo("--port", "0")
    wait_for_finished_tasks(process)
    assert len(relatives(mark(0))) >= 5  # itself, Redis, two consumers, the customers
    process.kill()
    process.communicate()
    wait_until(lambda: not relatives(mark(0)), 10, "the end of all of its processes")


def test_a_consumer_that_dies_ends_the_demo_with_a_line_about_it(demo: StartDemo) -> None:
    process = demo("--port", "0")
    wait_for_finished_tasks(process)
    victim = next(
        pid for pid in relatives(mark(0)) if b"shop:mail" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    os.kill(victim, signal.SIGKILL)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert errors.startswith("limelight: the consumer of demo-mail ended by itself (SIGKILL)")
    assert relatives(mark(0)) == []


def test_a_port_in_use_is_one_line_and_exit_2(demo: StartDemo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = demo("--port", str(port))
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (2, "")
    assert errors.startswith("limelight: ")
    assert str(port) in errors and "in use" in errors
    assert len(errors.splitlines()) == 1
    assert relatives(mark(0)) == []


def test_a_redis_that_is_not_there_is_one_line_and_exit_3(demo: StartDemo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    process = demo("--port", "0", "--redis-url", f"redis://:secret@127.0.0.1:{port}/0")
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (3, "")
    assert len(errors.splitlines()) == 1
    assert "secret" not in errors


def test_a_given_redis_is_used_twice_in_turn_but_not_by_two_at_once(demo: StartDemo, redis_url: str) -> None:
    for number in range(2):
        process = demo("--port", "0", "--redis-url", redis_url)
        wait_for_finished_tasks(process)
        if number == 0:
            _, errors = (company := demo("--port", "0", "--redis-url", redis_url)).communicate(timeout=30)
            assert company.returncode == 2
            assert "another demo" in errors
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, "")
        assert SENTENCE.fullmatch(output.splitlines()[-1])


def test_a_reader_that_goes_away_ends_the_demo_quietly(demo: StartDemo) -> None:
    process = demo("--port", "0")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(30) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert relatives(mark(0)) == []
