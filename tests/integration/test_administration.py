"""What an operator does to a queue: look, cancel, flush, pause; on every kind of Redis that is at hand."""

import datetime as dt
import itertools
import json
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from running import consuming, has_ended, is_accounted_for, statuses, told
from servers import wait_until
from starters import MakeQueue
from states import LIVING, buried, spoil, task_in

from limelight import CannotCarry, RedisQueue, SignedPickle, UndecodableMessage
from limelight.inspection import queue_view
from limelight.lifecycle import NEXT, State
from limelight.storage.links import Links

CHANGES: dict[str, Callable[[RedisQueue, str], object]] = {
    "cancel": lambda queue, task_id: queue.cancel(task_id),
    "requeue": lambda queue, task_id: queue.dead.requeue(task_id),
    "purge": lambda queue, task_id: queue.dead.purge(task_id),
}


@pytest.fixture
def queue(make_queue: MakeQueue) -> RedisQueue:
    return make_queue("work")


def state_of(queue: RedisQueue, task_id: str) -> State:
    found = queue.task_state(task_id)
    return found.state if found else State.GONE


def keys_of(queue: RedisQueue) -> set[str]:
    return {key.decode() for key in queue.storage.address.client().scan_iter()}


@pytest.mark.parametrize(("state", "way"), list(itertools.product(LIVING, CHANGES)))
def test_every_change_leads_where_the_table_says_or_changes_and_tells_nothing(
    queue: RedisQueue, state: State, way: str
) -> None:
    task_id = task_in(queue, state)
    assert state_of(queue, task_id) is state
    before = len(told(queue))
    done = CHANGES[way](queue, task_id)
    expected = NEXT.get((state, way))
    assert state_of(queue, task_id) is (expected or state)
    assert done == len(told(queue)) - before == (1 if expected else 0)
    assert CHANGES[way](queue, task_id) == 0, "a repeat does nothing"
    is_accounted_for(queue)


@pytest.mark.parametrize("way", CHANGES)
def test_a_task_that_never_was_cannot_be_changed(queue: RedisQueue, way: str) -> None:
    assert CHANGES[way](queue, str(uuid4())) == 0
    assert not told(queue)


@pytest.mark.parametrize(
    ("state", "way"), [(State.READY, "cancel"), (State.DEAD, "purge"), (State.DEAD, "requeue")]
)
def test_the_mark_of_a_revoked_task_goes_with_it(queue: RedisQueue, state: State, way: str) -> None:
    task_id = task_in(queue, state)
    assert queue.revoke_by_id(task_id) == 1
    assert CHANGES[way](queue, task_id) == 1
    assert not queue.is_revoked(task_id)
    assert queue.keys["revoked"] not in keys_of(queue)


# -- Where is it -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("state", LIVING)
def test_where_a_task_is_can_be_asked_at_any_time(queue: RedisQueue, state: State) -> None:
    found = queue.task_state(task_in(queue, state))
    assert found is not None
    assert (found.state, found.task) == (state, "send")
    assert found.since == pytest.approx(time.time(), abs=5)
    assert found.run == found.attempt == (1 if state is State.RUNNING else 0)
    assert (found.lease_until is not None) == (state in {State.RESERVED, State.RUNNING})
    assert (found.due is not None) == (state in {State.DELAYED, State.SCHEDULED})


def test_nothing_is_known_of_a_task_that_never_was(queue: RedisQueue) -> None:
    assert queue.task_state(str(uuid4())) is None


def test_a_running_task_names_its_worker_and_a_finished_one_is_gone(queue: RedisQueue) -> None:
    seen: list[Any] = []
    task = queue.task(name="look")(lambda task_id: seen.append(queue.task_state(task_id)))
    task_id = uuid4()
    with consuming(queue, workers=1):
        task.schedule((str(task_id),), id=task_id).get(blocking=True, timeout=10)
    assert (seen[0].state, seen[0].worker, seen[0].attempt) == (State.RUNNING, "worker-1", 1)
    assert seen[0].host
    assert queue.task_state(str(task_id)) is None


def test_a_revoked_mark_and_its_time_are_shown(queue: RedisQueue) -> None:
    task_id = task_in(queue, State.READY)
    until = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    queue.revoke_by_id(task_id, until)
    assert queue.task_state(task_id).revoked_until == pytest.approx(until.timestamp())  # type: ignore[union-attr]
    queue.revoke_by_id(task_id)
    assert queue.task_state(task_id).revoked_until == float("inf")  # type: ignore[union-attr]


# -- What waits --------------------------------------------------------------------------------------------
def test_pending_tasks_come_back_as_they_were_enqueued_in_the_order_they_will_run(queue: RedisQueue) -> None:
    send = queue.task(
        name="send",
        retries=3,
        retry_delay=5,
        retry_backoff=2,
        retry_max_delay=60,
        retry_jitter=0.5,
        timeout=7,
    )(lambda *args, **kwargs: None)
    sent = [send("b", when=dt.date(2026, 1, 1)), send({1, 2}), send.schedule(("first",), priority=9)]
    pending = queue.pending()
    assert [task.id for task in pending] == [sent[2].id, sent[0].id, sent[1].id]
    assert [task.args for task in pending] == [("first",), ("b",), ({1, 2},)]
    assert pending[1].kwargs == {"when": dt.date(2026, 1, 1)}
    assert (pending[1].name, pending[1].options.retries, pending[1].options.retry_backoff) == ("send", 3, 2)
    assert (pending[0].options.priority, pending[1].options.retry_delay) == (9, 5)
    assert (pending[1].options.retry_max_delay, pending[1].options.retry_jitter) == (60, 0.5)
    assert pending[1].options.timeout == 7
    assert [task.id for task in queue.pending(2)] == [sent[2].id, sent[0].id]
    assert len(queue) == queue.pending_count() == 3
    assert not queue.scheduled()


def test_scheduled_tasks_are_those_for_later_whether_or_not_a_worker_has_seen_them(queue: RedisQueue) -> None:
    send = queue.task(name="send")(lambda: None)
    far, near = send.schedule(delay=200), send.schedule(delay=100)
    queue.storage.schedule_delayed(1, "")
    scheduled = queue.scheduled()
    assert [task.id for task in scheduled] == [near.id, far.id]
    assert scheduled[0].execute_at == pytest.approx(time.time() + 100, abs=5)
    assert [task.id for task in queue.scheduled(1)] == [near.id]
    assert queue.scheduled_count() == 2
    assert (len(queue), queue.pending()) == (0, [])


def test_more_tasks_than_one_look_holds_are_all_listed(queue: RedisQueue) -> None:
    send = queue.task(name="send")(lambda number: None)
    for number in range(450):
        send(number)
    assert [task.args[0] for task in queue.pending()] == list(range(450))
    assert [task.args[0] for task in queue.pending(201)] == list(range(201))


def test_an_empty_queue_is_still_true(queue: RedisQueue) -> None:
    assert queue
    assert len(queue) == 0


def test_what_cannot_be_read_back_as_a_task_is_left_out_of_the_list(make_queue: MakeQueue) -> None:
    secret = make_queue("work", serializer=SignedPickle("a secret of 16 bytes"))
    plain = make_queue("work")
    signed, broken, good = (
        task_in(secret, State.READY),
        task_in(plain, State.READY),
        task_in(plain, State.READY),
    )
    spoil(plain, broken)
    assert [task.id for task in plain.pending()] == [good]
    assert [task.id for task in secret.pending()] == [signed]
    assert plain.pending_count() == 3


# -- Flush and cancel --------------------------------------------------------------------------------------
def test_a_flush_takes_all_that_waits_and_tells_each_but_nothing_that_a_worker_holds(
    queue: RedisQueue,
) -> None:
    held = {state: task_in(queue, state) for state in (State.RUNNING, State.RESERVED, State.DEAD)}
    waiting = {task_in(queue, state) for state in (State.SCHEDULED, State.DELAYED, State.READY)}
    assert queue.flush() == 3
    assert {event["id"] for event in told(queue, status="canceled", end="canceled")} == waiting
    assert {state: state_of(queue, task_id) for state, task_id in held.items()} == {s: s for s in held}
    assert queue.flush() == 0
    is_accounted_for(queue)


@pytest.mark.parametrize(("which", "left"), [("ready", State.DELAYED), ("scheduled", State.READY)])
def test_a_flush_may_take_only_what_is_ready_or_only_what_is_for_later(
    queue: RedisQueue, which: str, left: State
) -> None:
    tasks = {state: task_in(queue, state) for state in (State.DELAYED, State.READY)}
    only = {"ready": False, "scheduled": False} | {which: True}
    assert queue.flush(**only) == 1
    assert state_of(queue, tasks[left]) is left


def test_a_flush_of_thousands_goes_in_chunks(queue: RedisQueue) -> None:
    send = queue.task(name="send")(lambda: None)
    for _ in range(2_100):
        send()
    assert [step.canceled for step in queue.flush_steps()] == [1_000, 1_000, 100]
    assert len(told(queue, end="canceled")) == 2_100
    is_accounted_for(queue)


def test_a_flush_ends_where_an_index_holds_what_nobody_can_take(queue: RedisQueue) -> None:
    running = task_in(queue, State.RUNNING)
    queue.storage.address.client().zadd(queue.keys["ready"], {running: 1})
    assert queue.flush() == 0
    assert state_of(queue, running) is State.RUNNING


@pytest.mark.parametrize("state", [State.READY, State.DELAYED, State.SCHEDULED])
def test_an_unreadable_task_that_is_flushed_becomes_a_dead_letter(queue: RedisQueue, state: State) -> None:
    task_id = task_in(queue, state)
    spoil(queue, task_id)
    assert [(step.canceled, step.unreadable) for step in queue.flush_steps()] == [(0, 1)]
    assert state_of(queue, task_id) is State.DEAD
    assert statuses(queue)[-2:] == ["error-internal", "dead"]
    is_accounted_for(queue)


def test_an_entry_without_a_record_is_told_and_forgotten(queue: RedisQueue) -> None:
    task_id = task_in(queue, State.READY)
    queue.storage.address.client().hdel(queue.keys["tasks"], task_id)
    assert [(step.canceled, step.unreadable) for step in queue.flush_steps()] == [(0, 1)]
    assert queue.task_state(task_id) is None
    assert len(queue) == 0


def test_a_task_canceled_during_its_back_off_accounts_for_the_time_it_really_waited(
    queue: RedisQueue,
) -> None:
    @queue.task(retries=1, retry_delay=3_600)
    def fail() -> None:
        raise ValueError

    with consuming(queue):
        handle = fail()
        wait_until(lambda: told(queue, id=handle.id, status="scheduled"))
    assert queue.cancel(handle.id) == 1
    (end,) = told(queue, id=handle.id, end="canceled")
    phases = [end[f"{phase}_seconds"] for phase in ("waited", "ran", "backed_off", "parked")]
    assert min(phases) >= 0
    assert sum(phases) == pytest.approx(end["timestamp"] - end["first_ready_at"], abs=1e-5)


def test_cancel_takes_each_id_once_and_leaves_no_trace_in_redis(queue: RedisQueue) -> None:
    tasks = [task_in(queue, state) for state in (State.SCHEDULED, State.DELAYED, State.READY)]
    assert queue.cancel(*tasks, *tasks) == 3
    left = {key for key in keys_of(queue) if "{work}" in key}
    assert left == {queue.keys[thing] for thing in ("events", "meta", "lanes", "lanes_used", "wake")}


# -- Pause -------------------------------------------------------------------------------------------------
def test_a_pause_is_known_to_everyone_and_ends_with_resume(queue: RedisQueue) -> None:
    links = Links(queue.storage.address)
    assert queue.paused is None
    assert queue.pause()
    assert not queue.pause()
    assert queue.paused == pytest.approx(time.time(), abs=5)
    assert queue_view(links, "work").paused == queue.paused
    assert queue.resume()
    assert not queue.resume()
    assert queue.paused is queue_view(links, "work").paused is None


def test_resume_wakes_those_who_wait_for_work(queue: RedisQueue) -> None:
    client = queue.storage.address.client()
    tasks = [task_in(queue, State.READY) for _ in range(3)]
    queue.pause()
    client.delete(queue.keys["wake"])
    queue.resume()
    assert client.llen(queue.keys["wake"]) == len(tasks)


def test_nothing_begins_while_a_queue_is_paused_and_everything_runs_afterwards(queue: RedisQueue) -> None:
    task = queue.task(name="ok")(lambda: 1)
    queue.pause()
    with consuming(queue):
        handles = [task() for _ in range(5)]
        wait_until(lambda: queue_view(Links(queue.storage.address), "work").consumers)
        with pytest.raises(AssertionError):
            wait_until(lambda: told(queue, status="started"), 1)
        queue.resume()
        assert [handle.get(blocking=True, timeout=10) for handle in handles] == [1] * 5


# -- Values ------------------------------------------------------------------------------------------------
def test_a_value_is_kept_until_it_is_read_or_its_time_is_over(queue: RedisQueue) -> None:
    client = queue.storage.address.client()
    queue.put("ä key", {"when": dt.date(2026, 1, 1), "set": {1}})
    assert 0 < client.pttl(queue.keys.value("ä key")) <= queue.result_ttl_ms
    assert queue.get("ä key", peek=True) == {"when": dt.date(2026, 1, 1), "set": {1}}
    assert queue.get("ä key") == {"when": dt.date(2026, 1, 1), "set": {1}}
    assert queue.get("ä key") is None
    queue.put("short", 1, ttl=dt.timedelta(milliseconds=20))
    wait_until(lambda: queue.get("short", peek=True) is None)


def test_a_key_is_taken_by_exactly_one_of_many(queue: RedisQueue) -> None:
    assert [queue.put_if_empty("leader", number, ttl=60) for number in range(3)] == [True, False, False]
    assert queue.get("leader", peek=True) == 0
    assert queue.delete("leader")
    assert not queue.delete("leader")


def test_a_value_never_travels_as_pickle(make_queue: MakeQueue) -> None:
    queue = make_queue("work", serializer=SignedPickle("a secret of 16 bytes"))
    with pytest.raises(CannotCarry):
        queue.put("key", object())
    queue.storage.address.client().set(queue.keys.value("key"), b"\xff")
    with pytest.raises(UndecodableMessage):
        queue.get("key")


# -- What outsiders see ------------------------------------------------------------------------------------
def test_listeners_hear_of_what_is_canceled_and_purged_but_not_of_a_requeue(queue: RedisQueue) -> None:
    dead, again, waits = *buried(queue, 2), task_in(queue, State.DELAYED)
    pubsub = queue.storage.listener()
    queue.cancel(waits)
    queue.dead.purge(dead)
    queue.dead.requeue(again)
    heard = [json.loads(message["data"]) for _, message in zip(range(2), pubsub.listen(), strict=False)]
    pubsub.close()
    assert [(event["status"], event["id"]) for event in heard] == [("canceled", waits), ("purged", dead)]
    assert all(event["source"] == "producer" and event["host"] for event in heard)
    assert has_ended(queue, waits)


def test_a_queue_without_events_is_administered_in_silence(make_queue: MakeQueue) -> None:
    silent = make_queue("silent", events=False)
    dead, again = buried(silent, 2)
    task_in(silent, State.DELAYED)
    assert (silent.dead.purge(dead), silent.dead.requeue(again), silent.flush()) == (1, 1, 2)
    assert not told(silent)
