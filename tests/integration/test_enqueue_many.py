"""Many calls at once: the next write is made while Redis does one, and what is known of each stays exact."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from support.proxy import FaultyProxy
from support.running import statuses

from limelight import CannotCarry, ConfigurationError, OutcomeUnknown, RedisQueue, RedisUnavailable
from limelight.enqueueing import ENQUEUE_BATCH
from limelight.storage.link import Link
from limelight.storage.scripts import SCRIPTS
from limelight.task import Task, TaskOptions, new_id


def calls(count: int, **options: Any) -> list[Task]:
    return [Task(options=TaskOptions(name="note", **options), args=(n,), queue="many") for n in range(count)]


def queued(queue: RedisQueue) -> list[str]:
    """Ids of the tasks that are ready, first to run first."""
    return [task.id for task in queue.pending()]


def test_calls_are_taken_as_they_come_and_run_in_their_order(redis_url: str) -> None:
    queue = RedisQueue("many", redis_url)
    tasks = calls(2 * ENQUEUE_BATCH + 7)
    made: list[str] = []

    def one_by_one() -> Iterator[Task]:
        for task in tasks:
            if len(made) == 2 * ENQUEUE_BATCH:  # the first write is on the queue before the third is made
                assert len(queued(queue)) >= ENQUEUE_BATCH
            made.append(task.id)
            yield task

    results = queue.enqueue_many(one_by_one())
    assert [result.id for result in results] == made == queued(queue)
    assert statuses(queue, task="note") == ["enqueued"] * len(tasks)


def test_nothing_given_is_nothing_enqueued(redis_url: str) -> None:
    assert len(RedisQueue("many", redis_url).enqueue_many([])) == 0


def test_what_cannot_travel_stops_what_follows_it_and_nothing_before(redis_url: str) -> None:
    queue = RedisQueue("many", redis_url)
    tasks = calls(2 * ENQUEUE_BATCH)
    tasks[ENQUEUE_BATCH + 3].args = (object(),)
    with pytest.raises(CannotCarry, match=r"note\(\): argument \[0\]"):
        queue.enqueue_many(tasks)
    assert queued(queue) == [task.id for task in tasks[:ENQUEUE_BATCH]]
    queue.enqueue(calls(1)[0])
    assert len(queued(queue)) == ENQUEUE_BATCH + 1


def test_a_call_made_while_a_write_is_on_its_way_goes_its_own_way(redis_url: str) -> None:
    queue = RedisQueue("many", redis_url)
    tasks, between = calls(2 * ENQUEUE_BATCH + 1), calls(1)[0]

    def enqueues_as_well() -> Iterator[Task]:
        for at, task in enumerate(tasks):
            if at == ENQUEUE_BATCH + 1:
                queue.enqueue(between)
            yield task

    queue.enqueue_many(enqueues_as_well())
    assert sorted(queued(queue)) == sorted(task.id for task in [*tasks, between])
    assert statuses(queue, task="note") == ["enqueued"] * (len(tasks) + 1)


def test_a_write_whose_answer_is_lost_is_repeated_and_done_once(
    redis_url: str, faulty_proxy: FaultyProxy
) -> None:
    queue = RedisQueue("many", faulty_proxy.url, patience=20)
    queue.enqueue(calls(1)[0])
    tasks = calls(3 * ENQUEUE_BATCH)

    def drops_answers() -> Iterator[Task]:
        for at, task in enumerate(tasks):
            if at % ENQUEUE_BATCH == ENQUEUE_BATCH - 1:
                faulty_proxy.drop_reply(SCRIPTS["enqueue"].sha)
            yield task

    queue.enqueue_many(drops_answers())
    assert faulty_proxy.dropped >= 2
    direct = RedisQueue("many", redis_url)
    assert queued(direct)[1:] == [task.id for task in tasks]
    assert statuses(direct, task="note") == ["enqueued"] * (len(tasks) + 1)


def test_a_write_whose_answer_never_comes_says_so_and_the_rest_is_not_sent(
    redis_url: str, faulty_proxy: FaultyProxy
) -> None:
    queue = RedisQueue("many", faulty_proxy.url, socket_timeout=0.3)
    queue.enqueue(calls(1)[0])
    tasks = calls(3 * ENQUEUE_BATCH)

    def loses_the_way() -> Iterator[Task]:
        for at, task in enumerate(tasks):
            if at == 2 * ENQUEUE_BATCH - 1:
                faulty_proxy.hole()
            yield task

    with pytest.raises((OutcomeUnknown, RedisUnavailable)):
        queue.enqueue_many(loses_the_way())
    faulty_proxy.pass_on()
    direct = RedisQueue("many", redis_url)
    assert set(queued(direct)[1:]) <= {task.id for task in tasks[: 2 * ENQUEUE_BATCH]}
    held = [task for task in tasks if task.receipt]
    assert held
    for task in held:  # each is the first of a write: the very same calls once more
        at = tasks.index(task)
        queue.enqueue_many(tasks[at : at + ENQUEUE_BATCH])
    assert len(queued(direct)) == len(set(queued(direct)))


def test_a_task_that_is_there_already_is_refused_with_its_id(redis_url: str) -> None:
    queue = RedisQueue("many", redis_url)
    task, other = calls(2)
    queue.enqueue(task)
    with pytest.raises(ConfigurationError, match=task.id):
        queue.enqueue_many([other, task])
    assert queued(queue) == [task.id]


def test_an_answer_is_collected_once_and_by_whoever_posted(redis_url: str) -> None:
    queue = RedisQueue("many", redis_url)
    queue.storage.producing.announce()
    parcels = [queue.parcel(task) for task in calls(1)]
    sending = queue.storage.producing.begin(parcels, queue.storage.producing.new_receipt())
    assert queue.storage.result("unknown") == (None, False)  # reads past it
    queue.storage.producing.finish(sending)
    assert len(queued(queue)) == 1
    with pytest.raises(RuntimeError, match="nothing was posted"):
        Link(queue.storage.address).collect()


def test_a_connection_closed_before_the_answer_came_is_a_repeat_not_a_guess(redis_url: str) -> None:
    queue = RedisQueue("many", redis_url)
    queue.storage.producing.announce()
    parcels = [queue.parcel(task) for task in calls(1)]
    sending = queue.storage.producing.begin(parcels, queue.storage.producing.new_receipt())
    queue.storage.close()
    queue.storage.producing.finish(sending)
    assert statuses(queue, task="note") == ["enqueued"]


@pytest.mark.parametrize("where", ["sent", "answered", "answered to another"])
def test_whoever_is_interrupted_finds_no_wrong_answer_and_may_enqueue_the_same_again(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    queue = RedisQueue("many", redis_url)
    queue.enqueue(calls(1)[0])
    tasks = calls(ENQUEUE_BATCH + 1)

    def interrupt(*_: Any, **__: Any) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    def interrupted() -> Iterator[Task]:
        for at, task in enumerate(tasks):
            if (at, where) in {(0, "sent"), (ENQUEUE_BATCH, "answered")}:
                target = (link._connection, "send_packed_command") if where == "sent" else (link, "_read")
                monkeypatch.setattr(*target, interrupt)
            if (at, where) == (ENQUEUE_BATCH, "answered to another"):
                monkeypatch.setattr(link, "_read", interrupt)
                queue.storage.result("another")
            yield task

    link = queue.storage._links.get()
    with pytest.raises(KeyboardInterrupt):
        queue.enqueue_many(interrupted())
    assert queue.storage.result("unknown") == (None, False)
    queue.enqueue(calls(1)[0])  # another number: it must not hide the repeat
    if where == "answered to another":  # the write itself was finished on the way out
        with pytest.raises(ConfigurationError, match=tasks[0].id):
            queue.enqueue_many(tasks[:ENQUEUE_BATCH])
    else:
        queue.enqueue_many(tasks[:ENQUEUE_BATCH])
    assert [task_id for task_id in queued(queue) if task_id == tasks[0].id] == [tasks[0].id]
    assert len(queued(queue)) == ENQUEUE_BATCH + 2
    assert statuses(queue, task="note") == ["enqueued"] * (ENQUEUE_BATCH + 2)


def test_ids_are_random_uuids_of_version_4() -> None:
    made = [new_id() for _ in range(2_000)]
    assert len(set(made)) == len(made)
    for text in made:
        parsed = uuid.UUID(text)
        assert (str(parsed), parsed.version, parsed.variant) == (text, 4, uuid.RFC_4122)
    assert {text[19] for text in made} == set("89ab")
