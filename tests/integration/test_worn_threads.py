"""Threads that wear out or die are replaced, and no task notices."""

import contextlib
import ctypes
import threading

import pytest
from running import consuming, is_accounted_for, told, worker_threads
from servers import wait_until

from limelight import RedisQueue


@pytest.fixture
def queue(redis_url: str) -> RedisQueue:
    return RedisQueue("worn", url=redis_url)


OTHERS: set[threading.Thread] = set()


def workers() -> list[threading.Thread]:
    return worker_threads(OTHERS)


@pytest.fixture(autouse=True)
def others() -> None:
    OTHERS.clear()
    OTHERS.update(threading.enumerate())


def test_a_worn_out_thread_is_replaced_and_every_task_runs_once(queue: RedisQueue) -> None:
    threads: dict[int, int] = {}

    @queue.task()
    def count() -> None:
        me = threading.current_thread()
        threads[id(me)] = threads.get(id(me), 0) + 1
        kept.append(me)  # or its id might be another's later

    kept: list[threading.Thread] = []
    with consuming(queue, workers=2, max_tasks=25):
        handles = [count() for _ in range(200)]
        for handle in handles:
            handle.get(blocking=True, timeout=10)
        wait_until(lambda: len(workers()) == 2)
    assert max(threads.values()) <= 25
    assert len(threads) >= 8
    assert {event["run"] for event in told(queue, status="finished")} == {1}
    assert {event["worker"] for event in told(queue, status="finished")} == {"worker-1", "worker-2"}
    is_accounted_for(queue)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_died_is_replaced(queue: RedisQueue) -> None:
    ok = queue.task(name="ok")(lambda: 7)
    with consuming(queue, workers=1, health_check_interval=0.1):
        assert ok().get(blocking=True, timeout=10) == 7
        (worker,) = workers()
        assert worker.ident is not None
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(worker.ident), ctypes.py_object(SystemExit))
        ok()  # wakes it, to its end
        wait_until(lambda: not worker.is_alive())
        wait_until(workers)
        assert workers() != [worker]
        assert ok().get(blocking=True, timeout=10) == 7


@pytest.mark.parametrize("kind", ["thread", "async"])
def test_a_consumer_that_stopped_leaves_no_thread_behind(queue: RedisQueue, kind: str) -> None:
    before = set(threading.enumerate())
    ok = queue.task(name="ok")(lambda: 7)
    with consuming(queue, kind=kind, workers=3):
        assert ok().get(blocking=True, timeout=10) == 7
        assert len(set(threading.enumerate()) - before) >= 7
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not set(threading.enumerate()) - before, 5)
    left = {thread.name for thread in set(threading.enumerate()) - before}
    # Hands, and who is told of results, end when idle for a while.
    assert not {name for name in left if not name.startswith(("hand-", "ends"))}
