"""Pipelines, groups and chords: what follows a task is put on the queue in the write that ends it."""

import threading
from typing import Any

import pytest
from running import consuming, has_ended, is_accounted_for, statuses, told
from servers import wait_until
from starters import MakeQueue

from limelight import (
    SKIPPED,
    CancelExecution,
    ConfigurationError,
    RedisQueue,
    ResultTimeout,
    TaskException,
    UndecodableMessage,
    chord,
    group,
)
from limelight.consumer import Consumer
from limelight.storage import packing
from limelight.storage.link import Link


@pytest.fixture
def queue(make_queue: MakeQueue) -> RedisQueue:
    return make_queue("canvas")


def nothing_hangs(queue: RedisQueue) -> None:
    """Assert that no promise, group or waiter is left when every task has ended."""
    client = queue.storage.address.client()
    for thing in ("promised", "groups", "awaited", "locked"):
        assert client.hgetall(queue.keys[thing]) == {}, thing
    is_accounted_for(queue)


def test_a_pipeline_hands_results_on_and_each_stage_has_its_own(queue: RedisQueue) -> None:
    add = queue.task(name="add")(lambda a, b: a + b)
    pipeline = add.s(1, 2).then(add, 3).then(add, 4)
    with consuming(queue):
        results = queue.enqueue(pipeline)
        assert results.get(blocking=True, timeout=10) == [3, 6, 10]
    assert statuses(queue, status="enqueued") == ["enqueued"] * 3
    nothing_hangs(queue)


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ((1, 2), ((1, 2), {})),
        ({"b": 5}, ((), {"b": 5})),
        (None, ((), {})),
        ([1, 2], (([1, 2],), {})),
        (0, ((0,), {})),
    ],
)
def test_what_a_stage_is_given_depends_on_what_the_one_before_returned(
    queue: RedisQueue, returned: Any, expected: Any
) -> None:
    first = queue.task(name="first")(lambda: returned)
    show = queue.task(name="show")(lambda *args, **kwargs: (args, kwargs))
    with consuming(queue):
        results = queue.enqueue(first.s().then(show))
        assert results[1].get(blocking=True, timeout=10) == expected


def test_keyword_arguments_that_are_given_are_not_replaced_by_a_result(queue: RedisQueue) -> None:
    first = queue.task(name="first")(lambda: {"a": 1, "b": 2})
    show = queue.task(name="show")(lambda **kwargs: kwargs)
    with consuming(queue):
        assert queue.enqueue(first.s().then(show, a=9))[1].get(blocking=True, timeout=10) == {"a": 9, "b": 2}


def test_a_failed_stage_ends_the_pipeline_and_its_failure_is_the_result_of_the_rest(
    queue: RedisQueue,
) -> None:
    fail = queue.task(name="fail", retries=1)(lambda: 1 // 0)
    never = queue.task(name="never")(lambda x: x)
    with consuming(queue):
        results = queue.enqueue(fail.s().then(never).then(never))
        for result in results:
            with pytest.raises(TaskException, match="ZeroDivisionError"):
                result.get(blocking=True, timeout=10)
    assert "never" not in {event["task"] for event in told(queue)}
    nothing_hangs(queue)


def test_an_error_handler_is_called_once_with_the_failure_when_no_retry_remains(queue: RedisQueue) -> None:
    caught: list[Any] = []
    fail = queue.task(name="fail", retries=2)(lambda: 1 // 0)
    handle = queue.task(name="handle")(lambda prefix, error: caught.append((prefix, error)))
    with consuming(queue):
        result = queue.enqueue(fail.s().error(handle, "so"))
        wait_until(lambda: caught)
    ((prefix, error),) = caught
    assert prefix == "so"
    assert isinstance(error, TaskException)
    assert error.metadata["error_type"] == "ZeroDivisionError"
    assert error.metadata["task_id"] == result.id
    nothing_hangs(queue)


def test_an_error_handler_is_not_called_where_all_went_well(queue: RedisQueue) -> None:
    fine = queue.task(name="fine")(lambda: 1)
    with consuming(queue):
        assert queue.enqueue(fine.s().error(fine)).get(blocking=True, timeout=10) == 1
    assert statuses(queue, status="enqueued") == ["enqueued"]
    nothing_hangs(queue)


def test_a_group_is_enqueued_together_and_its_results_come_in_its_order(queue: RedisQueue) -> None:
    double = queue.task(name="double")(lambda x: 2 * x)
    with consuming(queue):
        results = queue.enqueue(group([double.s(n) for n in range(20)]))
        assert results.get(blocking=True, timeout=10) == [2 * n for n in range(20)]
        assert sorted(results.as_completed(timeout=10)) == sorted(2 * n for n in range(20))
    nothing_hangs(queue)


def test_as_completed_yields_what_ends_first_first(queue: RedisQueue) -> None:
    gate = threading.Event()
    slow = queue.task(name="slow")(lambda: gate.wait(10) and "slow")
    fast = queue.task(name="fast")(lambda: "fast")
    with consuming(queue):
        completed = queue.enqueue(group([slow.s(), fast.s()])).as_completed(timeout=10)
        assert next(completed) == "fast"
        gate.set()
        assert next(completed) == "slow"


def test_as_completed_is_a_timeout_where_something_never_ends(queue: RedisQueue) -> None:
    nothing = queue.task(name="nothing")(lambda: None)
    with pytest.raises(ResultTimeout, match="1 of 1"):
        list(queue.enqueue(group([nothing.s()])).as_completed(timeout=0.05))


def test_the_callback_of_a_chord_is_given_all_results_in_order(queue: RedisQueue) -> None:
    double = queue.task(name="double")(lambda x: 2 * x)
    total = queue.task(name="total")(sum)
    with consuming(queue, workers=4):
        result = queue.enqueue(chord([double.s(n) for n in range(10)], total))
        assert result.get(blocking=True, timeout=10) == 90
        assert result.results.get(blocking=True, timeout=10) == [2 * n for n in range(10)]
    members = told(queue, task="double", status="started")
    assert {(event["group_size"], event["group_id"]) for event in members} == {(10, members[0]["group_id"])}
    nothing_hangs(queue)


def test_a_member_that_fails_gives_its_failure_and_one_that_is_revoked_or_late_gives_skipped(
    queue: RedisQueue,
) -> None:
    seen: list[Any] = []
    ok = queue.task(name="ok")(lambda: "ok")
    fail = queue.task(name="fail")(lambda: 1 // 0)

    @queue.task()
    def cancel() -> None:
        raise CancelExecution("no")

    callback = queue.task(name="callback")(seen.extend)
    revoked = ok.s()
    members = [ok.s(), fail.s(), revoked, ok.s(expires=0.001), cancel.s()]
    result = queue.enqueue(group(members).then(callback))
    queue.revoke(revoked)
    wait_until(lambda: queue.storage.address.client().time()[0] > 0)
    with consuming(queue):
        result.get(blocking=True, timeout=10)
    assert seen[0] == "ok"
    assert isinstance(seen[1], TaskException)
    assert seen[2] is SKIPPED
    assert seen[3] is SKIPPED
    assert isinstance(seen[4], TaskException)
    nothing_hangs(queue)


def test_chords_nest_and_pipelines_are_members(queue: RedisQueue) -> None:
    add = queue.task(name="add")(lambda a, b: a + b)
    total = queue.task(name="total")(sum)
    inner = chord([add.s(1, 1), add.s(2, 2)], total).then(add, 100)
    with consuming(queue, workers=4):
        result = queue.enqueue(chord([inner, add.s(1, 2).then(add, 3), add.s(0, 1)], total).then(add, 1000))
        assert result.pipeline_results is not None
        assert result.pipeline_results.get(blocking=True, timeout=10) == [113, 1113]
        assert result.results.get(blocking=True, timeout=10) == [106, 6, 1]
    nothing_hangs(queue)


def test_a_pipeline_that_breaks_in_the_middle_tells_its_chord(queue: RedisQueue) -> None:
    fail = queue.task(name="fail")(lambda *_: 1 // 0)
    one = queue.task(name="one")(lambda *_: 1)
    kinds = queue.task(name="kinds")(lambda results: [type(result).__name__ for result in results])
    with consuming(queue):
        result = queue.enqueue(chord([fail.s().then(one), one.s().then(fail), one.s()], kinds))
        assert result.get(blocking=True, timeout=10) == ["TaskException", "TaskException", "int"]
    nothing_hangs(queue)


def test_who_reads_what_a_group_left_while_it_goes_is_told_that_it_is_gone(
    queue: RedisQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, groups = queue.storage.address.client(), queue.keys["groups"]
    client.hset(groups, mapping={"g": packing.raw(b"2", b"", b""), "g:0": b"one", "g:1": b"", "g:done": 2})
    assert queue.storage.gathered("g") == [b"one", b""]
    read = Link.read

    def read_and_lose(link: Link, *words: Any) -> Any:
        answer = read(link, *words)
        client.delete(groups)
        return answer

    monkeypatch.setattr(Link, "read", read_and_lose)
    with pytest.raises(UndecodableMessage, match="group g is not in Redis any more"):
        queue.storage.gathered("g")


def test_a_chord_without_members_calls_back_at_once(queue: RedisQueue) -> None:
    count = queue.task(name="count")(len)
    with consuming(queue):
        assert queue.enqueue(chord([], count)).get(blocking=True, timeout=10) == 0


def test_a_callback_that_fails_can_be_tried_again_with_the_same_results(queue: RedisQueue) -> None:
    tries: list[Any] = []
    one = queue.task(name="one")(lambda: 1)

    @queue.task(retries=1)
    def callback(results: list[Any]) -> int:
        tries.append(results)
        return 1 // (len(tries) - 1)

    with consuming(queue):
        assert queue.enqueue(chord([one.s(), one.s()], callback)).get(blocking=True, timeout=10) == 1
    assert tries == [[1, 1], [1, 1]]
    nothing_hangs(queue)


def test_a_member_whose_worker_dies_does_not_lose_the_callback(queue: RedisQueue) -> None:
    """The member is reserved and started by a worker that is never heard of again."""
    one = queue.task(name="one")(lambda: 1)
    total = queue.task(name="total")(sum)
    result = queue.enqueue(chord([one.s(), one.s()], total))
    from limelight.storage.base import ReserveRequest

    request = ReserveRequest("gone", 1, count=1, lease_seconds=1, names=["one"])
    _, taken = queue.storage.settle_and_reserve([], request, where="", result_ttl_ms=1000)
    assert len(taken.tasks) == 1  # type: ignore[union-attr]
    with consuming(queue, lease_seconds=1):
        assert result.get(blocking=True, timeout=20) == 2
    assert "lost" in statuses(queue)
    nothing_hangs(queue)


def test_a_member_that_is_dead_for_good_tells_its_chord_too(make_queue: MakeQueue) -> None:
    queue = make_queue("canvas", max_redeliveries=0)
    one = queue.task(name="one")(lambda: 1)
    kinds = queue.task(name="kinds")(lambda results: [type(result).__name__ for result in results])
    result = queue.enqueue(chord([one.s()], kinds))
    from limelight.storage.base import ReserveRequest

    request = ReserveRequest("gone", 1, count=1, lease_seconds=1, names=["one"])
    queue.storage.settle_and_reserve([], request, where="", result_ttl_ms=1000)
    with consuming(queue, lease_seconds=1):
        assert result.get(blocking=True, timeout=20) == ["TaskException"]


def test_a_queue_that_stores_no_results_still_hands_them_on(make_queue: MakeQueue) -> None:
    queue = make_queue("canvas", results=False)
    seen: list[Any] = []
    one = queue.task(name="one")(lambda: 1)
    note = queue.task(name="note")(seen.append)
    with consuming(queue):
        queue.enqueue(one.s().then(note))
        queue.enqueue(chord([one.s(), one.s()], note))
        wait_until(lambda: len(seen) == 2)
    assert sorted(seen, key=str) == [1, [1, 1]]
    assert queue.storage.address.client().keys("*result*") == []


def test_revoking_the_head_of_a_pipeline_ends_all_of_it(queue: RedisQueue) -> None:
    one = queue.task(name="one")(lambda *_: 1)
    pipeline = one.s().then(one).error(one)
    results = queue.enqueue(pipeline)
    queue.revoke(pipeline)
    with consuming(queue):
        wait_until(lambda: has_ended(queue, pipeline.id))
        with pytest.raises(TaskException, match="without a result"):
            results[1].get(blocking=True, timeout=10)
    assert statuses(queue, status="enqueued") == ["enqueued"]
    nothing_hangs(queue)


def test_calls_of_two_queues_are_refused_and_so_is_one_call_twice(queue: RedisQueue) -> None:
    one = queue.task(name="one")(lambda: 1)
    other = RedisQueue("other", url=queue.storage.address.shown and "redis://localhost:1")
    two = other.task(name="two")(lambda: 2)
    with pytest.raises(ConfigurationError, match="'canvas' and 'other'"):
        queue.enqueue(one.s().then(two))
    call = one.s()
    with pytest.raises(ConfigurationError, match="twice"):
        queue.enqueue(group([call, call]))
    with pytest.raises(ConfigurationError, match="empty"):
        queue.enqueue(group([]))
    with pytest.raises(ConfigurationError, match="member"):
        queue.enqueue(chord([group([one.s()])], one))  # type: ignore[list-item]
    assert told(queue) == []


def test_one_handler_serves_every_member_of_a_group(queue: RedisQueue) -> None:
    caught: list[Any] = []
    fail = queue.task(name="fail")(lambda: 1 // 0)
    note = queue.task(name="note")(caught.append)
    with consuming(queue):
        queue.enqueue(group([fail.s(), fail.s()]).error(note))
        queue.enqueue(group([fail.s(), fail.s()]).error(note.s()))
        wait_until(lambda: len(caught) == 4)


def test_many_calls_go_in_few_writes_and_each_is_told(queue: RedisQueue) -> None:
    double = queue.task(name="double")(lambda x: 2 * x)
    results = double.map(range(1_200))
    assert len(results) == 1_200
    assert queue.storage.address.client().zcard(queue.keys["ready"]) == 1_200
    with consuming(queue):
        assert results.get(blocking=True, timeout=30) == [2 * n for n in range(1_200)]
    is_accounted_for(queue)


def test_a_stage_is_a_child_of_the_run_before_it(queue: RedisQueue) -> None:
    one = queue.task(name="one")(lambda *_: 1)
    pipeline = one.s().then(one)
    with consuming(queue):
        queue.enqueue(pipeline).get(blocking=True, timeout=10)
    assert pipeline.on_complete is not None
    (closed,) = told(queue, id=pipeline.id, status="finished")
    (follows,) = told(queue, id=pipeline.on_complete.id, status="enqueued")
    assert (follows["trace_id"], follows["parent_span_id"]) == (closed["trace_id"], closed["span_id"])


def test_stopping_in_the_middle_of_a_chord_loses_nothing(queue: RedisQueue) -> None:
    one = queue.task(name="one")(lambda: 1)
    total = queue.task(name="total")(sum)
    result = queue.enqueue(chord([one.s() for _ in range(50)], total))
    for _ in range(3):
        consumer = Consumer(queue, workers=2, lease_seconds=3)
        consumer.start()
        consumer.stop()
    with consuming(queue):
        assert result.get(blocking=True, timeout=10) == 50
    nothing_hangs(queue)
