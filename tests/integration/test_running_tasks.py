"""Tasks run, on a real Redis of each kind that is at hand, and in memory: the same rules hold on each."""

import datetime as dt
import threading
import time
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from running import consuming, has_ended, is_accounted_for, statuses, told
from servers import wait_until
from starters import MakeQueue

from limelight import (
    CancelExecution,
    CannotCarry,
    ConfigurationError,
    RedisQueue,
    ResultTimeout,
    RetryTask,
    SignedPickle,
    TaskException,
    crontab,
)


@pytest.fixture
def queue(make_queue: MakeQueue) -> RedisQueue:
    return make_queue("work")


def test_a_task_runs_and_its_result_comes_back_as_it_was(queue: RedisQueue) -> None:
    @queue.task()
    def echo(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    sent = ((1, "ä", b"\xff"), {UUID(int=1): Decimal("0.10"), "when": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)})
    with consuming(queue):
        assert echo(*sent, to={1, 2}).get(blocking=True, timeout=10) == (sent, {"to": {1, 2}})
    is_accounted_for(queue)


def test_a_result_of_none_is_a_result_and_reading_removes_nothing(queue: RedisQueue) -> None:
    nothing = queue.task(name="nothing")(lambda: None)
    with consuming(queue):
        handle = nothing()
        assert handle.get(blocking=True, timeout=10) is None
        assert handle.is_ready()
        assert queue.result_handle(handle.id).is_ready()
    client = queue.storage.address.client()
    assert 0 < client.pttl(queue.keys.result(handle.id)) <= queue.result_ttl_ms


def test_a_result_that_is_late_is_a_timeout_and_may_revoke(queue: RedisQueue) -> None:
    nothing = queue.task(name="nothing")(lambda: None)
    handle = nothing()
    assert handle.get() is None
    with pytest.raises(ResultTimeout, match=handle.id):
        handle.get(blocking=True, timeout=0.05, revoke_on_timeout=True)
    assert handle.is_revoked()


def test_a_failed_task_raises_where_its_result_is_read(queue: RedisQueue) -> None:
    @queue.task(retries=1)
    def fail() -> None:
        raise ValueError("no luck")

    with consuming(queue):
        handle = fail()
        with pytest.raises(TaskException, match="ValueError: no luck") as raised:
            handle.get(blocking=True, timeout=10)
    assert raised.value.metadata["task_id"] == handle.id
    assert raised.value.metadata["retries"] == 1
    assert 'raise ValueError("no luck")' in raised.value.metadata["traceback"]
    dead = told(queue, status="dead")
    assert [(event["error_type"], event["error_message"]) for event in dead] == [("ValueError", "no luck")]


def test_higher_priority_runs_first_and_equals_in_the_order_they_came(queue: RedisQueue) -> None:
    order: list[Any] = []
    note = queue.task(name="note")(order.append)
    for value, priority in [("a", 0), ("b", 10), ("c", 0), ("d", -5), ("e", 4095)]:
        note.schedule((value,), priority=priority)
    with consuming(queue, workers=1):
        wait_until(lambda: len(order) == 5)
    assert order == ["e", "b", "a", "c", "d"]


def test_a_delayed_task_waits_on_the_schedule_and_its_wait_counts_from_when_it_was_due(
    queue: RedisQueue,
) -> None:
    ran: list[float] = []
    note = queue.task(name="note")(lambda: ran.append(time.time()))
    eta = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)
    handles = [note.schedule(eta=eta), note.schedule(delay=1), note.schedule(dt.timedelta(seconds=1))]
    assert (
        queue.storage.schedule_delayed(3, "") == 3
    )  # before they are due, or they would be ready without that
    with consuming(queue):
        wait_until(lambda: len(ran) == 3)
        for handle in handles:
            wait_until(lambda task_id=handle.id: has_ended(queue, task_id))
    assert min(ran) >= eta.timestamp()
    for handle in handles:
        started = told(queue, id=handle.id, status="started")[0]
        assert started["ready_at"] == pytest.approx(started["execute_time"], abs=1e-5)
        assert started["wait"] == pytest.approx(started["timestamp"] - started["ready_at"], abs=1e-3)
        assert started["wait"] >= 0
        assert statuses(queue, id=handle.id) == ["enqueued", "scheduled", "started", "finished"]
    is_accounted_for(queue)


def test_an_eta_in_the_past_runs_at_once(queue: RedisQueue) -> None:
    note = queue.task(name="note")(lambda: 1)
    with consuming(queue):
        handle = note.schedule(eta=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        assert handle.get(blocking=True, timeout=10) == 1
    assert statuses(queue, id=handle.id) == ["enqueued", "started", "finished"]


def test_retries_back_off_and_the_time_between_is_accounted_for(queue: RedisQueue) -> None:
    @queue.task(retries=2, retry_delay=0.1, retry_backoff=3)
    def fail() -> None:
        raise KeyError

    with consuming(queue):
        handle = fail()
        wait_until(lambda: has_ended(queue, handle.id))
    delays = [event["retry_delay"] for event in told(queue, id=handle.id, status="scheduled")]
    assert delays == pytest.approx([0.1, 0.3])
    end = told(queue, id=handle.id, status="dead")[0]
    assert end["backed_off_seconds"] == pytest.approx(0.4)
    assert end["retries_used"] == 2
    phases = sum(end[f"{phase}_seconds"] for phase in ("waited", "ran", "backed_off", "parked"))
    assert phases == pytest.approx(end["timestamp"] - end["first_ready_at"], abs=1e-5)
    attempts = [event["attempt"] for event in told(queue, id=handle.id, outcome="error")]
    assert attempts == [1, 2, 3]


def test_jitter_and_the_longest_delay_hold_for_what_is_really_waited(queue: RedisQueue) -> None:
    @queue.task(retries=3, retry_delay=0.1, retry_backoff=4, retry_max_delay=0.2)
    def fail() -> None:
        raise KeyError

    with consuming(queue):
        steady, spread = fail(), fail.schedule(retry_jitter=1, retry_max_delay=0.3)
        for handle in (steady, spread):
            wait_until(lambda task_id=handle.id: has_ended(queue, task_id))
    assert told(queue, id=steady.id, status="dead")[0]["backed_off_seconds"] == pytest.approx(0.5)
    waits = [
        again["execute_time"] - again["timestamp"] for again in told(queue, id=spread.id, status="scheduled")
    ]
    assert all(0 <= wait <= longest for wait, longest in zip(waits, (0.1, 0.3, 0.3), strict=True))
    assert waits != pytest.approx([0.1, 0.3, 0.3], abs=1e-4)


def test_a_task_may_ask_to_be_run_again_or_stop_without_failing(queue: RedisQueue) -> None:
    runs: list[int] = []
    stops: list[bool | None] = []

    @queue.task()
    def again() -> str:
        runs.append(1)
        if len(runs) < 3:
            raise RetryTask(delay=0.05)
        return "third"

    @queue.task(retries=1)
    def stop(retry: bool | None, times: int) -> None:
        stops.append(retry)
        raise CancelExecution("enough", retry=retry and stops.count(retry) < times)

    with consuming(queue):
        assert again().get(blocking=True, timeout=10) == "third"
        for retry, times in ((None, 2), (False, 1), (True, 4)):
            handle = stop(retry, times)
            with pytest.raises(TaskException, match="canceled"):
                handle.get(blocking=True, timeout=10)
            assert told(queue, id=handle.id)[-1]["end"] == "canceled"
            assert stops.count(retry) == times
    asked = told(queue, task="again", status="retrying")
    assert [event["outcome"] for event in asked] == ["retry", "retry"]
    assert all(event["duration"] >= 0 for event in asked)
    is_accounted_for(queue)


def test_a_revoked_task_ends_when_it_is_pulled_and_a_restored_one_runs(queue: RedisQueue) -> None:
    note = queue.task(name="note")(lambda: 1)
    revoked, restored, late = note(), note(), note.schedule(delay=1)
    assert queue.storage.schedule_delayed(1, "") == 1  # before it is due, or it would be ready without that
    assert revoked.revoke()
    assert restored.revoke()
    assert queue.revoke_by_id(late.id) == 1
    assert queue.is_revoked(late)
    assert restored.restore()
    assert not restored.restore()
    assert not queue.revoke_by_id(str(uuid4()))
    with consuming(queue):
        assert restored.get(blocking=True, timeout=10) == 1
        for handle in (revoked, late):
            wait_until(lambda task_id=handle.id: has_ended(queue, task_id))
    assert statuses(queue, id=revoked.id) == ["enqueued", "revoked"]
    assert statuses(queue, id=late.id) == ["enqueued", "scheduled", "revoked"]
    assert not queue.storage.address.client().exists(queue.keys["revoked"])
    is_accounted_for(queue)


def test_a_result_that_cannot_be_carried_ends_the_task_and_says_why(queue: RedisQueue) -> None:
    unstorable = queue.task(name="unstorable", retries=3)(object)
    with consuming(queue), pytest.raises(TaskException, match="cannot travel"):
        unstorable().get(blocking=True, timeout=10)
    assert statuses(queue, task="unstorable") == ["enqueued", "started", "error-storing-result"]
    is_accounted_for(queue)


def test_a_result_that_is_too_large_ends_the_task_and_says_what_to_do(redis_url: str) -> None:
    queue = RedisQueue("work", url=redis_url, result_limit=1_000)
    large = queue.task(name="large")(lambda: "x" * 1_000)
    with (
        consuming(queue),
        pytest.raises(TaskException, match=r"1,0\d\d bytes, the limit is 1,000.*result_limit"),
    ):
        large().get(blocking=True, timeout=10)
    assert statuses(queue, task="large") == ["enqueued", "started", "error-storing-result"]


def test_a_result_that_redis_refuses_ends_the_task_and_says_why(any_redis_url: str) -> None:
    queue = RedisQueue("work", url=any_redis_url)
    client = queue.storage.address.client()
    commands = [
        "+@all",
        "resetkeys",
        "~limelight:{work}:*",
        "~limelight:queues",
        "allchannels",
        ">geheim",
        "on",
    ]
    client.execute_command("ACL", "SETUSER", "app", "reset", *commands, "-set")
    try:
        url = queue.storage.address.client().connection_pool.connection_kwargs
        limited = RedisQueue("work", host=url["host"], port=url["port"], username="app", password="geheim")
        task = limited.task(name="ok", retries=2)(lambda: 7)
        with consuming(limited):
            handle = task()
            wait_until(lambda: has_ended(queue, handle.id))
    finally:
        client.execute_command("ACL", "DELUSER", "app")
    (closing,) = told(queue, id=handle.id, outcome="result_error")
    assert (closing["status"], closing["end"]) == ("error-storing-result", "result_error")
    assert "Redis refused the result" in closing["traceback"]
    is_accounted_for(queue)


def test_arguments_that_cannot_travel_are_refused_where_they_are_given(queue: RedisQueue) -> None:
    echo = queue.task(name="echo")(lambda x: x)
    with pytest.raises(CannotCarry, match=r"echo\(\): argument \[0\]"):
        echo(object())
    assert not told(queue)


def test_pickle_is_for_those_who_ask_for_it(make_queue: MakeQueue) -> None:
    queue = make_queue("work", serializer=SignedPickle("a secret of 16 bytes"))
    echo = queue.task(name="echo")(lambda x: x)
    plain = make_queue("work")
    plain.task(name="echo")(lambda x: x)
    with consuming(queue):
        assert echo(threading.Event).get(blocking=True, timeout=10) is threading.Event
    poisoned = echo(threading.Event)
    with consuming(plain), pytest.raises(TaskException, match="written with 'pickle'"):
        poisoned.get(blocking=True, timeout=10)
    is_accounted_for(queue)


def test_an_id_may_be_chosen_once(queue: RedisQueue) -> None:
    note = queue.task(name="note")(lambda: 1)
    task_id = uuid4()
    assert note.schedule(id=task_id).id == str(task_id)
    with pytest.raises(ConfigurationError, match=str(task_id)):
        note.schedule(id=task_id)
    assert len(told(queue, status="enqueued")) == 1


def test_a_periodic_task_runs_once_per_due_time_however_many_consumers_there_are(queue: RedisQueue) -> None:
    ran: list[float] = []
    queue.periodic_task(crontab(minute="*"), name="tick")(lambda: ran.append(1))
    client = queue.storage.address.client()
    client.hset(queue.keys["periodic_runs"], "tick:due", 60_000_000)
    with consuming(queue), consuming(queue), consuming(queue):
        wait_until(lambda: told(queue, status="finished", task="tick"))
        wait_until(lambda: len(told(queue, status="consumer-started")) == 3)
    minutes = {int(event["timestamp"] // 60) for event in told(queue, status="checking-periodic")}
    assert len(told(queue, status="checking-periodic")) == len(minutes)
    assert len(ran) == len(told(queue, status="scheduling-periodic")) <= len(minutes)
    assert int(client.hget(queue.keys["periodic_runs"], "tick:success")) > 0
    assert not client.exists(queue.keys.result(told(queue, status="finished")[0]["id"]))
    is_accounted_for(queue)


def test_a_new_periodic_task_does_not_make_up_for_times_before_it_existed(queue: RedisQueue) -> None:
    queue.periodic_task(crontab(minute="0", hour="0"), name="nightly")(lambda: None)
    with consuming(queue):
        wait_until(lambda: told(queue, status="checking-periodic"))
        wait_until(lambda: queue.storage.address.client().hget(queue.keys["periodic_runs"], "nightly:next"))
    assert not told(queue, status="scheduling-periodic")


def test_a_consumer_announces_its_tasks_and_leaves_nothing_behind(queue: RedisQueue) -> None:
    client = queue.storage.address.client()
    queue.task(name="b")(lambda: 1)
    queue.task(name="a")(lambda: 1)
    with consuming(queue, workers=3) as consumer:
        wait_until(lambda: client.hexists(queue.keys["consumers"], consumer.id))
    (started,) = told(queue, status="consumer-started")
    assert (started["tasks"], started["workers"], started["consumer"]) == (["a", "b"], 3, consumer.id)
    assert statuses(queue)[-1] == "consumer-stopped"
    left = {key.decode() for key in client.scan_iter()}
    expected = {queue.keys[thing] for thing in ("events", "meta", "lanes", "lanes_used")}
    assert left == expected | {"limelight:queues"}
    assert client.zrange("limelight:queues", 0, -1) == [b"work"]


def test_a_task_enqueued_by_a_task_is_its_child_in_the_trace(queue: RedisQueue) -> None:
    inner = queue.task(name="inner")(lambda: 1)
    outer = queue.task(name="outer")(lambda: inner().id)
    with consuming(queue):
        outer_handle = outer()
        inner_id = outer_handle.get(blocking=True, timeout=10)
        wait_until(lambda: has_ended(queue, inner_id))
    (outer_run,) = told(queue, id=outer_handle.id, outcome="success")
    (enqueued,) = told(queue, id=inner_id, status="enqueued")
    (inner_run,) = told(queue, id=inner_id, outcome="success")
    assert outer_run["trace_id"] == UUID(outer_handle.id).hex
    assert enqueued["trace_id"] == inner_run["trace_id"] == outer_run["trace_id"]
    assert enqueued["parent_span_id"] == outer_run["span_id"]
    assert inner_run["parent_span_id"] == enqueued["span_id"]
    assert int(inner_run["span_start"]) <= int(inner_run["span_end"])
