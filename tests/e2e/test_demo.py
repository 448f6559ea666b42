"""`limelight demo` as a user runs it: what it says, and that nothing is left behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import termios
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
def demo(tmp_path: Path) -> Iterator[StartDemo]:
    """Starts demos without a terminal; what still runs at the test's end is killed."""
    started: list[Demo] = []

    def start(*words: str) -> Demo:
        process = subprocess.Popen(
            [sys.executable, "-m", "limelight", "demo", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    for pid in left(tmp_path):
        os.kill(pid, signal.SIGKILL)


def left(folder: Path) -> list[int]:
    """All processes of a demo that has its temporary files there: by their environment, and Redis by its folder."""
    told = f"TMPDIR={folder}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            inherited = told in (process / "environ").read_bytes().split(b"\0")
            if inherited or str((process / "cwd").readlink()).startswith(str(folder)):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def port_of(process: Demo) -> int:
    """The port on which the demo's exporter listens, found by its sockets."""
    inodes = set()
    for link in Path(f"/proc/{process.pid}/fd").iterdir():
        target = str(link.readlink()) if link.is_symlink() else ""
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


def wait_for_finished_tasks(process: Demo, beyond: int = 0) -> None:
    done = re.compile(r'limelight_tasks_completed_total\{.*outcome="success".*\} (\d+)')

    def finished() -> int:
        return sum(map(int, done.findall(served(process))))

    wait_until(lambda: process.poll() is None and finished() > beyond, 30, "tasks in /metrics")


def test_a_demo_ends_by_itself_and_its_numbers_add_up(demo: StartDemo, tmp_path: Path) -> None:
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
    assert left(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_demo_in_good_order(demo: StartDemo, tmp_path: Path, number: signal.Signals) -> None:
    process = demo("--port", "0")
    wait_for_finished_tasks(process)
    process.send_signal(number)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert SENTENCE.fullmatch(output.splitlines()[-1])
    assert left(tmp_path) == []


def test_a_demo_that_is_killed_takes_its_processes_along(demo: StartDemo, tmp_path: Path) -> None:
    process = demo("--port", "0")
    wait_for_finished_tasks(process)
    assert len(left(tmp_path)) >= 5  # itself, Redis, two consumers, the customers
    process.kill()
    process.communicate()
    wait_until(lambda: not left(tmp_path), 10, "the end of all of its processes")


def test_a_consumer_that_dies_ends_the_demo_with_a_line_about_it(demo: StartDemo, tmp_path: Path) -> None:
    process = demo("--port", "0")
    wait_for_finished_tasks(process)
    victim = next(pid for pid in left(tmp_path) if b"shop:mail" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(victim, signal.SIGKILL)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert errors.startswith("limelight: the consumer of demo-mail ended by itself (SIGKILL)")
    assert left(tmp_path) == []


def test_in_a_terminal_it_redraws_in_place_and_q_gives_the_terminal_back(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (30, 80))
    mode = termios.tcgetattr(theirs)
    environment = {**os.environ, "TMPDIR": str(tmp_path), "TERM": "xterm", "COLUMNS": "80", "LINES": "30"}
    process = subprocess.Popen(
        [sys.executable, "-m", "limelight", "demo", "--port", "0"],
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment, preexec_fn=take_terminal,  # noqa: PLW1509 - no threads here
    )  # fmt: skip
    try:
        screen = Screen(ours)
        wait_until(lambda: "finished    " in screen.text(), 30, "a finished task on the screen")
        assert "q quit  e cause error" in screen.text()
        os.write(ours, b"e")
        wait_until(lambda: "CardDeclined" in screen.text(), 20, "the error that was asked for")
        os.write(ours, b"q")
        assert wait_until(lambda: SENTENCE.search(screen.text()), 30, "the last sentence")
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
    assert termios.tcgetattr(theirs) == mode
    assert max(map(len, screen.text().splitlines())) <= 80
    assert left(tmp_path) == []


class Screen:
    """What was written to a terminal so far, without its control sequences."""

    def __init__(self, terminal: int) -> None:
        os.set_blocking(terminal, False)
        self._terminal = terminal
        self._written = b""

    def text(self) -> str:
        with contextlib.suppress(OSError):
            while more := os.read(self._terminal, 65_536):
                self._written += more
        return re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", self._written.decode(errors="replace"))


def take_terminal() -> None:
    """Make standard input the controlling terminal of a new session, as a shell's terminal is."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_a_port_in_use_is_one_line_and_exit_2(demo: StartDemo, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = demo("--port", str(port))
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (2, "")
    assert errors.startswith("limelight: ")
    assert str(port) in errors
    assert "in use" in errors
    assert len(errors.splitlines()) == 1
    assert left(tmp_path) == []


def test_a_redis_that_is_not_there_is_one_line_and_exit_3(demo: StartDemo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    process = demo("--port", "0", "--redis-url", f"redis://:secret@127.0.0.1:{port}/0")
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (3, "")
    assert len(errors.splitlines()) == 1
    assert "secret" not in errors


def test_a_given_redis_is_used_twice_in_turn_but_not_by_two_at_once(demo: StartDemo, redis_url: str) -> None:
    before = 0
    for number in range(2):
        process = demo("--port", "0", "--redis-url", redis_url)
        wait_for_finished_tasks(process, beyond=before)
        if number == 0:
            _, errors = (company := demo("--port", "0", "--redis-url", redis_url)).communicate(timeout=30)
            assert company.returncode == 2
            assert "another demo" in errors
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, "")
        last = SENTENCE.fullmatch(output.splitlines()[-1])
        assert last
        before += int(last[1].replace(",", ""))


def test_a_reader_that_goes_away_ends_the_demo_quietly(demo: StartDemo, tmp_path: Path) -> None:
    process = demo("--port", "0")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(30) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert left(tmp_path) == []
