"""A task whose time is over is stopped: in threads at its next bytecode, or when it looks itself, or it is given up."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable

import pytest
from running import consuming, has_ended, is_accounted_for, statuses, timed, told, worker_threads
from servers import wait_until

from limelight import RedisQueue, TaskException, TaskTimeout, check_timeout, slot, time_remaining
from limelight.consumer import crew


@pytest.fixture
def queue(redis_url: str) -> RedisQueue:
    return RedisQueue("timeouts", url=redis_url)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kick often, so that a test need not wait for seconds."""
    monkeypatch.setattr(slot, "AGAIN_SECONDS", 0.05)


def spin() -> None:
    while True:
        pass


def spin_stubbornly() -> None:
    while True:
        with contextlib.suppress(Exception):
            spin()


def test_a_task_that_computes_too_long_is_stopped_and_its_worker_goes_on(queue: RedisQueue) -> None:
    spinning = timed(queue, spin, 0.2)
    ok = queue.task(name="ok")(lambda: 7)
    with consuming(queue, workers=1, lease_seconds=30):
        handle = spinning()
        with pytest.raises(TaskException, match=r"longer than its timeout of 0\.2 s"):
            handle.get(blocking=True, timeout=10)
        assert ok().get(blocking=True, timeout=10) == 7
    assert statuses(queue, id=handle.id) == ["enqueued", "started", "timeout", "dead"]
    (closing,) = told(queue, id=handle.id, status="timeout")
    assert (closing["outcome"], closing["error_type"]) == ("timeout", "limelight.errors.TaskTimeout")
    assert closing["error"]
    assert 0.2 <= closing["duration"] < 10
    assert "in spin" in closing["traceback"]
    assert "slot.py" not in closing["traceback"]
    is_accounted_for(queue)


def test_catching_all_exceptions_does_not_help_a_task(queue: RedisQueue) -> None:
    stubborn = timed(queue, spin_stubbornly, 0.1)
    with consuming(queue, workers=1, lease_seconds=30):
        handle = stubborn()
        wait_until(lambda: has_ended(queue, handle.id), 5)
    assert statuses(queue, id=handle.id)[-2:] == ["timeout", "dead"]


def test_a_timeout_is_tried_again_like_an_error(queue: RedisQueue) -> None:
    runs: list[int] = []

    def slow_once() -> str:
        runs.append(1)
        if len(runs) == 1:
            spin()
        return "done"

    task = timed(queue, slow_once, 0.15, retries=1)
    with consuming(queue, workers=1):
        handle = task()
        assert handle.get(blocking=True, timeout=10) == "done"
    assert statuses(queue, id=handle.id) == [
        *("enqueued", "started", "timeout", "retrying", "started", "finished"),
    ]
    is_accounted_for(queue)


def test_a_task_may_look_at_its_time_itself(queue: RedisQueue) -> None:
    left: list[float | None] = []

    def polite() -> None:
        left.append(time_remaining())
        while True:
            time.sleep(0.01)
            check_timeout()

    untimed = queue.task(name="untimed")(lambda: (check_timeout(), time_remaining())[1])
    task = timed(queue, polite, 0.15)
    with consuming(queue, workers=1):
        handle = task()
        wait_until(lambda: has_ended(queue, handle.id), 5)
        assert untimed().get(blocking=True, timeout=5) is None
    assert left[0] is not None
    assert 0 < left[0] <= 0.15
    assert statuses(queue, id=handle.id)[-2:] == ["timeout", "dead"]
    assert time_remaining() is None
    check_timeout()


def test_a_task_that_tidies_up_and_returns_has_succeeded(queue: RedisQueue) -> None:
    def careful() -> str:
        try:
            spin()
        except TaskTimeout:
            return "as far as I came"
        return "never"

    task = timed(queue, careful, 0.1)
    with consuming(queue, workers=1):
        assert task().get(blocking=True, timeout=5) == "as far as I came"
    is_accounted_for(queue)


@pytest.mark.usefixtures("soon")
def test_a_task_that_cannot_be_stopped_is_given_up_and_a_fresh_thread_takes_over(queue: RedisQueue) -> None:
    """It waits for a lock for ever: no exception reaches it there. Its run closes all the same, with its stack."""
    go_on, others = threading.Event(), set(threading.enumerate())

    def stuck() -> None:
        go_on.wait()

    ok = queue.task(name="ok")(lambda: 7)
    task = timed(queue, stuck, 0.1)
    with consuming(queue, workers=1, lease_seconds=30) as consumer:
        handle = task()
        wait_until(lambda: has_ended(queue, handle.id), 5)
        assert ok().get(blocking=True, timeout=10) == 7
        assert consumer.abandoned == 1
        wait_until(lambda: consumer.running == 0)
        go_on.set()
        wait_until(lambda: len(worker_threads(others)) == 1, 5)
        assert ok().get(blocking=True, timeout=10) == 7
    (closing,) = told(queue, id=handle.id, outcome="timeout")
    assert "in stuck" in closing["traceback"]
    assert statuses(queue, id=handle.id) == ["enqueued", "started", "timeout", "dead"]
    is_accounted_for(queue)


@pytest.mark.usefixtures("soon")
def test_a_consumer_with_too_many_stuck_threads_wants_to_be_replaced(
    queue: RedisQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "ABANDONED_LIMIT", 2)
    go_on = threading.Event()
    task = timed(queue, lambda: go_on.wait(30), 0.05)
    with consuming(queue, workers=2) as consumer:
        handles = [task(), task()]
        assert consumer.wants_to_stop.wait(10)
        wait_until(lambda: all(has_ended(queue, handle.id) for handle in handles), 5)
        go_on.set()
    is_accounted_for(queue)


def test_the_end_of_one_task_and_its_timeout_never_hit_the_next(queue: RedisQueue) -> None:
    """Tasks that end about when their time is over: each closes once, either way, and no worker is harmed."""
    close, others = timed(queue, spin_for, 0.01), set(threading.enumerate())
    ok = queue.task(name="ok")(lambda: 7)
    with consuming(queue, workers=4, lease_seconds=30) as consumer:
        handles = [close(0.0085 + number % 30 / 10_000) for number in range(300)]
        wait_until(lambda: sum("end" in event for event in told(queue)) == len(handles), 30)
        assert ok().get(blocking=True, timeout=10) == 7
        assert consumer.abandoned == 0
        assert len(worker_threads(others)) == 4
    outcomes = {event["outcome"] for event in told(queue, task="spin_for") if "outcome" in event}
    assert outcomes <= {"success", "timeout", "interrupted"}  # handed back before they began
    assert not told(queue, status="error-internal")
    is_accounted_for(queue)


def spin_for(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


# -- async def -------------------------------------------------------------------------------------------
def test_async_tasks_run_in_threads_and_may_enqueue_others(queue: RedisQueue) -> None:
    inner = queue.task(name="inner")(lambda: 1)

    @queue.task()
    async def outer(text: str) -> str:
        await asyncio.sleep(0.001)
        inner()
        return text.upper()

    with consuming(queue, workers=2):
        handles = [outer(text) for text in "abcdef"]
        assert [handle.get(blocking=True, timeout=10) for handle in handles] == list("ABCDEF")
        wait_until(lambda: len(told(queue, task="inner", status="finished")) == 6)
    (enqueued, *_) = told(queue, task="inner", status="enqueued")
    spans = {event["span_id"] for event in told(queue, task="outer", outcome="success")}
    assert enqueued["parent_span_id"] in spans
    is_accounted_for(queue)


async def nap() -> None:
    await asyncio.sleep(30)


async def block() -> None:
    spin()


async def cling() -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("coroutine", [nap, block, cling])
def test_an_async_task_is_cancelled_in_time_or_driven_out(
    queue: RedisQueue, coroutine: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot, "_COROUTINE_GRACE_SECONDS", 0.1)
    task = timed(queue, coroutine, 0.1)
    ok = queue.task(name="ok")(lambda: 7)
    with consuming(queue, workers=1, lease_seconds=30) as consumer:
        handle = task()
        wait_until(lambda: has_ended(queue, handle.id), 8)
        assert ok().get(blocking=True, timeout=10) == 7
        assert consumer.abandoned == 0
    (closing,) = told(queue, id=handle.id, outcome="timeout")
    assert coroutine is cling or f"in {coroutine.__name__}" in closing["traceback"]
    is_accounted_for(queue)


def test_a_timeout_error_of_the_tasks_own_is_an_error(queue: RedisQueue) -> None:
    async def mine() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(1)

    task = timed(queue, mine, 5)
    with consuming(queue, workers=1):
        handle = task()
        wait_until(lambda: has_ended(queue, handle.id), 5)
    (closing,) = told(queue, id=handle.id, outcome="error")
    assert closing["error_type"] == "TimeoutError"
