"""Dead letters: why a task failed for good, its new life, its end; on every kind of Redis that is at hand."""

import datetime as dt
import json
import time
from typing import Any

import pytest
from running import consuming, is_accounted_for, statuses, told
from servers import wait_until
from starters import MakeQueue
from states import REASON, buried, spoil, task_in

from limelight import ConfigurationError, RedisQueue, SignedPickle, TaskException
from limelight.emitter import fragment
from limelight.lifecycle import State
from limelight.storage.administration import CHUNK


@pytest.fixture
def queue(make_queue: MakeQueue) -> RedisQueue:
    return make_queue("work")


def remember(queue: RedisQueue, task_id: str, **reason: str) -> None:
    """Write a reason where the scripts that bury write it."""
    queue.storage.address.client().hset(queue.keys["dead_reasons"], task_id, fragment(reason))


class Fails:
    """A task body that raises until it is mended."""

    __name__ = __qualname__ = "fails"

    def __init__(self) -> None:
        self.mended = False

    def __call__(self) -> str:
        if not self.mended:
            raise ValueError("no luck")
        return "done"


# -- Reading -----------------------------------------------------------------------------------------------
def test_a_dead_letter_shows_what_was_called_how_often_and_why_it_failed(queue: RedisQueue) -> None:
    task_id = task_in(queue, State.DEAD)
    remember(queue, task_id, error_type="app.NoLuck", error_message="as planned", traceback="here")
    (letter,) = queue.dead
    assert (letter.id, letter.task, str(letter.arguments)) == (task_id, "send", "'a@b.c', copies=2")
    assert (letter.error_type, letter.error_message, letter.traceback) == ("app.NoLuck", "as planned", "here")
    assert letter.buried_at == pytest.approx(time.time(), abs=5)
    assert letter.enqueued_at == pytest.approx(time.time(), abs=5)
    assert (letter.run, letter.redeliveries, letter.priority) == (0, 0, 0)
    assert letter.trace_id == task_id.replace("-", "")
    assert queue.dead.get(task_id) == letter


def test_the_reason_that_was_told_is_the_reason_that_is_kept(
    queue: RedisQueue, make_queue: MakeQueue
) -> None:
    fails = queue.task(name="fails")(Fails())
    with consuming(queue):
        handle = fails()
        wait_until(lambda: told(queue, id=handle.id, status="dead"))
        unknown = task_in(make_queue("work"), State.READY, "nobody_knows")
        wait_until(lambda: told(queue, id=unknown, status="dead"))
    for task_id in (handle.id, unknown):
        (event,) = told(queue, id=task_id, status="dead")
        letter = queue.dead.get(task_id)
        assert letter is not None
        assert (letter.error_type, letter.error_message) == (event["error_type"], event["error_message"])


def test_a_traceback_is_shown_as_long_as_it_or_the_result_of_the_task_is_kept(queue: RedisQueue) -> None:
    fails = queue.task(name="fails", retries=1)(Fails())
    with consuming(queue):
        handle = fails()
        with pytest.raises(TaskException):
            handle.get(blocking=True, timeout=10)
    letter = queue.dead.get(handle.id)
    assert letter is not None
    assert 'raise ValueError("no luck")' in (letter.traceback or "")
    assert (letter.run, letter.attempt, letter.worker) == (2, 2, told(queue, status="dead")[0]["worker"])
    queue.storage.address.client().delete(queue.keys.result(handle.id), queue.keys["dead_reasons"])
    assert queue.dead.get(handle.id).traceback is None  # type: ignore[union-attr]


def test_only_a_dead_letter_can_be_got_as_one(queue: RedisQueue) -> None:
    assert queue.dead.get(task_in(queue, State.READY)) is None
    assert queue.dead.get("no such id") is None


def test_the_list_goes_from_the_newest_on_and_can_be_read_page_by_page(queue: RedisQueue) -> None:
    ids = buried(queue, 7)[::-1]
    assert [letter.id for letter in queue.dead] == ids
    assert len(queue.dead) == 7
    seen, after = [], ""
    while page := queue.dead.page(3, after):
        seen += [letter.id for letter in page]
        after = page[-1].cursor
    assert seen == ids


def test_pages_lose_nothing_where_many_were_buried_in_the_same_moment(queue: RedisQueue) -> None:
    ids = buried(queue, 9)
    queue.storage.address.client().zadd(queue.keys["dead"], dict.fromkeys(ids, 1_000_000))
    seen, after = [], ""
    while page := queue.dead.page(2, after):
        seen += [letter.id for letter in page]
        after = page[-1].cursor
    assert sorted(seen) == sorted(ids)
    assert queue.dead.requeue_all() == 9


def test_the_list_can_be_of_one_task(queue: RedisQueue) -> None:
    mails, charges = buried(queue, 2, "mail"), buried(queue, 3, "charge")
    assert [letter.id for letter in queue.dead.page(task="mail")] == mails[::-1]
    assert [letter.id for letter in queue.dead.page(2, task="charge")] == charges[:0:-1]


def test_a_cursor_that_is_none_is_refused(queue: RedisQueue) -> None:
    with pytest.raises(ConfigurationError, match="'yesterday' is no cursor"):
        queue.dead.page(after="yesterday")


def test_dead_letters_are_found_by_the_beginning_of_their_id(queue: RedisQueue) -> None:
    ids = buried(queue, 3)
    assert queue.dead.find(ids[1][:8]) == [ids[1]]
    assert queue.dead.find("") == ids[::-1]


@pytest.mark.parametrize("reason", [b",\xff", b",{", b"[1]", b',"error_type":7', b""])
def test_a_reason_that_cannot_be_read_hides_no_letter(queue: RedisQueue, reason: bytes) -> None:
    task_id = task_in(queue, State.DEAD)
    queue.storage.address.client().hset(queue.keys["dead_reasons"], task_id, reason)
    assert [(letter.id, letter.error_type) for letter in queue.dead] == [(task_id, "")]


def test_arguments_of_another_serializer_are_not_shown(make_queue: MakeQueue) -> None:
    secret = make_queue("work", serializer=SignedPickle("a secret of 16 bytes"))
    task_id = task_in(secret, State.DEAD)
    letter = make_queue("work").dead.get(task_id)
    assert letter is not None
    assert str(letter.arguments) == "[signed, not shown]"
    assert str(secret.dead.get(task_id).arguments) == "'a@b.c', copies=2"  # type: ignore[union-attr]


# -- Unreadable --------------------------------------------------------------------------------------------
RECORDS = [
    b"\xc1 no record",
    b"",
    b"\xdc\x00\x1f" + b"\xa1x" * 30 + b"\x05tail",  # an array that ends as a record does and holds nonsense
]


@pytest.mark.parametrize("record", RECORDS)
def test_an_unreadable_dead_letter_can_be_seen_and_purged_but_not_requeued(
    queue: RedisQueue, record: bytes
) -> None:
    good, bad = buried(queue, 2)
    queue.storage.address.client().hset(queue.keys["tasks"], bad, record)
    letters = {letter.id: letter for letter in queue.dead}
    assert (letters[good].task, letters[bad].task) == ("send", None)
    assert str(letters[bad].arguments) == "[its record is unreadable]"
    assert letters[bad].error_message
    assert (letters[bad].size, letters[bad].enqueued_at) == (len(record), None)
    assert queue.dead.get(bad) == letters[bad]
    assert queue.task_state(bad).state is State.DEAD  # type: ignore[union-attr]
    assert [letter.id for letter in queue.dead.page(task="send")] == [good]
    assert (queue.dead.requeue(bad), queue.cancel(bad)) == (0, 0)
    assert queue.dead.requeue_all() == 1
    assert queue.dead.purge_all() == 1
    (purged,) = told(queue, status="purged")
    assert (purged["id"], purged["task"]) == (bad, "_unknown")
    is_accounted_for(queue)


def test_an_entry_without_a_record_can_be_seen_and_purged(queue: RedisQueue) -> None:
    task_id = task_in(queue, State.DEAD)
    queue.storage.address.client().hdel(queue.keys["tasks"], task_id)
    assert [(letter.id, letter.size) for letter in queue.dead] == [(task_id, 0)]
    assert queue.dead.requeue(task_id) == 0
    assert queue.dead.purge(task_id) == 1
    is_accounted_for(queue)


def test_an_id_that_is_no_text_can_be_thrown_away(queue: RedisQueue) -> None:
    client = queue.storage.address.client()
    client.zadd(queue.keys["dead"], {b"\xff\xfe": 1})
    client.hset(queue.keys["tasks"], b"\xff\xfe", b"rubbish")
    assert len(list(queue.dead)) == 1
    assert queue.dead.requeue_all() == 0
    assert queue.dead.purge_all() == 1
    is_accounted_for(queue)


def test_a_record_that_was_spoiled_while_it_waited_is_buried_by_the_worker_and_shown(
    queue: RedisQueue,
) -> None:
    task_id = task_in(queue, State.READY)
    spoil(queue, task_id)
    with consuming(queue):
        wait_until(lambda: told(queue, id=task_id, status="dead"))
    (letter,) = queue.dead
    assert (letter.id, letter.task) == (task_id, None)


# -- A new life --------------------------------------------------------------------------------------------
def test_a_requeued_task_begins_anew_and_its_runs_are_counted_on(queue: RedisQueue) -> None:
    body = Fails()
    fails = queue.task(name="fails", retries=1)(body)
    with consuming(queue):
        handle = fails()
        with pytest.raises(TaskException):
            handle.get(blocking=True, timeout=10)
        body.mended = True
        requeued_at = time.time()
        assert queue.dead.requeue(handle.id) == 1
        assert queue.result_handle(handle.id).get(blocking=True, timeout=10) == "done"
    assert statuses(queue, id=handle.id) == [
        *("enqueued", "started", "error-task", "retrying", "started", "error-task", "dead"),
        *("enqueued", "started", "finished"),
    ]
    first, second = told(queue, id=handle.id, status="enqueued")
    assert (second["retries"], second["max_attempts"], second["attempt"], second["run"]) == (1, 2, 0, 2)
    assert second["enqueued_at"] > first["enqueued_at"]
    (finished,) = told(queue, id=handle.id, status="finished")
    assert (finished["run"], finished["attempt"], finished["retries_used"]) == (3, 1, 0)
    assert finished["first_ready_at"] >= requeued_at - 1
    assert finished["waited_seconds"] + finished["ran_seconds"] < 5
    assert not queue.dead
    is_accounted_for(queue)


def test_whoever_waits_for_a_requeued_task_waits_for_its_new_life(queue: RedisQueue) -> None:
    task_id = task_in(queue, State.DEAD)
    queue.storage.address.client().set(queue.keys.result(task_id), b"the old failure")
    queue.dead.requeue(task_id)
    assert queue.result(task_id) is None
    assert queue.storage.result(task_id) == (None, True)


def test_a_task_that_lost_its_workers_may_lose_as_many_again(make_queue: MakeQueue) -> None:
    queue = make_queue("work", max_redeliveries=0)
    task_id = task_in(queue, State.RUNNING)
    queue.storage.address.client().zadd(queue.keys["running"], {task_id: 1})
    assert _reaped(queue, task_id) == "dead"
    assert queue.dead.get(task_id).redeliveries == 1  # type: ignore[union-attr]
    queue.dead.requeue(task_id)
    assert queue.task_state(task_id).redeliveries == 0  # type: ignore[union-attr]


def _reaped(queue: RedisQueue, task_id: str) -> str | None:
    return queue.storage.reap(task_id, lease_seconds=1, result=b"", result_ttl_ms=1, where="")


def test_the_trace_goes_on_and_names_the_requeue_as_the_parent_of_what_follows(queue: RedisQueue) -> None:
    body = Fails()
    fails = queue.task(name="fails")(body)
    with consuming(queue):
        handle = fails()
        wait_until(lambda: told(queue, id=handle.id, status="dead"))
        body.mended = True
        queue.dead.requeue(handle.id)
        wait_until(lambda: told(queue, id=handle.id, status="finished"))
    first, second = told(queue, id=handle.id, status="enqueued")
    (failed,) = told(queue, id=handle.id, outcome="error")
    (finished,) = told(queue, id=handle.id, status="finished")
    assert second["trace_id"] == finished["trace_id"] == first["trace_id"]
    assert second["parent_span_id"] == first["span_id"]
    assert finished["parent_span_id"] == second["span_id"] != first["span_id"]
    assert second["links"] == [{"trace_id": failed["trace_id"], "span_id": failed["span_id"]}]
    assert int(second["span_start"]) <= int(second["span_end"])
    assert second["host"]


def test_requeue_takes_ids_or_all_or_those_of_one_task_the_oldest_first(queue: RedisQueue) -> None:
    ids = buried(queue, 3, "mail")
    other = buried(queue, 1, "charge")
    assert queue.dead.requeue(ids[1], ids[1], "no such id") == 1
    queue.flush()
    assert queue.dead.requeue_all(task="mail") == 2
    assert [task.id for task in queue.pending()] == [ids[0], ids[2]]
    queue.flush()
    assert queue.dead.requeue_all() == 1
    assert [task.id for task in queue.pending()] == other
    assert queue.dead.requeue_all() == 0
    is_accounted_for(queue)


def test_requeueing_all_ends_although_every_task_dies_again_at_once(queue: RedisQueue) -> None:
    fails = queue.task(name="fails")(Fails())
    with consuming(queue, workers=4):
        for _ in range(20):
            fails()
        wait_until(lambda: len(queue.dead) == 20)
        assert queue.dead.requeue_all() == 20
        wait_until(lambda: len(told(queue, status="dead")) == 40)
    is_accounted_for(queue)


def test_what_was_buried_after_the_command_began_is_left_alone(queue: RedisQueue) -> None:
    redis = queue.storage.administration
    began = redis.now_us()
    task_id = task_in(queue, State.DEAD)
    assert redis.dead_ids(10, until_us=began) == []
    assert redis.requeue([task_id], until_us=began) == [0]
    assert redis.purge([task_id], until_us=began) == 0
    assert queue.task_state(task_id).state is State.DEAD  # type: ignore[union-attr]


def test_idle_workers_hear_of_a_requeue(queue: RedisQueue) -> None:
    ids = buried(queue, 2)
    client = queue.storage.address.client()
    client.delete(queue.keys["wake"])
    queue.dead.requeue(*ids)
    assert client.llen(queue.keys["wake"]) == 2


# -- Purge -------------------------------------------------------------------------------------------------
def test_a_purge_tells_each_letter_ends_nothing_and_leaves_nothing(queue: RedisQueue) -> None:
    ids = buried(queue, 3)
    for task_id in ids:
        remember(queue, task_id, error_type="app.NoLuck")
        queue.revoke_by_id(task_id)
    ends = len([event for event in told(queue) if "end" in event])
    assert queue.dead.purge(ids[0], ids[0]) == 1
    assert queue.dead.purge_all() == 2
    purged = told(queue, status="purged")
    assert [event["id"] for event in purged] == ids
    assert {event["task"] for event in purged} == {"send"}
    assert len([event for event in told(queue) if "end" in event]) == ends
    client = queue.storage.address.client()
    assert not client.exists(*(queue.keys[thing] for thing in ("dead", "dead_reasons", "revoked", "tasks")))
    is_accounted_for(queue)


def test_a_requeue_leaves_no_reason_behind(queue: RedisQueue) -> None:
    task_id = task_in(queue, State.DEAD)
    remember(queue, task_id, error_type="app.NoLuck")
    queue.dead.requeue(task_id)
    assert not queue.storage.address.client().exists(queue.keys["dead_reasons"])


@pytest.mark.parametrize(
    "age",
    [3_600, dt.timedelta(hours=1), lambda: dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)],
    ids=["seconds", "timedelta", "datetime"],
)
def test_a_purge_may_spare_the_young(queue: RedisQueue, age: Any) -> None:
    old, young = buried(queue, 2)
    two_hours_ago = round((time.time() - 7_200) * 1e6)
    queue.storage.address.client().zadd(queue.keys["dead"], {old: two_hours_ago})
    older_than = age() if callable(age) else age
    assert queue.dead.count(older_than=older_than) == 1
    assert queue.dead.purge_all(older_than=older_than) == 1
    assert [letter.id for letter in queue.dead] == [young]


def test_a_purge_may_be_of_one_task(queue: RedisQueue) -> None:
    buried(queue, 2, "mail")
    kept = buried(queue, 1, "charge")
    assert queue.dead.count("mail") == queue.dead.purge_all(task="mail") == 2
    assert [letter.id for letter in queue.dead] == kept


def test_thousands_are_changed_in_chunks(queue: RedisQueue) -> None:
    send = queue.task(name="send")(lambda: None)
    ids = [send().id for _ in range(CHUNK + 200)]
    _bury_all(queue, ids)
    assert list(queue.dead.requeue_steps()) == [CHUNK, 200]
    _bury_all(queue, ids)
    assert list(queue.dead.purge_steps()) == [CHUNK, 200]
    assert not queue.dead


def _bury_all(queue: RedisQueue, ids: list[str]) -> None:
    """As so many burials would leave it; the records say "ready", which no command here looks at."""
    client = queue.storage.address.client()
    client.delete(queue.keys["ready"], queue.keys["ready_since"])
    client.zadd(queue.keys["dead"], {task_id: at for at, task_id in enumerate(ids)})


# -- The limit ---------------------------------------------------------------------------------------------
def test_the_oldest_are_purged_beyond_the_limit(queue: RedisQueue) -> None:
    ids = buried(queue, 5)
    redis = queue.storage.administration
    assert redis.trim_dead(3) == 2
    assert [event["id"] for event in told(queue, status="purged")] == ids[:2]
    assert [letter.id for letter in queue.dead] == ids[:1:-1]
    assert redis.trim_dead(3) == 0


def test_consumers_that_trim_at_the_same_moment_purge_no_more_than_one_would(queue: RedisQueue) -> None:
    ids = buried(queue, 5)
    redis = queue.storage.administration
    assert redis.purge(ids[:2], keep=3) == 2
    assert redis.purge(ids[2:4], keep=3) == 0, "the other consumer saw five, and what was then the oldest"
    assert len(queue.dead) == 3


def test_a_consumer_keeps_the_dead_letters_within_the_limit_of_its_queue(make_queue: MakeQueue) -> None:
    queue = make_queue("work", max_dead=3)
    fails = queue.task(name="fails")(Fails())
    with consuming(queue, lease_seconds=1):
        for _ in range(6):
            fails()
        wait_until(lambda: len(told(queue, status="purged")) == 3)
    assert len(queue.dead) == 3
    assert {event["source"] for event in told(queue, status="purged")} == {"reaper"}
    is_accounted_for(queue)


def test_a_limit_may_be_refused_or_be_wrong(make_queue: MakeQueue) -> None:
    assert make_queue("work", max_dead=None).max_dead is None
    assert make_queue("work").max_dead == 10_000
    for wrong in (-1, 2.5, True):
        with pytest.raises(ConfigurationError, match="max_dead"):
            make_queue("work", max_dead=wrong)  # type: ignore[arg-type]


def test_the_reason_of_a_test_is_the_one_that_a_burial_tells(queue: RedisQueue) -> None:
    task_id = task_in(queue, State.DEAD)
    (dead,) = told(queue, id=task_id, status="dead")
    assert json.loads("{" + REASON[1:] + "}").items() <= dead.items()
