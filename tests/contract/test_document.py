"""The document that Limelight was born from, sentence by sentence; its samples run, changed only in names."""

import copy
import inspect
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from running import consuming, has_ended, told
from servers import wait_until
from starters import MakeQueue

import limelight.consumer
from limelight import ConfigurationError, RedisEventEmitter, RedisHuey, RedisQueue
from limelight import events as contract
from limelight.crontab import crontab

TASK_KEYS = {"status", "id", "task", "retries", "retry_delay", "execute_time"}
DOCUMENTED = {
    "EVENT_CHECKING_PERIODIC": ("checking-periodic", {"scheduler"}, {"timestamp"}),
    "EVENT_FINISHED": ("finished", {"worker"}, {"duration"}),
    "EVENT_RETRYING": ("retrying", {"worker"}, set()),
    "EVENT_REVOKED": ("revoked", {"worker"}, {"timestamp"}),
    "EVENT_SCHEDULED": ("scheduled", {"worker"}, set()),
    "EVENT_SCHEDULING_PERIODIC": ("scheduling-periodic", {"scheduler"}, {"timestamp"}),
    "EVENT_STARTED": ("started", {"worker"}, {"timestamp"}),
    "EVENT_ERROR_DEQUEUEING": ("error-dequeueing", {"worker"}, set()),
    "EVENT_ERROR_ENQUEUEING": ("error-enqueueing", {"scheduler", "worker"}, set()),
    "EVENT_ERROR_INTERNAL": ("error-internal", {"worker"}, set()),
    "EVENT_ERROR_SCHEDULING": ("error-scheduling", {"worker"}, set()),
    "EVENT_ERROR_STORING_RESULT": ("error-storing-result", {"worker"}, {"duration"}),
    "EVENT_ERROR_TASK": ("error-task", {"worker"}, {"duration"}),
}


class Listener:
    """Collects what a subscriber sees, from the moment it is made."""

    def __init__(self, queue: RedisQueue) -> None:
        self.seen: list[dict[str, Any]] = []
        events = iter(queue.storage)  # subscribed from here on
        threading.Thread(target=self._listen, args=(events,), daemon=True).start()

    def _listen(self, events: Iterator[dict[str, Any]]) -> None:
        for event in events:
            self.seen.append(event)

    def of(self, task_id: str) -> list[str]:
        return [event["status"] for event in self.seen if event["id"] == task_id]

    def until(self, task_id: str, *statuses: str) -> list[str]:
        wait_until(lambda: len(self.of(task_id)) >= len(statuses), 15, f"{statuses}, seen {self.of(task_id)}")
        return self.of(task_id)


@pytest.fixture
def queue(make_either_queue: MakeQueue) -> RedisQueue:
    return make_either_queue("document")


class Fails:
    """A task body that fails so many times, then returns."""

    def __init__(self, times: int) -> None:
        self.__name__, self.__qualname__, self.times = "fails", "fails", times

    def __call__(self) -> str:
        self.times -= 1
        if self.times >= 0:
            raise ValueError("as planned")
        return "done"


def test_the_constants_are_where_the_document_imports_them_from() -> None:
    for name, (value, _, _) in DOCUMENTED.items():
        assert getattr(limelight.consumer, name) == getattr(contract, name) == value
    assert {value for value, _, _ in DOCUMENTED.values()} == contract.ORIGINAL_STATUSES


def test_the_first_sample_runs(queue: RedisQueue) -> None:
    """`for event in huey.storage` yields events, and a finished task's result can be read by its id."""
    processed: list[tuple[str, Any]] = []

    def process_result(event: dict[str, Any], result: Any) -> None:
        processed.append((event["id"], result))

    @queue.task()
    def add(a: int, b: int) -> int:
        return a + b

    def listen(subscribed: threading.Event) -> None:
        from limelight.consumer import EVENT_FINISHED

        events = iter(queue.storage)
        subscribed.set()
        for event in events:
            # Do something with the result of the task.
            if event["status"] == EVENT_FINISHED:
                result = queue.result(event["id"])
                process_result(event, result)
                break

    subscribed = threading.Event()
    thread = threading.Thread(target=listen, args=(subscribed,), daemon=True)
    thread.start()
    assert subscribed.wait(10)
    with consuming(queue):
        handle = add(1, 2)
        thread.join(10)
    assert processed == [(handle.id, 3)]


def test_the_second_sample_runs(queue: RedisQueue) -> None:
    """`huey.storage.listener().listen()` yields messages whose data is the event; the confirmation is gone."""
    processed: list[dict[str, Any]] = []

    def process_event(event: bytes) -> None:
        processed.append(json.loads(event))

    @queue.task()
    def nothing() -> None: ...

    pubsub = queue.storage.listener()
    with consuming(queue):
        handle = nothing()
        for message in pubsub.listen():
            event = message["data"]  # Actual event data is stored in 'data' key.
            # Do something with `event` object.
            process_event(event)
            if processed[-1]["status"] == "finished":
                break
    pubsub.close()
    assert [event["status"] for event in processed if event["id"] == handle.id] == ["started", "finished"]


def test_an_emitter_may_be_given_and_events_may_be_refused(make_either_queue: MakeQueue) -> None:
    chosen = make_either_queue("chosen", emitter=RedisEventEmitter(channel="my-channel"))
    silent = make_either_queue("silent", events=False)
    for queue in (chosen, silent):
        queue.task(name="nothing")(lambda: None)
    assert chosen.storage.channel == "my-channel"
    listener = Listener(chosen)
    with consuming(chosen), consuming(silent):
        handles = [queue.enqueue(_task(queue)) for queue in (chosen, silent)]
        for handle in handles:
            handle.get(blocking=True, timeout=10)
    assert listener.until(handles[0].id, "started", "finished") == ["started", "finished"]
    assert told(chosen, status="finished")
    assert not told(silent)
    with pytest.raises(ConfigurationError, match="publishes no events"):
        silent.storage.listener()


def _task(queue: RedisQueue) -> Any:
    from limelight import Task

    return Task(options=queue.registry["nothing"].options)


def all_kinds_of_events(queue: RedisQueue) -> list[dict[str, Any]]:
    """Run something of everything; returns what the stream holds."""
    ok = queue.task(name="ok")(lambda: 1)
    queue.task(name="fails", retries=1)(Fails(9))
    later = queue.task(name="later", retries=1, retry_delay=0.05)(Fails(1))
    unstorable = queue.task(name="unstorable")(object)
    queue.periodic_task(crontab(minute="*"), name="tick")(lambda: None)
    handles = [ok(), queue.enqueue(_named(queue, "fails")), later(), unstorable(), ok.schedule(delay=0.05)]
    revoked = ok()
    assert revoked.revoke()
    with consuming(queue):
        for handle in (*handles, revoked):
            wait_until(lambda task_id=handle.id: has_ended(queue, task_id), 15)
    return told(queue)


def _named(queue: RedisQueue, name: str) -> Any:
    from limelight import Task

    return Task(options=queue.registry[name].options)


def test_every_event_carries_what_the_document_promises(queue: RedisQueue) -> None:
    events = all_kinds_of_events(queue)
    seen = {event["status"] for event in events}
    assert {"finished", "retrying", "revoked", "scheduled", "started", "error-task"} <= seen
    assert {"checking-periodic", "error-storing-result"} <= seen
    documented = {status: (sources, extra) for status, sources, extra in DOCUMENTED.values()}
    for event in events:
        assert event.keys() >= TASK_KEYS, event
        assert isinstance(event["error"], bool)
        assert event["error"] == event["status"].startswith("error-")
        assert isinstance(event.get("traceback"), str) == event["error"], event
        assert isinstance(event["timestamp"], float)
        if event["status"] in documented:
            sources, extra = documented[event["status"]]
            assert event["source"] in sources, event
            assert event.keys() >= extra, event


def test_an_event_about_a_task_says_which_and_how_it_will_be_retried(queue: RedisQueue) -> None:
    task = queue.task(name="send", retries=2, retry_delay=0.1)(Fails(1))
    with consuming(queue):
        handle = task.schedule(delay=0.1)
        handle.get(blocking=True, timeout=15)
    for event in told(queue, id=handle.id):
        assert event["task"] == "send"
        assert event["retry_delay"] == 0.1
        assert event["execute_time"] == pytest.approx(event["timestamp"], abs=5)
    retries = [(event["status"], event["retries"]) for event in told(queue, id=handle.id)]
    assert ("error-task", 2) in retries
    assert retries[retries.index(("error-task", 2)) + 1] == ("retrying", 1)


@pytest.mark.parametrize(
    ("options", "body", "how", "expected"),
    [
        ({}, Fails(0), lambda task: task(), ["started", "finished"]),
        ({}, Fails(0), lambda task: task.schedule(delay=1), ["scheduled", "started", "finished"]),
        ({}, Fails(1), lambda task: task(), ["started", "error-task", "dead"]),
        (
            {"retries": 2},
            Fails(1),
            lambda task: task(),
            ["started", "error-task", "retrying", "started", "finished"],
        ),
        (
            {"retries": 2, "retry_delay": 0.1},
            Fails(2),
            lambda task: task(),
            [
                *("started", "error-task", "retrying", "scheduled"),
                *("started", "error-task", "retrying", "scheduled"),
                *("started", "finished"),
            ],
        ),
        (
            {"retries": 1},
            Fails(9),
            lambda task: task(),
            ["started", "error-task", "retrying", "started", "error-task", "dead"],
        ),
    ],
    ids=["simple", "scheduled", "failing", "retried", "retried later", "retried in vain"],
)
def test_the_order_of_events_is_the_documents(
    queue: RedisQueue,
    options: dict[str, Any],
    body: Callable[[], str],
    how: Callable[[Any], Any],
    expected: list[str],
) -> None:
    listener = Listener(queue)
    task = queue.task(name="fails", **options)(copy.copy(body))  # of each kind of storage its own
    with consuming(queue, workers=4):
        assert listener.until(how(task).id, *expected) == expected


def test_the_scheduler_tells_its_check_before_what_it_enqueues(queue: RedisQueue) -> None:
    client = queue.storage.address.client()
    queue.periodic_task(crontab(minute="*"), name="tick")(lambda: None)
    client.hset(
        queue.keys["periodic_runs"], "tick:due", 60_000_000
    )  # last ran in 1970: the latest due is made up
    with consuming(queue):
        wait_until(lambda: told(queue, status="finished", task="tick"), 10)
    order = [event["status"] for event in told(queue) if event["source"] != "worker"]
    assert order == ["checking-periodic", "scheduling-periodic", "enqueued"]
    (scheduling,) = told(queue, status="scheduling-periodic")
    assert scheduling["task"] == "tick"


def test_a_late_listener_sees_what_comes_from_then_on(queue: RedisQueue) -> None:
    task = queue.task(name="ok")(lambda: 1)
    with consuming(queue):
        task().get(blocking=True, timeout=10)
        listener = Listener(queue)
        second = task()
        assert listener.until(second.id, "started", "finished") == ["started", "finished"]
    assert {event["id"] for event in listener.seen if event["id"]} == {second.id}


def test_nonsense_on_the_channel_ends_no_listener(queue: RedisQueue) -> None:
    task = queue.task(name="ok")(lambda: 1)
    listener = Listener(queue)
    client = queue.storage.address.client()
    for nonsense in (b"\xff", b"{", b"7", b"", b'{"a":"\xff"}'):
        client.publish(queue.storage.channel, nonsense)
    with consuming(queue):
        assert listener.until(task().id, "started", "finished") == ["started", "finished"]


def test_the_queue_has_the_public_names_of_the_document() -> None:
    assert RedisHuey is RedisQueue
    assert {"url", "events", "emitter"} <= set(inspect.signature(RedisQueue).parameters)
