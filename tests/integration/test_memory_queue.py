"""What is particular to a queue in memory; the rules that it shares with Redis are in the contract suite."""

import subprocess
import sys
import threading
from typing import Any

import pytest
from running import consuming, is_accounted_for, statuses, told
from servers import wait_until

from limelight import ConfigurationError, MemoryQueue, TaskException, chord
from limelight.consumer import Consumer
from limelight.inspection import queue_view
from limelight.memory import MemoryStore
from limelight.storage.links import Links


def test_two_queues_share_nothing_unless_they_share_a_store() -> None:
    one, other = MemoryQueue("work"), MemoryQueue("work")
    one.task(name="note")(lambda: 1)()
    assert (len(told(one)), len(told(other))) == (1, 0)
    store = MemoryStore()
    producer, consumer = MemoryQueue("work", store=store), MemoryQueue("work", store=store)
    consumer.task(name="note")(lambda: 2)
    handle = producer.task(name="note")(lambda: None)()
    assert consumer.drain() == 1
    assert handle.get() == 2


def test_two_names_in_one_store_are_two_queues() -> None:
    store = MemoryStore()
    mail, news = MemoryQueue("mail", store=store), MemoryQueue("news", store=store)
    mail.task(name="note")(lambda: 1)()
    assert news.drain() == 0
    assert mail.drain() == 1


def test_it_shows_where_it_is_and_takes_no_server() -> None:
    assert repr(MemoryQueue("work")) == "MemoryQueue('work' at memory)"
    with pytest.raises(ConfigurationError, match="takes no host, url"):
        MemoryQueue("work", url="redis://localhost", host="x")
    with pytest.raises(ConfigurationError, match="colour"):
        MemoryQueue("work", colour="red")


def test_draining_runs_what_is_ready_and_what_becomes_ready_by_it() -> None:
    queue, ran = MemoryQueue(), list[Any]()
    inner = queue.task(name="inner")(ran.append)

    @queue.task(retries=2)
    def outer() -> None:
        inner(len(ran))
        raise ValueError("as planned")

    handle, later = outer(), inner.schedule((99,), delay=60)
    assert queue.drain() == 6
    assert ran == [0, 1, 2]
    with pytest.raises(TaskException, match="as planned"):
        handle.get()
    assert later.get() is None
    assert queue.drain() == 0
    is_accounted_for(queue)
    assert not queue.storage.address.client().exists(queue.keys["requests"])


def test_draining_goes_on_where_a_task_ended_unstarted() -> None:
    queue = MemoryQueue()
    one = queue.task(name="one")(lambda: 1)
    kinds = queue.task(name="kinds")(len)
    calls = [one.s(expires=0), one.s(expires=0)]
    handle = queue.enqueue(chord(calls, kinds))
    queue.advance(1)
    assert queue.drain() == 1
    assert handle.get() == 2
    is_accounted_for(queue)


def test_draining_a_paused_queue_runs_nothing() -> None:
    queue = MemoryQueue()
    note = queue.task(name="note")(lambda: 1)
    note()
    note.schedule(delay=60)
    queue.pause()
    assert queue.drain() == 0
    queue.resume()
    assert queue.drain() == 1


def test_draining_buries_what_nobody_knows() -> None:
    queue = MemoryQueue()
    task = queue.task(name="gone")(lambda: 1)
    handle = task()
    task.unregister()
    assert queue.drain() == 0
    assert statuses(queue, id=handle.id)[-2:] == ["error-internal", "dead"]
    with pytest.raises(TaskException, match="no task named 'gone'"):
        handle.get()
    is_accounted_for(queue)


def test_moving_the_clock_makes_ready_what_is_due_then() -> None:
    queue, ran = MemoryQueue(result_ttl=3_600), list[str]()
    note = queue.task(name="note")(ran.append)
    hour, day = note.schedule(("hour",), delay=3_600), note.schedule(("day",), delay=86_400)
    queue.advance(3_599)
    assert queue.drain() == 0
    queue.advance(1)
    assert queue.drain() == 1
    assert (ran, hour.is_ready(), day.is_ready()) == (["hour"], True, False)
    assert statuses(queue, id=hour.id) == ["enqueued", "scheduled", "started", "finished"]
    queue.advance(3_600)
    assert not queue.result_handle(hour.id).is_ready()
    view = queue_view(Links(queue.storage.address), queue.name)
    assert (view.scheduled, view.ready, view.mismatch) == (1, 0, 0)


def test_a_lease_runs_out_by_the_stores_clock_and_the_task_runs_again() -> None:
    queue = MemoryQueue()
    note = queue.task(name="note")(lambda: 1)
    handle = note()
    lease = queue.storage.take(handle.id, lease_seconds=10)
    assert lease is not None
    queue.storage.start([lease], lease_seconds=10, where="")
    for _ in range(4):  # in steps: after a longer silence an owner is given one lease more
        assert not queue.storage.expired(lease_seconds=10, count=10)
        queue.advance(3)
    for task_id in queue.storage.expired(lease_seconds=10, count=10):
        queue.storage.reap(task_id, lease_seconds=10, result=b"", result_ttl_ms=1, where="")
    assert queue.drain() == 1
    assert statuses(queue, id=handle.id) == [
        "enqueued",
        "started",
        "lost",
        "redelivered",
        "started",
        "finished",
    ]


def test_a_consumer_works_on_it_and_listeners_hear_it() -> None:
    queue, seen = MemoryQueue(), list[str]()
    add = queue.task(name="add")(lambda a, b: a + b)
    events = iter(queue.storage)

    def listen() -> None:
        seen.extend(event["status"] for event in events if event["task"] == "add")

    threading.Thread(target=listen, daemon=True).start()
    with consuming(queue, workers=4):
        assert add(1, 2).get(blocking=True, timeout=10) == 3
        wait_until(lambda: seen == ["started", "finished"])


def test_processes_are_refused_because_they_could_not_share_it() -> None:
    with pytest.raises(ConfigurationError, match="'work' is in memory"):
        Consumer(MemoryQueue("work"), kind="process")


def test_many_threads_may_use_it_at_once() -> None:
    queue = MemoryQueue()
    add = queue.task(name="add")(lambda a, b: a + b)
    found: list[int | None] = []

    def produce() -> None:
        handles = [add(n, n) for n in range(20)]
        found.extend(handle.get(blocking=True, timeout=20) for handle in handles)

    with consuming(queue, workers=4):
        threads = [threading.Thread(target=produce) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert sorted(one or 0 for one in found) == sorted(2 * n for n in range(20) for _ in range(4))
    is_accounted_for(queue)


def test_a_queue_that_is_forgotten_leaves_no_thread() -> None:
    queue = MemoryQueue()
    queue.task(name="note")(lambda: 1)()
    queue.drain()
    store = queue.store
    queue.close()
    del queue
    wait_until(lambda: not store._sessions)


def test_without_its_extra_it_says_what_to_install() -> None:
    code = "import sys\nsys.modules['lupa'] = None\nimport limelight\nlimelight.MemoryQueue()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ConfigurationError" in done.stderr
    assert "pip install 'limelight[memory]'" in done.stderr


def test_who_uses_no_memory_loads_none_of_it() -> None:
    code = (
        "import sys, limelight\nlimelight.RedisQueue('work')\n"
        "assert not [name for name in sys.modules if name.startswith(('lupa', 'limelight.memory.'))]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
