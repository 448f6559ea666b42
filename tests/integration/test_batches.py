"""Workers take tasks in batches: quick where tasks are quick, and nobody waits behind a slow one."""

import collections
import json
import threading
import time
from typing import Any

import pytest
from running import client_of, consuming, has_ended, is_accounted_for, statuses, told
from servers import wait_until
from starters import OwnRedis

from limelight import RedisQueue, Task
from limelight.consumer import Consumer
from limelight.consumer.doorman import Doorman
from limelight.consumer.lounge import Lounge
from limelight.consumer.pace import MOST
from limelight.consumer.reporter import Reporter
from limelight.consumer.trips import Trips


@pytest.fixture
def queue(redis_url: str) -> RedisQueue:
    return RedisQueue("batches", url=redis_url)


def enqueue_together(queue: RedisQueue, tasks: list[Task]) -> list[str]:
    """Put tasks on the queue in one write, so that one trip finds them all; returns their ids."""
    queue.storage.producing.enqueue(
        [queue.parcel(task) for task in tasks], queue.storage.producing.new_receipt()
    )
    return [task.id for task in tasks]


class Tasks:
    """Quick tasks, and slow ones that end when they are told to."""

    def __init__(self, queue: RedisQueue) -> None:
        self.queue = queue
        self.go_on = threading.Event()
        self.running: list[int] = []
        self.quick = queue.task(name="quick")(lambda: 1)
        self.slow = queue.task(name="slow")(self._slow)
        self.nap = queue.task(name="nap")(time.sleep)

    def _slow(self, number: int = 0) -> int:
        self.running.append(number)
        assert self.go_on.wait(30)
        return number

    def warm_up(self, consumer: Consumer) -> None:
        """Have the consumer believe that tasks are quick, however noisy the machine is."""
        (station,) = consumer._stations
        self.quick().get(blocking=True, timeout=10)
        while station.trips.pace.count < MOST:
            station.trips.pace.note(0.0)


def keep_pace(consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have it believe so whatever it sees: on a busy machine also no-ops take long now and then."""
    (station,) = consumer._stations
    monkeypatch.setattr(station.trips.pace, "note", lambda seconds: None)


def reserve_trips(queue: RedisQueue) -> int:
    """How many started events carry a time of their own: those of one trip share it."""
    return len({event["timestamp"] for event in told(queue, status="started", task="quick")})


def test_a_consumer_learns_from_what_it_runs(queue: RedisQueue) -> None:
    tasks = Tasks(queue)
    with consuming(queue, workers=1) as consumer:
        (station,) = consumer._stations
        tasks.warm_up(consumer)
        queue.enqueue(tasks.nap.s(0.01)).get(blocking=True, timeout=10)
        assert station.trips.pace.count == 1
        enqueue_together(queue, [tasks.quick.s() for _ in range(1_000)])
        wait_until(lambda: station.trips.pace.count > 1)


def test_quick_tasks_are_taken_many_at_a_time_and_each_is_told(
    queue: RedisQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = Tasks(queue)
    with consuming(queue, workers=1) as consumer:
        tasks.warm_up(consumer)
        keep_pace(consumer, monkeypatch)
        before = reserve_trips(queue)
        ids = enqueue_together(queue, [tasks.quick.s() for _ in range(1_000)])
        wait_until(lambda: not queue.storage.address.client().hlen(queue.keys["tasks"]))
    assert reserve_trips(queue) - before < 1_000 / 10
    per_task: dict[str, list[str]] = collections.defaultdict(list)
    for event in told(queue):
        per_task[event["id"]].append(event["status"])
    for task_id in ids:
        first, *between, last = per_task[task_id]
        assert (first, last) == ("enqueued", "finished")
        back = between.count("interrupted")  # where this thread had to wait for long
        assert between == ["started", *(["interrupted", "started"] * back)]
    is_accounted_for(queue)


def test_a_long_task_is_told_at_once_and_results_before_it_do_not_wait_for_it(queue: RedisQueue) -> None:
    tasks = Tasks(queue)
    with consuming(queue, workers=1, lease_seconds=30) as consumer:
        tasks.warm_up(consumer)
        *quick, slow = enqueue_together(queue, [*(tasks.quick.s() for _ in range(10)), tasks.slow.s()])
        wait_until(lambda: tasks.running)
        assert statuses(queue, id=slow)[-1] == "started"
        for task_id in quick:
            assert queue.result_handle(task_id).get(blocking=True, timeout=10) == 1
        assert tasks.running
        assert not has_ended(queue, slow)
        tasks.go_on.set()
    assert all(statuses(queue, id=task_id)[-1] == "finished" for task_id in [*quick, slow])
    is_accounted_for(queue)


def test_what_was_taken_with_a_long_task_is_run_by_another_worker(queue: RedisQueue) -> None:
    tasks = Tasks(queue)
    with consuming(queue, workers=2, lease_seconds=30) as consumer:
        tasks.warm_up(consumer)
        slow, *quick = enqueue_together(queue, [tasks.slow.s(), *(tasks.quick.s() for _ in range(20))])
        wait_until(lambda: tasks.running)
        for task_id in quick:
            assert queue.result_handle(task_id).get(blocking=True, timeout=10) == 1
        tasks.go_on.set()
    assert statuses(queue, id=slow) == ["enqueued", "started", "finished"]
    is_accounted_for(queue)


def test_what_was_taken_with_a_long_task_goes_back_where_no_worker_is_idle(
    queue: RedisQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = Tasks(queue)
    with consuming(queue, workers=1, lease_seconds=30) as consumer:
        tasks.warm_up(consumer)
        keep_pace(consumer, monkeypatch)
        _, *quick = enqueue_together(queue, [tasks.slow.s(), *(tasks.quick.s() for _ in range(10))])
        wait_until(lambda: tasks.running)
        wait_until(lambda: statuses(queue, id=quick[-1])[-1] == "interrupted")
        for task_id in quick:
            assert statuses(queue, id=task_id) == ["enqueued", "started", "interrupted"]
        with consuming(queue, workers=1):
            for task_id in quick:
                assert queue.result_handle(task_id).get(blocking=True, timeout=5) == 1
        is_accounted_for(queue)
        tasks.go_on.set()
    (again,) = {event["attempt"] for event in told(queue, id=quick[0], status="started")}
    assert again == 1
    is_accounted_for(queue)


def test_a_batch_of_tasks_that_all_turn_slow_is_shared_too(queue: RedisQueue) -> None:
    """No single task is long here, but forty of 25 ms behind one another would be."""
    tasks = Tasks(queue)
    with consuming(queue, workers=4, lease_seconds=30) as consumer:
        tasks.warm_up(consumer)
        enqueue_together(queue, [tasks.nap.s(0.025) for _ in range(40)])
        wait_until(lambda: not queue.storage.address.client().hlen(queue.keys["tasks"]))
    assert len({event["worker"] for event in told(queue, task="nap", status="finished")}) > 2
    assert len({event["id"] for event in told(queue, task="nap", status="started")}) == 40
    is_accounted_for(queue)


class Fairness:
    """Looks every few milliseconds whether a task waits, in Redis or on a bench, while a worker idles."""

    def __init__(self, queue: RedisQueue, consumer: Consumer) -> None:
        self.longest, self.latest, self.looks = 0.0, 0.0, 0
        self._queue, self._consumer = queue, consumer
        self._client = queue.storage.address.client()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Fairness":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        since: float | None = None
        before = time.monotonic()
        while not self._over.wait(0.003):
            now, self.looks = time.monotonic(), self.looks + 1
            self.latest, before = max(self.latest, now - before), now
            if not self._is_unfair():
                since = None
            else:
                since = since or now
                self.longest = max(self.longest, now - since)

    def _is_unfair(self) -> bool:
        idle = len(self._consumer._lounge)
        benches = [seat.bench for seat in self._consumer._team._seats]
        local = len(self._consumer._team._spare) + sum(len(bench._todo) for bench in benches if bench.current)
        return idle > 0 and (local > 0 or self._client.zcard(self._queue.keys["ready"]) > 0)


def test_mixed_loads_stay_fair(queue: RedisQueue) -> None:
    """One task in twenty takes 200 ms: none waits for long while a worker idles, and all slow ones run side by side."""
    tasks = Tasks(queue)
    with consuming(queue, workers=8, lease_seconds=30) as consumer:
        tasks.warm_up(consumer)
        with Fairness(queue, consumer) as fairness:
            began = time.monotonic()
            for _ in range(10):
                mixed = [tasks.nap.s(0.2) if number == 10 else tasks.quick.s() for number in range(20)]
                enqueue_together(queue, mixed)
            wait_until(lambda: not queue.storage.address.client().hlen(queue.keys["tasks"]), 20)
            took = time.monotonic() - began
    assert took < 2.0, took  # ten of them on eight workers: 0.4 s; one after another: 2 s
    assert fairness.looks > 10
    # 15 ms to notice; and on a busy machine a thread waits for its turn, as the watching one does.
    assert fairness.longest < 0.1 + 2 * fairness.latest, (fairness.longest, fairness.latest)
    is_accounted_for(queue)


def test_a_stop_hands_back_what_was_not_begun_and_runs_nothing_twice(queue: RedisQueue) -> None:
    tasks = Tasks(queue)
    consumer = Consumer(queue, workers=1, lease_seconds=30, shutdown_timeout=10)
    consumer.start()
    tasks.warm_up(consumer)
    slow, *quick = enqueue_together(queue, [tasks.slow.s(), *(tasks.quick.s() for _ in range(10))])
    wait_until(lambda: tasks.running)
    stop = threading.Thread(target=consumer.stop)
    stop.start()
    wait_until(lambda: statuses(queue, id=quick[-1])[-1] == "interrupted")
    tasks.go_on.set()
    stop.join(10)
    assert statuses(queue, id=slow) == ["enqueued", "started", "finished"]
    assert queue.storage.address.client().zcard(queue.keys["ready"]) == 10
    is_accounted_for(queue)
    with consuming(queue):
        wait_until(lambda: has_ended(queue, quick[-1]))
    is_accounted_for(queue)


def test_a_stop_in_the_middle_of_a_load_leaves_every_task_accounted_for(queue: RedisQueue) -> None:
    tasks = Tasks(queue)
    ids: list[str] = []
    for _ in range(3):
        ids += enqueue_together(queue, [tasks.quick.s() for _ in range(1_000)])
        with consuming(queue, workers=4) as consumer:
            wait_until(lambda: told(queue, status="finished"))
        assert consumer.running == 0
        assert not queue.storage.address.client().zcard(queue.keys["running"])
        is_accounted_for(queue)
    with consuming(queue, workers=4):
        wait_until(lambda: not queue.storage.address.client().hlen(queue.keys["tasks"]))
    finished = collections.Counter(event["id"] for event in told(queue, status="finished"))
    assert finished == dict.fromkeys(ids, 1)
    is_accounted_for(queue)


def test_a_lease_that_ran_out_before_its_task_began_is_given_up(own_redis: OwnRedis) -> None:
    """A batch waits while Redis is away: what was not begun in its lease is not begun, whatever comes then."""
    server = own_redis()
    queue = RedisQueue("batches", url=server.url)
    tasks = Tasks(queue)
    ran: list[float] = []
    enqueued = threading.Event()
    note = queue.task(name="note")(lambda: ran.append(time.monotonic()))

    @queue.task()
    def hang() -> None:
        assert enqueued.wait(10)
        server.kill()
        time.sleep(2.0)

    with consuming(queue, workers=1, lease_seconds=1) as consumer:
        tasks.warm_up(consumer)
        enqueue_together(queue, [hang.s(), note.s()])
        enqueued.set()
        wait_until(lambda: not server.running, 10)
        assert len(consumer._stations[0].trips.holdings) == 2
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 2.5, 10)
        assert not ran
        consumer.stop(graceful=False)


def test_an_idle_consumer_is_quiet_however_many_workers_it_has_and_still_wakes_at_once(
    own_redis: OwnRedis,
) -> None:
    server = own_redis()
    queue = RedisQueue("batches", url=server.url)
    ran = threading.Event()
    note = queue.task(name="note")(ran.set)
    client = queue.storage.address.client()
    with consuming(queue, workers=16, lease_seconds=30):
        note()
        assert ran.wait(10)
        wait_until(lambda: client.info("clients")["blocked_clients"] == 2)
        client.config_resetstat()
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 4, 10)
        calls: dict[str, Any] = client.info("commandstats")
        sent = sum(calls.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "blpop"))
        assert sent / (time.monotonic() - began) < 5, calls
        waits = []
        for _ in range(20):
            ran.clear()
            wait_until(lambda: client.info("clients")["blocked_clients"] == 2)
            called = time.monotonic()
            note()
            assert ran.wait(10)
            waits.append(time.monotonic() - called)
    assert sorted(waits)[10] < 0.5  # who polls looks every few seconds


def test_a_token_that_comes_when_nobody_is_idle_any_more_is_left_to_others(queue: RedisQueue) -> None:
    client, lounge, stopping = queue.storage.address.client(), Lounge(), threading.Event()
    reporter = Reporter(queue.storage)
    trips = Trips(queue, reporter=reporter, on_scheduled=lambda: None, lease_seconds=30)
    idler = threading.Thread(target=lounge.wait, args=(lambda: False, 30), daemon=True)
    doorman = threading.Thread(target=Doorman(trips, lounge=lounge, stopping=stopping).run, daemon=True)
    idler.start()
    doorman.start()
    wait_until(lambda: client.info("clients")["blocked_clients"] == 1)
    assert lounge.call() == 1
    idler.join(10)
    queue.task(name="note")(lambda: 1)()
    wait_until(lambda: client.info("commandstats").get("cmdstat_blpop"))
    wait_until(lambda: client.llen(queue.keys["wake"]) == 1)
    assert client.info("clients")["blocked_clients"] == 0
    assert trips.door.is_open
    stopping.set()
    lounge.close()
    doorman.join(10)


def test_the_most_that_is_taken_at_once_is_bounded(queue: RedisQueue) -> None:
    tasks = Tasks(queue)
    with consuming(queue, workers=1) as consumer:
        tasks.warm_up(consumer)
        enqueue_together(queue, [tasks.quick.s() for _ in range(500)])
        wait_until(lambda: not queue.storage.address.client().hlen(queue.keys["tasks"]))
    together = collections.Counter(event["timestamp"] for event in told(queue, status="started"))
    assert max(together.values()) <= MOST


def test_whoever_subscribes_while_a_consumer_runs_hears_every_start_and_end_from_then_on(
    redis_url: str,
) -> None:
    """Their JSON is made only where somebody may hear it."""
    queue = RedisQueue("heard", url=redis_url)
    note = queue.task(name="note")(lambda: None)
    meta = queue.keys["meta"]
    with consuming(queue):
        note().get(blocking=True, timeout=10)
        wait_until(lambda: client_of(queue).hget(meta, "alone") == b"1")
        note().get(blocking=True, timeout=10)
        for subscribe in ("subscribe", "psubscribe"):
            with client_of(queue).pubsub() as listener:
                getattr(listener, subscribe)(queue.storage.channel)
                assert listener.get_message(timeout=5)
                task_id = note().id
                wait_until(lambda task_id=task_id: has_ended(queue, task_id))
                heard = [json.loads(listener.get_message(timeout=5)["data"]) for _ in ("started", "finished")]
            on_stream = [event for event in told(queue, id=task_id) if event["status"] != "enqueued"]
            assert heard == on_stream
