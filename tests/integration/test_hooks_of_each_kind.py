"""Hooks, signals and the running task are the same in every kind of consumer, in memory and in immediate mode."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hooks_app import declare
from processes import Limelight
from running import consuming, has_ended, is_accounted_for
from servers import wait_until

from limelight import MemoryQueue, RedisQueue, Result, Task
from limelight.task import TaskOptions

ARGUMENTS = re.compile(r" \(.*?\)")


@pytest.fixture
def truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "truth"
    monkeypatch.setenv("TRUTH_FILE", str(file))
    return file


def lines(truth: Path, of: str = "") -> list[str]:
    """What was noted, of one task; without its name, its arguments, and where it ran."""
    noted = truth.read_text().splitlines() if truth.exists() else []
    if not of:
        return noted
    own = (line.removeprefix(f"{of} ") for line in noted if line.startswith(f"{of} "))
    return [ARGUMENTS.sub("", line).partition(" in ")[0] for line in own]


class World:
    """A queue whose tasks run somehow."""

    def __init__(self, queue: RedisQueue, *, tells_enqueued: bool = True) -> None:
        self.queue = queue
        self.first = ["enqueued"] if tells_enqueued else []

    def call(self, name: str, *args: Any, retries: int = 0, **changes: Any) -> Result[Any]:
        options = TaskOptions(name=name, retries=retries, timeout=changes.pop("timeout", None))
        if not self.queue.immediate:
            self.queue.pause()  # or a worker may be told of its start before we are of its enqueueing
        result = self.queue.enqueue(Task(options=options, args=args, **changes))
        self.queue.resume()
        assert isinstance(result, Result)
        return result

    def run(self) -> None:
        """Have run what is there, where nobody else does."""


class Drained(World):
    def run(self) -> None:
        assert isinstance(self.queue, MemoryQueue)
        self.queue.drain()


@contextlib.contextmanager
def in_processes(url: str, truth: Path, *more: str, workers: int = 2) -> Iterator[Limelight]:
    words = ("consumer", "hooks_app:queue", "-k", "process", "-w", str(workers), "-t", "10", *more)
    with Limelight(*words, env={"LIMELIGHT_REDIS_URL": url, "TRUTH_FILE": str(truth)}) as process:
        yield process
        if process.process.poll() is None:
            code, output = process.stop()
            assert code == 0, output


@pytest.fixture(
    params=[
        "thread",
        "async",
        "process",
        "memory thread",
        "memory async",
        "drained",
        "immediate",
        "immediate on Redis",
    ]
)
def world(request: pytest.FixtureRequest, truth: Path) -> Iterator[World]:
    """A queue with the application's hooks, in one of the ways in which tasks run."""
    where, _, kind = request.param.rpartition(" ")
    if kind == "drained":
        yield Drained(declare(MemoryQueue("hooked")))
    elif request.param == "immediate":
        yield World(declare(RedisQueue("hooked", url="redis://nobody.invalid:1", immediate=True)))
    elif kind == "Redis":
        url = request.getfixturevalue("redis_url")
        yield World(declare(RedisQueue("hooked", url=url, immediate=True, immediate_use_memory=False)))
    elif kind == "process":
        url = request.getfixturevalue("redis_url")
        with in_processes(url, truth):
            yield World(RedisQueue("hooked", url=url), tells_enqueued=False)
    else:
        made = (
            MemoryQueue("hooked") if where else RedisQueue("hooked", url=request.getfixturevalue("redis_url"))
        )
        with consuming(declare(made), kind=kind):
            yield World(made)
    is_in_order(truth)


def is_in_order(truth: Path) -> None:
    """Each worker that began with its hooks ended with them, once."""
    noted = [line.split() for line in lines(truth)]
    ups, downs = (Counter(where[0] for what, *where in noted if what == word) for word in ("up", "down"))
    assert ups == downs
    assert set(ups.values()) <= {1}


def told(truth: Path, name: str, expected: list[str]) -> None:
    with contextlib.suppress(AssertionError):  # so that the lists below are compared, and shown
        wait_until(lambda: len(lines(truth, name)) >= len(expected), 20)
    assert lines(truth, name) == expected


def test_a_run_is_told_in_one_order_with_its_hooks_around_it(world: World, truth: Path) -> None:
    handle = world.call("plain", 7, retries=2)
    world.run()
    assert handle.get(blocking=True, timeout=20) == (handle.id, 2, "billing")
    told(truth, "plain", [*world.first, "executing", "before", "ran 7", "after None", "complete"])
    if world.first:
        assert "plain enqueued (7,)" in lines(truth)
    assert "plain complete (7,)" in lines(truth)
    is_accounted_for(world.queue)


def test_a_coroutine_is_told_as_a_function_is(world: World, truth: Path) -> None:
    handle = world.call("awaited")
    world.run()
    assert handle.get(blocking=True, timeout=20) == handle.id
    told(truth, "awaited", [*world.first, "executing", "before", "ran", "after None", "complete"])


def test_a_failure_and_its_retry_are_told(world: World, truth: Path) -> None:
    handle = world.call("failing", retries=1)
    world.run()
    wait_until(lambda: has_ended(world.queue, handle.id), 20)
    raised = "ValueError('no luck')"
    one = ["executing", "before", "ran", f"error {raised}", f"after {raised}"]
    # Once Redis has the retry another worker may begin it, and the one that failed tells of it meanwhile.
    expected = [*world.first, *one, "retrying", "enqueued", *one]
    wait_until(lambda: len(lines(truth, "failing")) == len(expected), 20)
    found = lines(truth, "failing")
    assert sorted(found) == sorted(expected)
    assert found.index("retrying") > found.index(f"after {raised}")
    assert [line for line in found if line in one] == [*one, *one]
    assert f"failing error () {raised}" in lines(truth)


def test_a_hook_cancels_before_the_run(world: World, truth: Path) -> None:
    handle = world.call("refused")
    world.run()
    wait_until(lambda: has_ended(world.queue, handle.id), 20)
    told(truth, "refused", [*world.first, "executing", "before", "canceled"])


def test_what_is_to_run_later_is_told_as_scheduled(world: World, truth: Path) -> None:
    world.call("plain", 1, delay=3_600.0)
    world.run()
    told(truth, "plain", [*world.first, "scheduled"])
    assert "plain scheduled (1,)" in lines(truth)


def test_what_ends_instead_of_running_is_told(world: World, truth: Path) -> None:
    if world.queue.immediate:
        pytest.skip("it has run before anybody could revoke it")
    revoked = Task(options=TaskOptions(name="plain"), args=(1,))
    world.queue.pause()
    world.queue.enqueue(revoked)
    world.queue.revoke(revoked)
    world.queue.resume()
    world.run()
    wait_until(lambda: has_ended(world.queue, revoked.id), 20)
    told(truth, "plain", [*world.first, "revoked"])
    assert "plain revoked (1,)" in lines(truth)


# -- Hooks of workers ------------------------------------------------------------------------------------
def test_each_process_that_takes_the_place_of_another_begins_and_ends_with_the_hooks(
    redis_url: str, truth: Path
) -> None:
    queue = World(RedisQueue("hooked", url=redis_url))
    with in_processes(redis_url, truth, "--max-tasks", "1", workers=1) as process:
        for number in range(3):
            queue.call("plain", number).get(blocking=True, timeout=20)
        parent = process.process.pid
    is_in_order(truth)
    noted = [line.split() for line in lines(truth)]
    ups = [where[0].partition(":") for what, *where in noted if what == "up"]
    ran = [words[-1].partition(":")[0] for words in noted if words[1] == "ran"]
    assert [pid for pid, _, _ in ups][:3] == ran, "each before its first task"
    assert str(parent) not in ran
    assert {thread for _, _, thread in ups} == {"MainThread"}


@pytest.mark.parametrize("slow", ["loop", "hand-1"])
def test_the_loop_and_each_thread_beside_it_have_the_hooks_and_the_last_of_them_end_with_the_consumer(
    redis_url: str, truth: Path, slow: str
) -> None:
    never = threading.Event()
    queue = RedisQueue("hooked", url=redis_url)
    queue.on_shutdown("slow")(lambda: threading.current_thread().name == slow and never.wait(0.5))
    declare(queue)
    with consuming(queue, kind="async"):
        for name in ("awaited", "plain"):
            World(queue).call(name, *([1] if name == "plain" else [])).get(blocking=True, timeout=20)
    is_in_order(truth)
    places = [line.split()[1].partition(":")[2] for line in lines(truth) if line.startswith("up ")]
    assert places == ["loop", "hand-1"]


def test_an_immediate_queue_has_no_workers_so_it_calls_no_hooks_of_workers(truth: Path) -> None:
    queue = declare(MemoryQueue("hooked", immediate=True))
    World(queue).call("plain", 1)
    assert not [line for line in lines(truth) if line.startswith(("up ", "down "))]


# -- What the parent of worker processes tells -----------------------------------------------------------
def test_what_a_worker_process_leaves_when_it_is_killed_is_told_by_its_parent_with_its_arguments(
    redis_url: str, truth: Path
) -> None:
    world = World(RedisQueue("hooked", url=redis_url))
    with in_processes(redis_url, truth, workers=2) as process:
        world.call("deaf", 5, timeout=0.3)
        wait_until(lambda: "deaf timeout (5,)" in lines(truth), 30)
        world.call("long", 6)
        wait_until(lambda: "long ran 6" in lines(truth), 20)
        code, output = process.stop([signal.SIGTERM, signal.SIGTERM])
        assert code == 0, output
    assert lines(truth, "deaf") == ["executing", "before", "timeout"]
    assert lines(truth)[-1] == "long interrupted (6,)"
