"""Tasks run where they are enqueued, through the same transitions as in a consumer, on each kind of storage."""

import asyncio
import datetime as dt
import threading
from typing import Any

import pytest
from running import consuming, is_accounted_for, statuses, told
from servers import wait_until

from limelight import (
    CancelExecution,
    ConfigurationError,
    MemoryQueue,
    RedisQueue,
    RetryTask,
    TaskException,
    UnknownTask,
    chord,
    group,
)
from limelight.inspection import queue_view
from limelight.storage.links import Links
from limelight.task import Task


@pytest.fixture(params=["MemoryQueue", "RedisQueue in memory", "RedisQueue on Redis"])
def queue(request: pytest.FixtureRequest) -> RedisQueue:
    if request.param == "MemoryQueue":
        return MemoryQueue("work", immediate=True)
    if request.param == "RedisQueue in memory":
        return RedisQueue("work", url="redis://nobody.invalid:1", immediate=True)
    url = request.getfixturevalue("redis_url")
    return RedisQueue("work", url=url, immediate=True, immediate_use_memory=False)


def test_a_task_has_run_when_enqueueing_returns_in_the_callers_thread(queue: RedisQueue) -> None:
    where: list[int] = []

    @queue.task()
    def add(a: int, b: int) -> int:
        where.append(threading.get_ident())
        return a + b

    handle = add(1, 2)
    assert handle.get() == 3
    assert where == [threading.get_ident()]
    assert statuses(queue) == ["enqueued", "started", "finished"]
    (finished,) = told(queue, status="finished")
    assert (finished["worker"], finished["end"]) == ("inline", "success")
    is_accounted_for(queue)


def test_a_task_that_fails_raises_where_its_result_is_read_and_not_where_it_is_enqueued(
    queue: RedisQueue,
) -> None:
    @queue.task()
    def fail() -> None:
        raise ValueError("no luck")

    handle = fail()
    with pytest.raises(TaskException, match="ValueError: no luck"):
        handle.get()
    assert statuses(queue) == ["enqueued", "started", "error-task", "dead"]
    is_accounted_for(queue)


def test_retries_run_at_once_and_those_with_a_delay_stay_on_the_schedule(queue: RedisQueue) -> None:
    runs: list[int] = []

    @queue.task(retries=2)
    def at_once() -> int:
        runs.append(1)
        if len(runs) < 3:
            raise ValueError("again")
        return len(runs)

    @queue.task(retries=1, retry_delay=60)
    def later() -> None:
        raise ValueError("again")

    @queue.task()
    def asks() -> None:
        raise RetryTask(delay=60)

    assert at_once().get() == 3
    assert later().get() is None
    assert asks().get() is None
    assert statuses(queue, task="later") == ["enqueued", "started", "error-task", "retrying", "scheduled"]
    assert statuses(queue, task="asks")[-2:] == ["retrying", "scheduled"]
    assert _view(queue).scheduled == 2
    is_accounted_for(queue)


def test_a_delayed_task_stays_on_the_schedule_and_one_that_is_due_runs(queue: RedisQueue) -> None:
    note = queue.task(name="note")(lambda: 1)
    later = note.schedule(delay=60)
    assert later.get() is None
    assert statuses(queue, id=later.id) == ["enqueued", "scheduled"]
    assert note.schedule(eta=dt.datetime(2020, 1, 1, tzinfo=dt.UTC)).get() == 1
    assert (_view(queue).scheduled, _view(queue).ready) == (1, 0)


def test_a_task_that_a_task_enqueues_runs_inside_it_and_its_result_can_be_read_there(
    queue: RedisQueue,
) -> None:
    inner = queue.task(name="inner")(lambda n: n * 2)
    outer = queue.task(name="outer")(lambda n: inner(n).get() + 1)
    assert outer(5).get() == 11
    order = [(event["task"], event["status"]) for event in told(queue) if event["status"] != "enqueued"]
    assert order == [("outer", "started"), ("inner", "started"), ("inner", "finished"), ("outer", "finished")]
    is_accounted_for(queue)


def test_a_task_may_stop_without_failing(queue: RedisQueue) -> None:
    @queue.task()
    def stop() -> None:
        raise CancelExecution("enough")

    with pytest.raises(TaskException, match="canceled"):
        stop().get()
    assert statuses(queue) == ["enqueued", "started", "canceled"]


def test_a_task_that_is_not_declared_here_is_refused_before_it_is_enqueued(queue: RedisQueue) -> None:
    task = queue.task(name="gone")(lambda: 1)
    task.unregister()
    with pytest.raises(UnknownTask, match="gone"):
        task()
    assert not told(queue)


def test_ctrl_c_in_a_task_reaches_the_caller_and_the_task_has_failed(queue: RedisQueue) -> None:
    @queue.task()
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert statuses(queue)[-1] == "dead"
    is_accounted_for(queue)


def test_threads_run_their_own_tasks(queue: RedisQueue) -> None:
    me = queue.task(name="me")(threading.get_ident)
    found: list[bool] = []

    def produce() -> None:
        found.extend(me().get() == threading.get_ident() for _ in range(5))

    threads = [threading.Thread(target=produce) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [True] * 20
    is_accounted_for(queue)


def test_on_a_real_redis_it_runs_its_own_tasks_and_no_others(redis_url: str) -> None:
    producer = RedisQueue("work", url=redis_url)
    waiting = producer.task(name="note")(lambda: 1)()
    queue = RedisQueue("work", url=redis_url, immediate=True, immediate_use_memory=False)
    assert queue.task(name="note")(lambda: 2)().get() == 2
    assert waiting.get() is None
    assert _view(queue).ready == 1


def test_what_follows_a_task_follows_at_once(queue: RedisQueue) -> None:
    add = queue.task(name="add")(lambda a, b: a + b)
    total = queue.task(name="total")(sum)
    seen: list[str] = []

    @queue.task()
    def fail() -> None:
        raise ValueError("no luck")

    note = queue.task(name="note")(lambda error: seen.append(str(error)))
    assert queue.enqueue(add.s(1, 2).then(add, 3).then(add, 4)).get() == [3, 6, 10]
    assert queue.enqueue(group([add.s(1, 1), add.s(2, 2)]).then(total)).get() == 6
    inner = chord([add.s(1, 1), add.s(2, 2)], total)
    assert queue.enqueue(chord([inner, add.s(3, 3).then(add, 1)], total)).get() == 13
    queue.enqueue(fail.s().error(note))
    assert "no luck" in seen[0]
    is_accounted_for(queue)


def test_a_lock_that_is_held_refuses_the_task_inside_and_is_free_afterwards(queue: RedisQueue) -> None:
    @queue.task()
    @queue.lock_task("door")
    def inner() -> int:
        return 1

    @queue.task()
    @queue.lock_task("door")
    def outer() -> bool:
        with pytest.raises(TaskException, match="door"):
            inner().get()
        return True

    assert outer().get()
    assert inner().get() == 1
    assert not queue.is_locked("door")


def test_many_calls_in_one_write_run_in_order(queue: RedisQueue) -> None:
    ran: list[int] = []
    note = queue.task(name="note")(ran.append)
    assert len(queue.enqueue_many(note.s(n) for n in range(5)).get()) == 5
    assert note.map([5, 6]).get() == [None, None]
    assert ran == list(range(7))


def test_a_coroutine_runs_to_its_end_wherever_it_is_enqueued(queue: RedisQueue) -> None:
    @queue.task()
    async def double(n: int) -> int:
        await asyncio.sleep(0)
        return n * 2

    async def inside_a_loop() -> Any:
        return double(3).get()

    async def without_blocking_it() -> Any:
        result = await queue.aenqueue(double.s(4))
        return result.get()

    assert double(2).get() == 4
    assert asyncio.run(inside_a_loop()) == 6
    assert asyncio.run(without_blocking_it()) == 8


def test_a_task_whose_time_is_over_is_stopped(queue: RedisQueue) -> None:
    @queue.task(timeout=0.1)
    def spin() -> None:
        while True:
            pass

    @queue.task(timeout=0.1)
    async def sleep() -> None:
        await asyncio.sleep(60)

    @queue.task(timeout=60)
    def quick() -> int:
        return 1

    async def inside_a_loop() -> Any:
        return sleep()

    for stop in (spin, sleep, lambda: asyncio.run(inside_a_loop())):
        with pytest.raises(TaskException, match=r"longer than its timeout of 0\.1 s"):
            stop().get()
    assert quick().get() == 1
    wait_until(lambda: not [thread for thread in threading.enumerate() if "_guard" in thread.name])
    is_accounted_for(queue)


def test_a_paused_queue_begins_nothing(queue: RedisQueue) -> None:
    note = queue.task(name="note")(lambda: 1)
    queue.pause()
    assert note().get() is None
    assert _view(queue).ready == 1
    queue.resume()
    assert note().get() == 1


def test_what_may_not_start_ends_and_its_chord_goes_on(queue: RedisQueue) -> None:
    one = queue.task(name="one")(lambda: 1)
    seen = queue.task(name="seen")(lambda results: [str(result) for result in results])
    late = one.s(expires=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    assert queue.enqueue(chord([one.s(), late], seen)).get() == ["1", "SKIPPED"]
    assert statuses(queue, id=late.id)[-1] == "expired"
    is_accounted_for(queue)


def test_a_lock_and_a_limit_go_where_the_queue_goes() -> None:
    queue = RedisQueue("work", url="redis://nobody.invalid:1")

    @queue.task()
    @queue.lock_task("door")
    @queue.rate_limit("calls", 1, per=60)
    def ring() -> int:
        return 1

    queue.immediate = True
    assert ring().get() == 1
    assert ring().get() is None
    assert statuses(queue)[-1] == "scheduled", "there is room in a minute"


def test_it_can_be_switched_on_and_off(redis_url: str) -> None:
    queue = RedisQueue("work", url=redis_url)
    note = queue.task(name="note")(lambda: 1)
    assert not queue.immediate
    queue.immediate = True
    kept = note()
    assert (queue.immediate, kept.get()) == (True, 1)
    queue.immediate = False
    waiting = note()
    assert waiting.get() is None
    assert not queue.result_handle(kept.id).is_ready()
    with consuming(queue):
        assert waiting.get(blocking=True, timeout=10) == 1
    queue.immediate = True
    assert not told(queue), "it begins empty"
    assert kept.get() == 1
    queue.immediate = True
    assert note().get() == 1


def test_a_consumer_of_an_immediate_queue_says_that_it_has_nothing_to_do() -> None:
    with (
        pytest.raises(ConfigurationError, match="'work' is immediate"),
        consuming(MemoryQueue("work", immediate=True)),
    ):
        pass


def test_moving_the_clock_of_an_immediate_queue_runs_what_is_due_then() -> None:
    queue, ran = MemoryQueue(immediate=True), list[Any]()
    note = queue.task(name="note")(ran.append)
    note.schedule(("first",), delay=60)
    queue.advance(30)
    assert ran == []
    queue.advance(30)
    assert ran == ["first"]
    is_accounted_for(queue)


def test_what_follows_a_delayed_task_follows_when_it_has_run() -> None:
    queue = MemoryQueue(immediate=True)
    add = queue.task(name="add")(lambda a, b: a + b)
    total = queue.task(name="total")(sum)
    pipeline = queue.enqueue(add.s(1, 2, delay=60).then(add, 3))
    members = queue.enqueue(chord([add.s(1, 1), add.s(2, 2, delay=60)], total))
    later = queue.enqueue(add.s(1, 2).then(add.s(3, delay=120)))
    queue.advance(60)
    assert (pipeline.get(), members.get(), later[1].is_ready()) == ([3, 6], 6, False)
    queue.advance(60)
    assert later.get() == [3, 6]
    is_accounted_for(queue)


def test_a_call_made_by_hand_runs_too(queue: RedisQueue) -> None:
    note = queue.task(name="note")(lambda: 1)
    assert queue.enqueue(Task(options=note.options)).get() == 1


def _view(queue: RedisQueue) -> Any:
    return queue_view(Links(queue.storage.address), queue.name)
