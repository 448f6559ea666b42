"""What an operator does to tasks on which others hang: pipelines, groups and chords; and to a store in memory."""

import time
from typing import Any

import pytest
from running import consuming, has_ended, is_accounted_for, told
from servers import wait_until
from states import buried, task_in

from limelight import SKIPPED, RedisQueue, TaskException, chord
from limelight.lifecycle import State
from limelight.memory import MemoryConnection, MemoryStore


@pytest.fixture
def queue(any_redis_url: str) -> RedisQueue:
    return RedisQueue("work", url=any_redis_url)


class Head:
    """A task body that fails until it is mended."""

    __name__ = __qualname__ = "head"

    def __init__(self) -> None:
        self.mended = False

    def __call__(self, value: int = 1) -> int:
        if not self.mended:
            raise ValueError("no luck")
        return value


def _died(queue: RedisQueue, task_id: str, times: int = 1) -> None:
    wait_until(lambda: len(told(queue, id=task_id, status="dead")) == times)


def test_a_requeued_head_goes_on_with_its_pipeline_and_its_failure_is_handled_once(queue: RedisQueue) -> None:
    body, failures = Head(), list[Any]()
    head = queue.task(name="head")(body)
    double = queue.task(name="double")(lambda value: value * 2)
    failed = queue.task(name="failed")(failures.append)
    with consuming(queue):
        results = queue.enqueue(head.s(21).then(double).error(failed))
        head_id, double_id = results[0].id, results[1].id
        _died(queue, head_id)
        wait_until(lambda: failures)
        queue.dead.requeue(head_id)
        _died(queue, head_id, 2)
        body.mended = True
        queue.dead.requeue(head_id)
        wait_until(lambda: has_ended(queue, double_id))
    assert queue.result(double_id) == 42
    assert len(failures) == 1
    assert queue.keys["promised"] not in {key.decode() for key in queue.storage.address.client().scan_iter()}
    is_accounted_for(queue)


def test_what_handles_a_failure_and_still_waits_is_not_put_on_the_queue_again(queue: RedisQueue) -> None:
    head = queue.task(name="head")(Head())
    elsewhere = queue.task(name="elsewhere")(lambda failure: None)
    queue.registry.remove("elsewhere")
    handle = queue.enqueue(head.s().error(elsewhere))
    for times in (1, 2):
        with consuming(queue, workers=1):
            _died(queue, handle.id, times)
            wait_until(lambda: len(told(queue, task="elsewhere", status="enqueued")) == 1)
        queue.dead.requeue(handle.id)
        is_accounted_for(queue)


def test_the_callback_of_a_chord_comes_although_a_member_was_canceled(queue: RedisQueue) -> None:
    number = queue.task(name="number")(lambda value: value)
    seen: list[list[Any]] = []
    gather = queue.task(name="gather")(seen.append)
    queue.enqueue(chord([number.s(1), number.s(2)], gather))
    canceled = queue.pending()[0]
    assert queue.cancel(canceled.id) == 1
    with consuming(queue):
        wait_until(lambda: told(queue, task="gather", status="finished"))
    assert seen == [[SKIPPED, 2]]
    assert not queue.storage.address.client().exists(queue.keys["groups"])
    is_accounted_for(queue)


def test_a_flush_of_a_whole_chord_leaves_nothing_of_it(queue: RedisQueue) -> None:
    number = queue.task(name="number")(lambda value: value)
    gather = queue.task(name="gather")(lambda values: values)
    queue.enqueue(chord([number.s(1), number.s(2)], gather))
    assert queue.flush() == 3, "the callback came when the last member went, and went too"
    client = queue.storage.address.client()
    assert not client.exists(*(queue.keys[thing] for thing in ("tasks", "groups", "promised")))


def test_the_purge_of_a_dead_callback_forgets_what_it_was_to_gather(queue: RedisQueue) -> None:
    number = queue.task(name="number")(lambda value: value)

    @queue.task()
    def gather(values: list[int]) -> None:
        raise ValueError(values)

    with consuming(queue):
        queue.enqueue(chord([number.s(1)], gather))
        wait_until(lambda: told(queue, task="gather", status="dead"))
    client = queue.storage.address.client()
    assert client.exists(queue.keys["groups"]), "a requeue would need it"
    assert queue.dead.purge_all() == 1
    assert not client.exists(queue.keys["groups"])


def test_a_requeued_task_does_not_expire(queue: RedisQueue) -> None:
    task_id = task_in(queue, State.DEAD)
    (dead_again,) = buried(queue, 1)
    assert queue.dead.requeue(dead_again) == 1
    queue.flush()
    body = Head()
    head = queue.task(name="head", expires=1)(body)
    with consuming(queue):
        handle = head()
        _died(queue, handle.id)
        over = time.monotonic() + 1.1  # then its first life's time to start is over
        wait_until(lambda: time.monotonic() > over)
        body.mended = True
        queue.dead.requeue(handle.id)
        assert queue.result_handle(handle.id).get(blocking=True, timeout=10) == 1
    assert queue.dead.get(task_id)


def test_whoever_waits_for_a_canceled_task_is_told(queue: RedisQueue) -> None:
    task_id = task_in(queue, State.READY)
    handle = queue.result_handle(task_id)
    queue.cancel(task_id)
    with pytest.raises(TaskException):
        handle.get(blocking=True, timeout=5)


def test_all_of_it_works_on_a_store_in_memory() -> None:
    queue = RedisQueue("work", connection_class=MemoryConnection, store=MemoryStore())
    dead, again = buried(queue, 2)
    waits, later = task_in(queue, State.READY), task_in(queue, State.DELAYED)
    assert [letter.id for letter in queue.dead] == [again, dead]
    assert queue.dead.get(dead).error_type == "app.NoLuck"  # type: ignore[union-attr]
    assert ([task.id for task in queue.pending()], [task.id for task in queue.scheduled()]) == (
        [waits],
        [later],
    )
    assert queue.task_state(waits).state is State.READY  # type: ignore[union-attr]
    assert (queue.dead.requeue(again), queue.dead.purge(dead), queue.cancel(waits), queue.flush()) == (
        1,
        1,
        1,
        2,
    )
    assert (queue.pause(), queue.resume()) == (True, True)
    queue.put("key", 1, ttl=60)
    assert (queue.put_if_empty("key", 2), queue.get("key"), queue.get("key")) == (False, 1, None)
    is_accounted_for(queue)
