"""Idle threads of a single queue stand at its door: whoever waits has the task with the answer to its wait."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from proxy import FaultyProxy
from running import consuming, is_accounted_for, statuses, told
from servers import wait_until

from limelight import OutcomeUnknown, RedisQueue, RedisUnavailable
from limelight.consumer.errand import Errand
from limelight.consumer.holdings import Job
from limelight.consumer.reporter import Reporter
from limelight.consumer.trips import Trips
from limelight.storage.scripts import SCRIPTS
from limelight.storage.wait import Wait


@pytest.fixture
def queue(redis_url: str) -> RedisQueue:
    return RedisQueue("standing", url=redis_url)


def blocked(queue: RedisQueue) -> int:
    return int(queue.storage.address.client().info("clients")["blocked_clients"])


def errand_of(queue: RedisQueue) -> Errand:
    trips = Trips(queue, reporter=Reporter(queue.storage), on_scheduled=lambda: None, lease_seconds=30)
    return Errand(trips, owner="stander:1", worker="worker-1", stopping=threading.Event())


@contextmanager
def standing(errand: Errand, wait: Wait) -> Iterator[list[Job]]:
    """Have somebody stand at the door; what it was given is there when it has left."""
    given: list[Job] = []
    thread = threading.Thread(target=lambda: given.extend(errand.stand(1, wait)[1]), daemon=True)
    thread.start()
    try:
        yield given
        thread.join(10)
        assert not thread.is_alive()
    finally:
        wait.end()


def test_a_task_is_reserved_in_the_trip_that_waited_for_it(queue: RedisQueue) -> None:
    errand, note = errand_of(queue), queue.task(name="note")(lambda: 1)
    client = queue.storage.address.client()
    client.config_resetstat()
    with standing(errand, Wait()) as given:
        wait_until(lambda: blocked(queue) == 1)
        handle = note()
        wait_until(lambda: given)
    calls: dict[str, Any] = client.info("commandstats")
    assert [job.handed.lease.task_id for job in given] == [handle.id]
    assert statuses(queue, id=handle.id) == ["enqueued", "started"]
    assert calls["cmdstat_blpop"]["calls"] == 1
    assert calls["cmdstat_evalsha"]["calls"] == 2  # enqueue and reserve


def test_a_lease_counts_from_before_the_wait(queue: RedisQueue) -> None:
    """Nobody can tell when Redis reserved: a process may be frozen between that and the answer."""
    errand, note = errand_of(queue), queue.task(name="note")(lambda: 1)
    began = time.monotonic()
    with standing(errand, Wait()) as given:
        wait_until(lambda: blocked(queue) == 1)
        stood = time.monotonic()
        wait_until(lambda: time.monotonic() - stood > 0.5)
        note()
        wait_until(lambda: given)
    assert began + 30 <= given[0].good_until <= stood + 30


def test_who_is_called_away_leaves_at_once_and_nothing_is_told(queue: RedisQueue) -> None:
    errand, wait = errand_of(queue), Wait()
    began = time.monotonic()
    with standing(errand, wait) as given:
        wait_until(lambda: blocked(queue) == 1)
        wait.end()
    assert not given
    assert time.monotonic() - began < 4
    assert not errand.is_owed_an_answer
    assert not told(queue)


def test_who_is_called_away_before_the_wait_does_not_begin_it(queue: RedisQueue) -> None:
    wait = Wait()
    wait.end()
    with pytest.raises(RedisUnavailable):
        queue.storage.wait_for_work(5, wait)
    assert errand_of(queue).stand(1, wait) == ([], [])


def test_a_wait_that_is_ended_has_an_unknown_outcome(queue: RedisQueue) -> None:
    wait = Wait()
    raised: list[BaseException] = []

    def stand() -> None:
        try:
            queue.storage.wait_for_work(5, wait)
        except OutcomeUnknown as error:
            raised.append(error)

    thread = threading.Thread(target=stand, daemon=True)
    thread.start()
    wait_until(lambda: blocked(queue) == 1)
    wait.end()
    thread.join(10)
    assert len(raised) == 1


def test_an_answer_that_is_lost_at_the_door_is_asked_for_again_and_not_waited_for(
    redis_url: str, faulty_proxy: FaultyProxy
) -> None:
    queue, direct = RedisQueue("standing", url=faulty_proxy.url), RedisQueue("standing", url=redis_url)
    errand = errand_of(queue)
    queue.task(name="note")(lambda: 1)
    note = direct.task(name="note")(lambda: 1)
    faulty_proxy.drop_reply(SCRIPTS["reserve"].sha)
    with standing(errand, Wait()) as given:
        wait_until(lambda: blocked(direct) == 1)
        handle, began = note(), time.monotonic()
        wait_until(lambda: given)
        assert time.monotonic() - began < 4
    assert faulty_proxy.dropped
    assert not errand.is_owed_an_answer
    assert [job.handed.lease.task_id for job in given] == [handle.id]
    assert statuses(direct, id=handle.id) == ["enqueued", "started"]


def test_each_of_many_slow_tasks_finds_one_of_as_many_idle_workers(queue: RedisQueue) -> None:
    """Two stand at the door; whoever leaves it empty has somebody else take the place."""
    go_on, running = threading.Event(), []
    client = queue.storage.address.client()

    @queue.task(name="slow")
    def slow(number: int) -> None:
        running.append(number)
        assert go_on.wait(30)

    with consuming(queue, workers=6, lease_seconds=30):
        try:
            wait_until(lambda: blocked(queue) == 2)
            waits = []
            for number in range(6):
                called = time.monotonic()
                slow(number)
                wait_until(lambda number=number: number in running, 20)
                waits.append(time.monotonic() - called)
            assert max(waits) < 2, waits  # who looks now and then does so every 5 s
            assert blocked(queue) == 0
            slow(6)
            assert client.zcard(queue.keys["ready"]) == 1
        finally:
            go_on.set()
    is_accounted_for(queue)


def test_a_burst_finds_all_idle_workers(queue: RedisQueue) -> None:
    together = threading.Barrier(6)
    meet = queue.task(name="meet")(lambda: together.wait(4) >= 0)
    with consuming(queue, workers=6, lease_seconds=30):
        wait_until(lambda: blocked(queue) == 2)
        handles = queue.enqueue_many(meet.s() for _ in range(6))
        assert all(handle.get(blocking=True, timeout=10) for handle in handles)
    is_accounted_for(queue)


def test_an_idle_consumer_stops_at_once(queue: RedisQueue) -> None:
    with consuming(queue, workers=4, lease_seconds=30) as consumer:
        wait_until(lambda: blocked(queue) == 2)
        began = time.monotonic()
        assert consumer.stop()
        assert time.monotonic() - began < 4
        wait_until(lambda: blocked(queue) == 0)
    assert not told(queue, status="error-dequeueing")


def test_a_killed_connection_at_the_door_is_no_outage(queue: RedisQueue) -> None:
    note, client = queue.task(name="note")(lambda: 1), queue.storage.address.client()
    with consuming(queue, workers=2, lease_seconds=30):
        for _ in range(5):
            wait_until(lambda: blocked(queue) == 2)
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            assert note().get(blocking=True, timeout=10) == 1
    assert not told(queue, status="error-dequeueing")
    is_accounted_for(queue)


def test_scripts_that_redis_forgot_meanwhile_are_sent_again(queue: RedisQueue) -> None:
    note, client = queue.task(name="note")(lambda: 1), queue.storage.address.client()
    with consuming(queue, workers=1, lease_seconds=30):
        wait_until(lambda: blocked(queue) == 1)
        client.script_flush()
        assert note().get(blocking=True, timeout=4) == 1
    assert not told(queue, status="error-dequeueing")


def test_who_stands_at_the_door_of_a_paused_queue_begins_when_it_is_resumed(queue: RedisQueue) -> None:
    note = queue.task(name="note")(lambda: 1)
    with consuming(queue, workers=2, lease_seconds=30):
        wait_until(lambda: blocked(queue) == 2)
        queue.pause()
        handles = [note() for _ in range(5)]
        wait_until(lambda: blocked(queue) == 2)
        queue.resume()
        assert [handle.get(blocking=True, timeout=4) for handle in handles] == [1] * 5
    is_accounted_for(queue)


def test_who_stands_at_the_door_is_called_away_for_what_lies_behind_a_slow_task(queue: RedisQueue) -> None:
    go_on, ran = threading.Event(), threading.Event()
    slow = queue.task(name="slow")(lambda: go_on.wait(30))
    note = queue.task(name="note")(ran.set)
    with consuming(queue, workers=2, lease_seconds=30) as consumer:
        try:
            wait_until(lambda: blocked(queue) == 2)
            (station,) = consumer._stations
            station.trips.pace.note(0.0)
            station.trips.pace.note(0.0)
            for _ in range(2):  # who stands there has asked with an older pace
                wait_until(lambda: blocked(queue) == 2)
                queue.task(name="quick")(lambda: 1)().get(blocking=True, timeout=10)
            wait_until(lambda: blocked(queue) == 2)
            storage = queue.storage
            storage.producing.enqueue(
                [queue.parcel(task) for task in (slow.s(), note.s())], storage.producing.new_receipt()
            )
            assert ran.wait(4)
        finally:
            go_on.set()
    assert not told(queue, status="interrupted")
    is_accounted_for(queue)
