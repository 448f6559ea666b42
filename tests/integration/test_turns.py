"""Locks, rate limits, expiry, revoking by name: tasks that may not run now, or not at all."""

import asyncio
import datetime as dt
import threading
import time
from typing import Any

import pytest
from running import consuming, has_ended, is_accounted_for, statuses, told
from servers import wait_until
from starters import MakeQueue

from limelight import (
    ConfigurationError,
    RateLimitExceeded,
    RedisQueue,
    RunLost,
    TaskException,
    TaskLocked,
)
from limelight.running import current_lease
from limelight.storage.base import Lease, ReserveRequest


@pytest.fixture
def queue(make_queue: MakeQueue) -> RedisQueue:
    return make_queue("turns")


# -- Locks ------------------------------------------------------------------------------------------------
def test_two_tasks_of_one_lock_never_run_at_once_and_the_second_ends_as_locked(queue: RedisQueue) -> None:
    gate = threading.Event()

    @queue.task()
    @queue.lock_task("report")
    def report() -> bool:
        return gate.wait(10)

    with consuming(queue):
        first = report()
        wait_until(lambda: queue.is_locked("report"))
        second = report()
        wait_until(lambda: has_ended(queue, second.id))
        assert statuses(queue, id=second.id) == ["enqueued", "started", "locked"]
        with pytest.raises(TaskException, match="lock 'report' is held"):
            second.get(blocking=True, timeout=5)
        gate.set()
        assert first.get(blocking=True, timeout=5) is True
    assert told(queue, id=second.id, status="locked")[0]["end"] == "locked"
    assert not queue.is_locked("report")
    is_accounted_for(queue)


def test_a_locked_task_with_retries_waits_for_its_turn_and_that_time_counts_as_parked(
    queue: RedisQueue,
) -> None:
    gate = threading.Event()

    @queue.task(retries=50, retry_delay=0.05)
    def report(held: bool) -> str:
        with queue.lock_task("report"):
            return "first" if held and gate.wait(10) else "second"

    with consuming(queue):
        first = report(True)
        wait_until(lambda: queue.is_locked("report"))
        second = report(False)
        wait_until(lambda: "locked" in statuses(queue, id=second.id))
        gate.set()
        assert (first.get(blocking=True, timeout=5), second.get(blocking=True, timeout=5)) == (
            "first",
            "second",
        )
    assert statuses(queue, id=second.id)[:5] == ["enqueued", "started", "locked", "retrying", "scheduled"]
    (end,) = told(queue, id=second.id, status="finished")
    assert end["parked_seconds"] >= 0.05
    assert end["backed_off_seconds"] == 0


def test_a_lock_is_freed_when_its_worker_dies(queue: RedisQueue) -> None:
    queue.task(name="hold")(lambda: None)()
    request = ReserveRequest("gone", 1, count=1, lease_seconds=1, names=["hold"])
    _, taken = queue.storage.settle_and_reserve([], request, where="", result_ttl_ms=1000)
    lease = taken.tasks[0].lease  # type: ignore[union-attr]
    assert queue.storage.lock("held", "request", holder=lease, seconds=None) is True
    assert queue.is_locked("held")
    with consuming(queue, lease_seconds=1):
        wait_until(lambda: not queue.is_locked("held"), seconds=20)
    assert statuses(queue, status="lost") == ["lost"]


def test_a_run_that_was_given_up_takes_no_lock_any_more(queue: RedisQueue) -> None:
    token = current_lease.set(Lease("11111111-1111-4111-8111-111111111111", "zombie"))
    try:
        with pytest.raises(RunLost):
            queue.lock_task("late").acquire()
    finally:
        current_lease.reset(token)
    assert not queue.is_locked("late")


def test_a_lock_may_be_held_outside_of_a_task_and_ends_by_itself(queue: RedisQueue) -> None:
    lock = queue.lock_task("deploy", ttl=0.05)
    with lock, pytest.raises(TaskLocked, match="deploy"), queue.lock_task("deploy"):
        pytest.fail("it was held")
    lock.acquire()
    wait_until(lambda: not lock.locked())
    assert lock.release() is True  # its time was over, but nobody else has it
    assert lock.release() is False


def test_asking_for_a_lock_again_after_a_lost_answer_takes_it_once(queue: RedisQueue) -> None:
    assert queue.storage.lock("a", "request", holder=None, seconds=9) is True
    assert queue.storage.lock("a", "request", holder=None, seconds=9) is True
    assert queue.storage.lock("a", "another", holder=None, seconds=9) is False
    assert queue.storage.unlock(["a"], "another") == 0
    assert queue.storage.unlock(["a"], "request") == 1


def test_flushing_locks_frees_them_whoever_holds_them(queue: RedisQueue) -> None:
    for name in ("a", "b", "c"):
        queue.lock_task(name).acquire()
    assert queue.flush_locks("a", "nobody's") == {"a"}
    assert queue.flush_locks() == {"b", "c"}
    assert queue.flush_locks() == set()


def test_a_lock_that_is_none_is_refused_where_it_is_declared(queue: RedisQueue) -> None:
    for name, ttl in (("", None), ("a\nb", None), ("a", 0), ("a", -1)):
        with pytest.raises(ConfigurationError):
            queue.lock_task(name, ttl)


def test_a_lock_around_a_coroutine_is_held_until_it_is_done(queue: RedisQueue) -> None:
    @queue.lock_task("slow")
    async def slow() -> bool:
        await asyncio.sleep(0)
        return queue.is_locked("slow")

    assert asyncio.run(slow()) is True
    assert not queue.is_locked("slow")


# -- Rate limits ------------------------------------------------------------------------------------------
def test_no_window_sees_more_than_the_limit_and_nothing_is_lost(queue: RedisQueue) -> None:
    times: list[float] = []

    @queue.task()
    @queue.rate_limit("api", limit=4, per=0.5)
    def call() -> None:
        times.append(time.monotonic())

    with consuming(queue, workers=4):
        results = call.map([()] * 12)
        results.get(blocking=True, timeout=20)
    times.sort()
    assert len(times) == 12
    assert all(later - earlier > 0.4 for earlier, later in zip(times, times[4:], strict=False))
    assert "rate-limited" in statuses(queue)
    assert {event["outcome"] for event in told(queue, status="rate-limited")} == {"rate_limited"}
    assert not told(queue, status="dead")
    is_accounted_for(queue)


def test_a_limited_task_without_retries_that_wants_none_ends_as_rate_limited(queue: RedisQueue) -> None:
    limit = queue.rate_limit("api", limit=1, per=60, retry=False)
    limit.acquire()
    call = queue.task(name="call")(limit(lambda: 1))
    with consuming(queue):
        result = call()
        with pytest.raises(TaskException, match="rate limit 'api' of 1 per 60 s"):
            result.get(blocking=True, timeout=10)
    assert told(queue, id=result.id, status="rate-limited")[0]["end"] == "rate_limited"


def test_a_limit_says_when_there_is_room_and_can_be_reset(queue: RedisQueue) -> None:
    limit = queue.rate_limit("api", limit=2, per=dt.timedelta(minutes=1))
    limit.acquire()
    limit.acquire()
    with pytest.raises(RateLimitExceeded) as raised:
        limit.acquire()
    assert 50 < raised.value.delay <= 60
    assert limit.current_usage() == 2
    client = queue.storage.address.client()
    assert 0 < client.pttl(queue.keys.limit("api")) <= 61_000
    limit.reset()
    with limit:
        assert limit.current_usage() == 1


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": 1.5}, {"per": 0}, {"per": "x"}, {"name": ""}])
def test_a_limit_that_is_none_is_refused_where_it_is_declared(
    queue: RedisQueue, wrong: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError):
        queue.rate_limit(**{"name": "api", "limit": 1, "per": 1, **wrong})


# -- Expiry -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "expires", [0.01, dt.timedelta(milliseconds=10), dt.datetime(2020, 1, 1, tzinfo=dt.UTC)]
)
def test_a_task_that_comes_too_late_ends_as_expired_without_a_start(queue: RedisQueue, expires: Any) -> None:
    ran: list[int] = []
    late = queue.task(name="late", expires=expires)(lambda: ran.append(1))
    call, enough = late(), time.monotonic() + 0.02
    wait_until(lambda: time.monotonic() > enough)
    with consuming(queue):
        wait_until(lambda: has_ended(queue, call.id))
        with pytest.raises(TaskException, match="without a result"):
            call.get(blocking=True, timeout=5)
    assert ran == []
    assert statuses(queue, id=call.id) == ["enqueued", "expired"]
    assert told(queue, status="expired")[0]["end"] == "expired"
    is_accounted_for(queue)


def test_a_task_that_comes_in_time_runs_and_its_call_may_say_so(queue: RedisQueue) -> None:
    task = queue.task(name="task", expires=0.001)(lambda: 1)
    with consuming(queue):
        assert task.schedule(expires=60).get(blocking=True, timeout=10) == 1


# -- Revoking ---------------------------------------------------------------------------------------------
def test_all_tasks_of_a_name_are_revoked_until_it_is_restored(queue: RedisQueue) -> None:
    one = queue.task(name="one")(lambda: 1)
    two = queue.task(name="two")(lambda: 2)
    queue.revoke_all(one)
    assert queue.is_revoked(one)
    assert queue.is_revoked(one.s())
    revoked = one()
    with consuming(queue):
        wait_until(lambda: has_ended(queue, revoked.id))
        assert two().get(blocking=True, timeout=10) == 2
        assert queue.restore_all(one) is True
        assert one().get(blocking=True, timeout=10) == 1
    assert statuses(queue, id=revoked.id) == ["enqueued", "revoked"]
    assert queue.restore_all(one) is False


def test_only_the_next_of_a_name_is_revoked(queue: RedisQueue) -> None:
    one = queue.task(name="one")(lambda: 1)
    one.revoke(revoke_once=True)
    first, second = one(), one()
    with consuming(queue):
        assert second.get(blocking=True, timeout=10) == 1
        with pytest.raises(TaskException):
            first.get(blocking=True, timeout=10)
    assert not one.is_revoked()


def test_a_name_is_revoked_until_a_time(queue: RedisQueue) -> None:
    one = queue.task(name="one")(lambda: 1)
    one.revoke(dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1))
    assert not one.is_revoked()
    with consuming(queue):
        assert one().get(blocking=True, timeout=10) == 1
    one.revoke(dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))
    assert one.is_revoked()


def test_a_call_can_be_rescheduled_by_its_handle(queue: RedisQueue) -> None:
    one = queue.task(name="one")(lambda x: x)
    first = one.schedule(args=(7,), delay=3600)
    again = first.reschedule(delay=0)
    with consuming(queue):
        assert again.get(blocking=True, timeout=10) == 7
    assert first.id != again.id
    assert first.is_revoked()
    with pytest.raises(TypeError, match="enqueue a new call"):
        queue.result_handle(first.id).reschedule()


# -- Waiting ----------------------------------------------------------------------------------------------
def test_whoever_waits_for_a_result_is_told_and_does_not_ask_again_and_again(queue: RedisQueue) -> None:
    gate = threading.Event()
    slow = queue.task(name="slow")(lambda: gate.wait(10))
    client = queue.storage.address.client()
    with consuming(queue):
        result = slow()
        answers: list[Any] = []
        waiter = threading.Thread(target=lambda: answers.append(result.get(blocking=True, timeout=10)))
        waiter.start()
        wait_until(lambda: client.hexists(queue.keys["awaited"], result.id))
        gate.set()
        waiter.join(10)
    assert answers == [True]
    assert client.hgetall(queue.keys["awaited"]) == {}


def test_a_coroutine_waits_without_holding_up_the_others(queue: RedisQueue) -> None:
    one = queue.task(name="one")(lambda x: x)

    async def ask() -> list[Any]:
        results = await asyncio.gather(*(queue.aenqueue(one.s(n)) for n in range(5)))
        return await asyncio.gather(*(result.aget(timeout=10) for result in results))

    with consuming(queue):
        assert asyncio.run(ask()) == [0, 1, 2, 3, 4]
