"""Hooks, signals and the running task, as user code sees them in real consumers."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from proxy import FaultyProxy
from running import consuming, has_ended, is_accounted_for, statuses, told
from servers import wait_until

from limelight import (
    CancelExecution,
    CannotCarry,
    OutcomeUnknown,
    RedisQueue,
    RetryTask,
    Task,
    TaskException,
    TaskTimeout,
    every,
    group,
)
from limelight.consumer import Consumer
from limelight.consumer.reporter import Reporter
from limelight.consumer.trips import Trips
from limelight.retry import Backoff
from limelight.signals import (
    SIGNAL_COMPLETE,
    SIGNAL_ENQUEUED,
    SIGNAL_ERROR,
    SIGNAL_EXPIRED,
    SIGNAL_INTERRUPTED,
    SIGNAL_REVOKED,
    SIGNAL_SCHEDULED,
)
from limelight.storage.base import Handed, Reservation, ReserveRequest
from limelight.storage.scripts import SCRIPTS


@pytest.fixture
def queue(redis_url: str) -> RedisQueue:
    return RedisQueue("work", url=redis_url)


@pytest.fixture
def heard(queue: RedisQueue) -> list[str]:
    """Every signal, in order."""
    signals: list[str] = []
    queue.signal()(lambda signal, task, *_: signals.append(signal))
    return signals


def ends(queue: RedisQueue, task_id: str) -> None:
    wait_until(lambda: has_ended(queue, task_id))


# -- Signals -------------------------------------------------------------------------------------------
def cancel() -> None:
    raise CancelExecution(retry=False)


def fail() -> None:
    raise ValueError("no luck")


def asker() -> Callable[[], None]:
    """A function that asks once to be run again."""
    runs: list[int] = []

    def ask() -> None:
        runs.append(1)
        if len(runs) == 1:
            raise RetryTask(delay=0.01)

    return ask


@pytest.mark.parametrize(
    ("func", "options", "call", "expected"),
    [
        (lambda: 1, {}, {}, ["enqueued", "executing", "complete"]),
        (lambda: 1, {}, {"delay": 0.05}, ["enqueued", "scheduled", "executing", "complete"]),
        (fail, {}, {}, ["enqueued", "executing", "error"]),
        (
            fail,
            {"retries": 1},
            {},
            ["enqueued", "executing", "error", "retrying", "enqueued", "executing", "error"],
        ),
        (
            fail,
            {"retries": 1, "retry_delay": 0.01},
            {},
            ["enqueued", "executing", "error", "retrying", "scheduled", "executing", "error"],
        ),
        (cancel, {"retries": 1}, {}, ["enqueued", "executing", "canceled"]),
        (asker(), {}, {}, ["enqueued", "executing", "retrying", "scheduled", "executing", "complete"]),
    ],
    ids=["simple", "delayed", "failing", "retried", "retried later", "canceled", "asked again"],
)
def test_a_task_is_told_in_hueys_signals_in_hueys_order(
    queue: RedisQueue,
    heard: list[str],
    func: Callable[[], Any],
    options: dict[str, Any],
    call: dict[str, Any],
    expected: list[str],
) -> None:
    task = queue.task(name="task", **options)(func)
    handle = task.schedule(**call)
    with consuming(queue, workers=1):
        ends(queue, handle.id)
        wait_until(lambda: len(heard) >= len(expected))
    assert heard == expected


def test_a_signal_says_what_it_happened_to_and_an_error_what_was_raised(queue: RedisQueue) -> None:
    told_of: list[Any] = []

    @queue.signal(SIGNAL_ERROR)
    def on_error(signal: str, task: Task, exc: BaseException) -> None:
        told_of.append((task.name, task.id, task.args, task.kwargs, task.retries, repr(exc)))
        told_of.append(traceback.format_exc())

    @queue.task(retries=2)
    def broken(*args: int, to: str) -> None:
        raise ValueError("no luck")

    with consuming(queue):
        handle = broken(1, 2, to="x")
        ends(queue, handle.id)
    assert told_of[::2] == [
        ("broken", handle.id, (1, 2), {"to": "x"}, left, "ValueError('no luck')") for left in (2, 1, 0)
    ]
    assert 'raise ValueError("no luck")' in told_of[1], "the exception is being handled"


def test_enqueued_is_told_when_it_has_happened_and_only_then(
    queue: RedisQueue, heard: list[str], faulty_proxy: FaultyProxy
) -> None:
    queue = RedisQueue("work", url=faulty_proxy.url, message_limit=1_000)
    queue.signal(SIGNAL_ENQUEUED)(lambda signal, task: heard.append(signal))
    task = queue.task(name="task")(lambda *args: None)
    with pytest.raises(CannotCarry):
        task("x" * 2_000)
    assert not heard
    faulty_proxy.drop_reply(SCRIPTS["enqueue"].sha)
    faulty_proxy.drop_reply(SCRIPTS["enqueue"].sha)
    call = task.s()
    try:
        queue.enqueue(call)
    except OutcomeUnknown:
        assert not heard
        queue.enqueue(call)
    assert heard == ["enqueued"]
    assert len(told(queue, status="enqueued")) == 1


def test_complete_is_told_when_the_result_can_be_read(queue: RedisQueue) -> None:
    found: list[Any] = []

    @queue.signal(SIGNAL_COMPLETE)
    def on_complete(signal: str, task: Task) -> None:
        found.append(queue.result(task.id))

    answer = queue.task(name="answer")(lambda: 42)
    with consuming(queue):
        answer()
        wait_until(lambda: found)
    assert found == [42]


def test_a_task_whose_lease_is_lost_is_not_told_as_complete(queue: RedisQueue, heard: list[str]) -> None:
    client = queue.storage.address.client()

    @queue.task(context=True)
    def stolen(task: Task | None = None) -> None:
        assert task is not None
        client.hdel(queue.keys["tasks"], task.id)
        client.zrem(queue.keys["running"], task.id)
        client.zrem(queue.keys["running_since"], task.id)

    other = queue.task(name="other")(lambda: 1)
    with consuming(queue, workers=1):
        stolen()
        ends(queue, other().id)
        wait_until(lambda: heard.count("complete") == 1)
    assert heard.count("executing") == 2


def test_scheduled_and_interrupted_say_which_task(queue: RedisQueue) -> None:
    seen: list[tuple[str, Any, Any]] = []

    @queue.signal(SIGNAL_SCHEDULED, SIGNAL_INTERRUPTED)
    def note(signal: str, task: Task) -> None:
        seen.append((signal, task.args, task.eta))

    begun, may_end = threading.Event(), threading.Event()

    @queue.task()
    def wait(number: int) -> None:
        begun.set()
        may_end.wait(20)

    eta = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(hours=1)
    consumer = Consumer(queue, workers=1, shutdown_timeout=0.1)
    consumer.start()
    wait.schedule((1,), eta=eta)
    wait(2)
    assert begun.wait(10)
    assert not consumer.stop()
    may_end.set()
    assert seen == [("scheduled", (1,), eta), ("interrupted", (2,), None)]


def test_a_coroutine_that_is_interrupted_is_told_as_nothing_else(
    queue: RedisQueue, heard: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    begun, left = threading.Event(), threading.Event()
    queue.post_execute("after")(lambda task, value, exc: heard.append(f"after {exc!r}"))

    @queue.task()
    async def wait() -> None:
        begun.set()
        try:
            await asyncio.sleep(30)
        finally:
            left.set()

    handle = wait()
    consumer = Consumer(queue, workers=1, kind="async", shutdown_timeout=0.1)
    consumer.start()
    assert begun.wait(10)
    assert not consumer.stop()
    assert left.wait(10)
    assert heard == ["enqueued", "executing", "interrupted"]
    assert statuses(queue, id=handle.id) == ["enqueued", "started", "interrupted"]
    assert "CancelledError" not in caplog.text


def test_a_coroutine_that_cancels_itself_has_failed(queue: RedisQueue, heard: list[str]) -> None:
    @queue.task()
    async def cancel_itself() -> None:
        current = asyncio.current_task()
        assert current is not None
        current.cancel()
        await asyncio.sleep(30)

    with consuming(queue, kind="async"):
        ends(queue, cancel_itself().id)
    assert heard == ["enqueued", "executing", "error"]


def test_a_periodic_run_is_told_as_enqueued_by_the_scheduler_that_won(queue: RedisQueue) -> None:
    due: list[Any] = []
    queue.signal(SIGNAL_ENQUEUED)(lambda signal, task: due.append(task.due))
    queue.periodic_task(every(1), name="tick")(lambda: None)
    with consuming(queue), consuming(queue):
        wait_until(lambda: len(due) >= 2)
    fired = [event["due"] for event in told(queue, status="scheduling-periodic")]
    assert sorted(one.timestamp() for one in due) == fired


def test_a_run_that_had_to_wait_for_its_turn_is_told_as_locked_or_rate_limited_and_as_no_error(
    queue: RedisQueue, heard: list[str]
) -> None:
    @queue.task()
    def locked() -> None:
        with queue.lock_task("report"):
            raise AssertionError("somebody else holds it")

    @queue.task(retries=1, retry_delay=0.01)
    @queue.rate_limit("api", 1, per=60, retry=False)
    def limited() -> None:
        raise AssertionError("it was used up")

    with queue.lock_task("report", ttl=60), queue.rate_limit("api", 1, per=60):
        handles = locked(), limited()
        with consuming(queue, workers=1):
            for handle in handles:
                ends(queue, handle.id)
    assert heard == [
        *("enqueued", "enqueued", "executing", "locked"),
        *("executing", "rate-limited", "retrying", "scheduled", "executing", "rate-limited"),
    ]


@pytest.mark.parametrize("stops", [True, False])
def test_a_run_that_takes_too_long_is_told_as_timeout_even_if_nobody_could_stop_it(
    queue: RedisQueue, heard: list[str], stops: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limelight.slot.AGAIN_SECONDS", 0.05)
    may_end = threading.Event()

    @queue.task(timeout=0.05)
    def slow() -> None:
        while not may_end.is_set():
            try:
                time.sleep(0.01)
            except TaskTimeout:
                if stops:
                    raise

    handle = slow()
    with consuming(queue, workers=1):
        ends(queue, handle.id)
        may_end.set()
        wait_until(lambda: "timeout" in heard)
    assert heard == ["enqueued", "executing", "timeout"]


def test_what_ends_instead_of_running_is_told_as_revoked_or_expired(queue: RedisQueue) -> None:
    seen: list[tuple[str, Any]] = []
    queue.signal(SIGNAL_REVOKED, SIGNAL_EXPIRED)(lambda signal, task: seen.append((signal, task.args)))
    task = queue.task(name="task")(lambda number: number)
    revoked, expired, kept = task(1), task.schedule((2,), expires=0.01), task(3)
    revoked.revoke()
    wait_until(lambda: time.time() > told(queue, id=expired.id)[0]["enqueued_at"] + 0.02)
    with consuming(queue, workers=1):
        assert kept.get(blocking=True, timeout=10) == 3
    assert seen == [("revoked", (1,)), ("expired", (2,))]
    assert [statuses(queue, id=one.id)[-1] for one in (revoked, expired)] == ["revoked", "expired"]
    is_accounted_for(queue)


def test_a_task_that_was_declared_late_and_revoked_is_told_too(
    queue: RedisQueue, heard: list[str], redis_url: str
) -> None:
    """Its worker had to ask for its start in a trip of its own."""
    unknown = RedisQueue("work", url=redis_url)
    handle = unknown.task(name="late")(lambda: 1)()
    queue.task(name="late")(lambda: 1)
    (handed,) = reserved(queue)
    handle.revoke()
    trips = Trips(queue, reporter=Reporter(queue.storage), on_scheduled=lambda: None, lease_seconds=5)
    assert trips.start(handed.lease, "") is None
    assert heard == ["revoked"]


def reserved(queue: RedisQueue) -> tuple[Handed, ...]:
    request = ReserveRequest("somebody:1", 1, count=1, lease_seconds=30, names=())
    _, reservation = queue.storage.settle_and_reserve([], request, where="", result_ttl_ms=1_000)
    assert isinstance(reservation, Reservation)
    return reservation.tasks


def test_each_task_of_a_batch_a_group_and_a_chord_is_told_as_enqueued_but_no_follower(
    queue: RedisQueue,
) -> None:
    seen: list[str] = []
    queue.signal(SIGNAL_ENQUEUED)(lambda signal, task: seen.append(task.id))
    note = queue.task(name="note")(lambda *args: None)
    batch = [note.s(number) for number in range(3)]
    queue.enqueue_many(batch)
    assert seen == [call.id for call in batch]
    members = [note.s(number) for number in range(3)]
    queue.enqueue(group(members).then(note))
    pipeline = note.s().then(note)
    queue.enqueue(pipeline)
    assert seen[3:] == [*(call.id for call in members), pipeline.id]


def test_nobody_makes_a_task_that_nobody_wants_to_see(
    queue: RedisQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limelight.execution.seen", None)
    monkeypatch.setattr("limelight.herald.recalled", None)
    retried = queue.task(name="retried", retries=1)(fail)
    plain = queue.task(name="plain")(lambda: 1)
    with consuming(queue, workers=1):
        plain.schedule(delay=0.01)
        ends(queue, retried().id)
        assert plain().get(blocking=True, timeout=10) == 1
    is_accounted_for(queue)


# -- Hooks ---------------------------------------------------------------------------------------------
def test_hooks_stand_around_a_run_and_see_what_came_of_it(queue: RedisQueue) -> None:
    seen: list[Any] = []
    queue.pre_execute(name="before")(lambda task: seen.append(("before", task.id)))

    @queue.post_execute()
    def after(task: Task, value: Any, exc: BaseException | None) -> None:
        seen.append(("after", task.id, value, repr(exc)))

    echo = queue.task(name="echo")(lambda value: value)
    broken = queue.task(name="broken")(fail)
    with consuming(queue, workers=1):
        for handle in (echo("x"), broken()):
            ends(queue, handle.id)
            assert ("before", handle.id) in seen
        first, second = seen[1], seen[3]
    assert (first[0], first[2:]) == ("after", ("x", "None"))
    assert (second[0], second[2:]) == ("after", (None, "ValueError('no luck')"))


@pytest.mark.parametrize("retry", [None, True, False])
def test_a_hook_may_cancel_a_run_for_good(queue: RedisQueue, heard: list[str], retry: bool | None) -> None:
    ran: list[int] = []
    queue.post_execute(name="never")(lambda *args: ran.append(1))

    @queue.pre_execute()
    def refuse(task: Task) -> None:
        raise CancelExecution("not today", retry=retry)

    handle = queue.task(name="task", retries=3)(lambda: ran.append(1))()
    with consuming(queue), pytest.raises(TaskException, match="canceled"):
        handle.get(blocking=True, timeout=10)
    assert not ran
    assert statuses(queue, id=handle.id) == ["enqueued", "started", "canceled"]
    assert told(queue, id=handle.id)[-1]["end"] == "canceled"
    assert heard == ["enqueued", "executing", "canceled"]


def test_a_hook_may_change_what_the_function_gets(queue: RedisQueue) -> None:
    @queue.pre_execute()
    def add_tenant(task: Task) -> None:
        task.kwargs["tenant"] = "acme"

    echo = queue.task(name="echo")(lambda **kwargs: kwargs)
    with consuming(queue):
        assert echo().get(blocking=True, timeout=10) == {"tenant": "acme"}


def test_each_worker_starts_and_ends_with_its_hooks_and_no_raising_one_keeps_it_from_working(
    queue: RedisQueue,
) -> None:
    called: list[tuple[str, str]] = []

    def note(what: str) -> Callable[[], None]:
        return lambda: called.append((what, threading.current_thread().name))

    @queue.on_startup()
    def broken() -> None:
        raise OSError("no database")

    queue.on_startup(name="up")(note("up"))
    queue.on_shutdown(name="down")(note("down"))
    task = queue.task(name="task")(note("ran"))
    with consuming(queue, workers=2):
        ends(queue, task().id)
    names = {name for _, name in called}
    assert names == {"worker-1", "worker-2"}
    for name in names:
        own = [what for what, worker in called if worker == name]
        assert own in (["up", "down"], ["up", "ran", "down"])


def test_a_worker_of_several_queues_calls_the_hooks_of_each_and_its_successor_calls_them_again(
    redis_url: str,
) -> None:
    called: list[str] = []
    queues = [RedisQueue(name, url=redis_url) for name in ("mail", "work")]
    for queue in queues:
        queue.on_startup(name="up")(lambda name=queue.name: called.append(f"up {name}"))
        queue.on_shutdown(name="down")(lambda name=queue.name: called.append(f"down {name}"))
    task = queues[0].task(name="task")(lambda: None)
    consumer = Consumer(queues, workers=1, max_tasks=1)
    consumer.start()
    try:
        ends(queues[0], task().id)
        wait_until(lambda: called.count("up work") == 2)
    finally:
        consumer.stop()
    assert called == ["up mail", "up work", "down mail", "down work"] * 2


# -- The running task ----------------------------------------------------------------------------------
def test_a_task_that_asks_for_its_context_gets_itself(queue: RedisQueue) -> None:
    seen: list[Task] = []

    @queue.task(retries=2, retry_delay=0.01, retry_backoff=3, context=True, team="billing")
    def look(number: int, task: Task | None = None) -> None:
        assert task is not None
        seen.append(task)
        raise ValueError

    with consuming(queue):
        handle = look(7)
        ends(queue, handle.id)
    first, second, third = seen
    assert (first.id, first.name, first.args, first.kwargs) == (handle.id, "look", (7,), {})
    assert [task.retries for task in seen] == [2, 1, 0]
    assert [task.retry_delay for task in (first, second)] == pytest.approx([0.01, 0.03])
    assert (third.retry_backoff, third.due, third.settings) == (3, None, {"team": "billing"})
    assert first.eta is None
    assert third.eta is not None
    assert (third.eta - second.eta).total_seconds() >= 0.03, "a retry has the time until which it waited"
    assert third.team == "billing"  # type: ignore[attr-defined]
    assert third.data == ((7,), {})


def test_a_running_task_knows_how_much_of_its_time_is_left(queue: RedisQueue) -> None:
    seen: list[Any] = []

    @queue.task(context=True)
    def look(task: Task | None = None) -> None:
        assert task is not None
        seen.append((task.time_remaining, task.is_timed_out))
        task.check_timeout()

    with consuming(queue, workers=1):
        for timeout in (None, 20):
            ends(queue, look.schedule(timeout=timeout).id)
    (free, over), (left, late) = seen
    assert (free, over, late) == (math.inf, False, False)
    assert 0 < left <= 20


def test_options_of_the_call_are_those_of_the_running_task(queue: RedisQueue) -> None:
    seen: list[Task] = []

    @queue.task(context=True)
    def look(task: Task | None = None) -> None:
        assert task is not None
        seen.append(task)

    with consuming(queue):
        handle = look.schedule(retries=4, retry_backoff=2, retry_max_delay=60, retry_jitter=0.5)
        ends(queue, handle.id)
    (task,) = seen
    assert (task.retries, task.options.backoff) == (4, Backoff(2, 60, 0.5))


def test_a_periodic_run_knows_which_due_time_it_is_for(queue: RedisQueue) -> None:
    seen: list[Any] = []
    queue.periodic_task(every(1), name="tick", context=True)(lambda task=None: seen.append(task.due))
    with consuming(queue):
        wait_until(lambda: len(seen) >= 2)
    assert {due.timestamp() for due in seen} <= {
        event["due"] for event in told(queue, status="scheduling-periodic")
    }
    assert all(due.tzinfo is dt.UTC and due.microsecond == 0 for due in seen)
    assert abs(seen[0].timestamp() - time.time()) < 60


class Connection:
    """A context manager that can be entered again and again."""

    def __init__(self) -> None:
        self.depth, self.entered = 0, 0

    def __enter__(self) -> Connection:
        self.depth += 1
        self.entered += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.depth -= 1


def test_a_context_task_runs_inside_its_context_and_leaves_it(queue: RedisQueue) -> None:
    connection = Connection()

    @queue.context_task(connection)
    def inside(number: int) -> int:
        return connection.depth + number

    @queue.context_task(connection, as_argument=True, retries=1, name="given")
    def with_it(given: Connection, number: int) -> int:
        if given.entered < 3:
            raise ValueError
        return given.depth + number

    with consuming(queue, workers=1):
        assert inside(10).get(blocking=True, timeout=10) == 11
        assert with_it(number=20).get(blocking=True, timeout=10) == 21
    assert (connection.depth, connection.entered) == (0, 3)
    assert (inside.options.name, with_it.options.name) == ("inside", "given")
    with pytest.raises(TypeError):
        with_it(connection, 20)
    is_accounted_for(queue)
