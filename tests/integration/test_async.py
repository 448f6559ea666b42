"""One event loop runs many tasks at once, and plain functions beside it."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest
from proxy import FaultyProxy
from running import consuming, has_ended, is_accounted_for, statuses, timed, told
from servers import wait_until
from starters import OwnRedis

from limelight import ConfigurationError, RedisQueue, RetryTask, TaskException, slot, time_remaining
from limelight.consumer import Consumer, async_crew, stage
from limelight.storage.scripts import SCRIPTS


@pytest.fixture
def queue(redis_url: str) -> RedisQueue:
    return RedisQueue("loop", url=redis_url)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again to stop a task often, so that a test need not wait for seconds."""
    monkeypatch.setattr(stage, "AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(slot, "AGAIN_SECONDS", 0.05)


def test_many_tasks_wait_at_once_in_one_thread(queue: RedisQueue) -> None:
    together = asyncio.Barrier(100)
    threads: set[str] = set()

    @queue.task()
    async def meet(number: int) -> int:
        threads.add(threading.current_thread().name)
        async with asyncio.timeout(20):
            await together.wait()
        return number

    with consuming(queue, kind="async", workers=100):
        handles = [meet(number) for number in range(100)]
        assert [handle.get(blocking=True, timeout=20) for handle in handles] == list(range(100))
    assert threads == {"loop"}
    assert {event["worker"] for event in told(queue, status="finished")} == {"loop"}
    is_accounted_for(queue)


def test_never_more_tasks_run_at_once_than_there_is_room_for(queue: RedisQueue) -> None:
    running: list[int] = []
    most: list[int] = []

    @queue.task()
    async def count() -> None:
        running.append(1)
        most.append(len(running))
        await asyncio.sleep(0.005)
        running.pop()

    with consuming(queue, kind="async", workers=5):
        handles = [count() for _ in range(100)]
        wait_until(lambda: all(has_ended(queue, handle.id) for handle in handles[-5:]), 20)
        wait_until(lambda: not queue.storage.address.client().hlen(queue.keys["tasks"]))
    assert max(most) == 5
    is_accounted_for(queue)


def test_plain_functions_run_beside_the_loop_and_do_not_hold_it_up(queue: RedisQueue) -> None:
    go_on = threading.Event()
    block = queue.task(name="block")(lambda: go_on.wait(20))

    @queue.task()
    async def quick() -> int:
        return 7

    with consuming(queue, kind="async", workers=4):
        blocked = [block() for _ in range(3)]
        wait_until(lambda: statuses(queue, task="block").count("started") == 3)
        assert quick().get(blocking=True, timeout=5) == 7
        go_on.set()
        assert all(handle.get(blocking=True, timeout=5) for handle in blocked)
    is_accounted_for(queue)


def test_runs_have_contexts_of_their_own(queue: RedisQueue) -> None:
    inner = queue.task(name="inner")(lambda: 1)

    @queue.task()
    async def outer() -> str:
        await asyncio.sleep(0.005)
        return inner().id

    with consuming(queue, kind="async", workers=20):
        outers = [outer() for _ in range(20)]
        inners = [handle.get(blocking=True, timeout=10) for handle in outers]
        wait_until(lambda: all(has_ended(queue, str(task_id)) for task_id in inners))
    for handle, inner_id in zip(outers, inners, strict=True):
        (run,) = told(queue, id=handle.id, outcome="success")
        (enqueued,) = told(queue, id=inner_id, status="enqueued")
        assert enqueued["parent_span_id"] == run["span_id"]


def test_failures_and_retries_are_those_of_any_task(queue: RedisQueue) -> None:
    runs: list[int] = []

    @queue.task(retries=1)
    async def fail() -> None:
        raise ValueError("no luck")

    @queue.task()
    async def again() -> str:
        runs.append(1)
        if len(runs) == 1:
            raise RetryTask(delay=0.05)
        return "second"

    with consuming(queue, kind="async", workers=4):
        failing = fail()
        assert again().get(blocking=True, timeout=10) == "second"
        with pytest.raises(TaskException, match="ValueError: no luck") as raised:
            failing.get(blocking=True, timeout=10)
    assert 'raise ValueError("no luck")' in raised.value.metadata["traceback"]
    assert "asyncio" not in raised.value.metadata["traceback"]
    assert statuses(queue, task="fail").count("error-task") == 2
    is_accounted_for(queue)


async def nap() -> None:
    left = time_remaining()
    assert left is not None
    assert 0 < left <= 0.1
    await asyncio.sleep(30)


async def cling() -> None:
    while True:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            continue


def spin() -> None:
    while True:
        pass


def stuck() -> None:
    threading.Event().wait(8)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(("func", "abandoned"), [(nap, 0), (cling, 1), (spin, 0), (stuck, 1)])
def test_a_task_whose_time_is_over_is_stopped_or_left_alone_and_its_place_is_free_again(
    queue: RedisQueue, func: Callable[[], object], abandoned: int
) -> None:
    task = timed(queue, func, 0.1)

    @queue.task()
    async def ok() -> int:
        return 7

    with consuming(queue, kind="async", workers=1) as consumer:
        handle = task()
        wait_until(lambda: has_ended(queue, handle.id), 6)
        assert ok().get(blocking=True, timeout=5) == 7
        assert consumer.abandoned == abandoned
        wait_until(lambda: consumer.running == 0)
    (closing,) = told(queue, id=handle.id, outcome="timeout")
    assert f"in {func.__name__}" in closing["traceback"]
    assert statuses(queue, id=handle.id)[-2:] == ["timeout", "dead"]
    is_accounted_for(queue)


@pytest.mark.usefixtures("soon")
def test_a_loop_with_too_many_stuck_tasks_wants_to_be_replaced(
    queue: RedisQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(async_crew, "ABANDONED_LIMIT", 2)
    tasks = [timed(queue, cling, 0.05), timed(queue, stuck, 0.05)]
    with consuming(queue, kind="async", workers=2) as consumer:
        for task in tasks:
            task()
        assert consumer.wants_to_stop.wait(10)
    is_accounted_for(queue)


def test_a_stop_waits_for_what_runs_and_cancels_what_does_not_end(queue: RedisQueue) -> None:
    begun: list[float] = []
    ended: list[str] = []

    @queue.task()
    async def linger(seconds: float) -> None:
        begun.append(seconds)
        try:
            await asyncio.sleep(seconds)
            ended.append("by itself")
        except asyncio.CancelledError:
            ended.append("canceled")
            raise

    consumer = Consumer(queue, kind="async", workers=2, lease_seconds=30, shutdown_timeout=1.0)
    consumer.start()
    short, long = linger(0.4), linger(30)
    wait_until(lambda: len(begun) == 2)
    assert not consumer.stop()
    wait_until(lambda: len(ended) == 2)
    assert ended == ["by itself", "canceled"]
    assert statuses(queue, id=short.id) == ["enqueued", "started", "finished"]
    assert statuses(queue, id=long.id) == ["enqueued", "started", "interrupted"]
    wait_until(lambda: "loop" not in {thread.name for thread in threading.enumerate()})
    is_accounted_for(queue)


def test_a_lost_answer_changes_nothing(redis_url: str, faulty_proxy: FaultyProxy) -> None:
    queue = RedisQueue("loop", url=faulty_proxy.url)
    ran: list[int] = []

    @queue.task()
    async def note(number: int) -> None:
        ran.append(number)

    with consuming(queue, kind="async", workers=4, lease_seconds=30):
        note(0).get(blocking=True, timeout=10)
        for number, script in enumerate(["reserve", "settle"] * 3, 1):
            faulty_proxy.drop_reply(SCRIPTS[script].sha)
            note(number).get(blocking=True, timeout=20)
    assert sorted(ran) == list(range(7))
    is_accounted_for(RedisQueue("loop", url=redis_url))


def test_redis_dying_and_coming_back_loses_nothing(own_redis: OwnRedis, tmp_path: object) -> None:
    server = own_redis(persist_dir=f"{tmp_path}/aof")
    queue = RedisQueue("loop", url=server.url)

    @queue.task()
    async def nod(number: int) -> int:
        await asyncio.sleep(0.02)
        return number

    with consuming(queue, kind="async", workers=10, lease_seconds=30):
        handles = [nod(number) for number in range(200)]
        wait_until(lambda: len(told(queue, status="finished")) > 10)
        server.kill()
        server.start()
        assert [handle.get(blocking=True, timeout=30) for handle in handles] == list(range(200))
    is_accounted_for(queue)


def test_an_idle_loop_is_quiet_and_wakes_at_once(own_redis: OwnRedis) -> None:
    server = own_redis()
    queue = RedisQueue("loop", url=server.url)
    ran = threading.Event()

    @queue.task()
    async def note() -> None:
        ran.set()

    client = queue.storage.address.client()
    with consuming(queue, kind="async", workers=100, lease_seconds=30):
        note()
        assert ran.wait(10)
        wait_until(lambda: client.info("clients")["blocked_clients"] == 1)
        client.config_resetstat()
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 3, 10)
        calls = client.info("commandstats")
        sent = sum(calls.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "blpop"))
        assert sent / (time.monotonic() - began) < 5, calls
        for _ in range(5):
            ran.clear()
            wait_until(lambda: client.info("clients")["blocked_clients"] == 1)
            called = time.monotonic()
            note()
            assert ran.wait(10)
            assert time.monotonic() - called < 1


def test_several_queues_share_a_loop(queue: RedisQueue, redis_url: str) -> None:
    other = RedisQueue("other", url=redis_url)

    async def nod(number: int) -> int:
        return number

    tasks = [each.task()(nod) for each in (queue, other)]
    with consuming([queue, other], kind="async", workers=8, weights={"other": 2}):
        handles = [task(number) for number in range(100) for task in tasks]
        assert [handle.get(blocking=True, timeout=20) for handle in handles] == [n // 2 for n in range(200)]
    for each in (queue, other):
        is_accounted_for(each)


def test_a_loop_is_never_worn_out(queue: RedisQueue) -> None:
    with pytest.raises(ConfigurationError, match="max_tasks replaces threads and processes"):
        Consumer(queue, kind="async", max_tasks=10)
