"""Workers die, Redis dies, answers are lost: every task is accounted for, and told exactly once."""

import collections
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from processes import Limelight
from proxy import FaultyProxy
from running import consuming, has_ended, is_accounted_for, statuses, told
from servers import wait_until
from starters import OwnRedis

from limelight import (
    OutcomeUnknown,
    RedisQueue,
    RedisRefused,
    RedisUnavailable,
    RetryTask,
    Task,
    TaskException,
    crontab,
)
from limelight.consumer.errand import Errand
from limelight.consumer.reporter import Reporter
from limelight.consumer.trips import Trips
from limelight.storage.scripts import SCRIPTS
from limelight.task import TaskOptions


def call(name: str, *args: Any, retries: int = 0) -> Task:
    """A call of a task that only the consumer's process declares."""
    return Task(options=TaskOptions(name=name, retries=retries), args=args)


@pytest.fixture
def queue(redis_url: str) -> RedisQueue:
    return RedisQueue("faults", url=redis_url, max_redeliveries=5)


def truth(folder: Path) -> collections.Counter[str]:
    file = folder / "truth"
    return collections.Counter(file.read_text().splitlines() if file.exists() else [])


def consumer(queue: RedisQueue, url: str, folder: Path, workers: int = 8, lease: float = 2) -> Limelight:
    return Limelight(
        *("consumer", "app_under_test:queue", "-w", str(workers), "--lease", str(lease), "-t", "10"),
        env={"LIMELIGHT_REDIS_URL": url, "TRUTH_FILE": str(folder / "truth")},
    )


def all_ended(queue: RedisQueue, count: int) -> bool:
    return sum("end" in event for event in told(queue)) == count


def test_a_killed_consumer_loses_no_task_of_fifty_in_flight(
    queue: RedisQueue, redis_url: str, tmp_path: Path
) -> None:
    with consumer(queue, redis_url, tmp_path, workers=50) as first:
        handles = [queue.enqueue(call("slow", number, 1.5)) for number in range(60)]
        wait_until(lambda: sum(truth(tmp_path).values()) >= 50, 30, "50 tasks in flight")
        first.kill()
    in_flight = {event["id"] for event in told(queue, status="started")}
    assert len(in_flight) >= 50
    is_accounted_for(queue)
    with consumer(queue, redis_url, tmp_path, workers=50):
        wait_until(lambda: all_ended(queue, 60), 60, "all tasks ended")
    is_accounted_for(queue)
    assert [handle.get() for handle in handles] == list(range(60))
    ends = truth(tmp_path)
    assert all(ends[f"end {number}"] >= 1 for number in range(60))
    events = collections.Counter(event["status"] for event in told(queue))
    assert events["lost"] == events["redelivered"] == len(in_flight)
    assert events["started"] == events["finished"] + events["lost"]
    assert events["finished"] == 60
    for lost in told(queue, status="lost"):
        assert lost["error"]
        assert lost["traceback"]
        assert lost["host"]
        assert lost["worker"].startswith("worker-")
        assert lost["span_id"]
        assert "duration" not in lost
        assert lost["emitter"] != told(queue, id=lost["id"], status="started")[0]["emitter"]
        assert int(lost["span_end"]) >= lost["started_at"] * 1e9 - 1e3


def test_a_task_that_keeps_killing_its_worker_is_buried_and_the_others_run(
    queue: RedisQueue, redis_url: str, tmp_path: Path
) -> None:
    deadly = queue.enqueue(call("deadly"))
    others = [queue.enqueue(call("slow", number, 0)) for number in range(5)]
    deadline = time.monotonic() + 90
    while not has_ended(queue, deadly.id) and time.monotonic() < deadline:
        with consumer(queue, redis_url, tmp_path, workers=1, lease=1) as process:
            wait_until(
                lambda process=process: process.process.poll() is not None or has_ended(queue, deadly.id), 60
            )
    with consumer(queue, redis_url, tmp_path):
        wait_until(lambda: all_ended(queue, 6), 30)
    assert [handle.get() for handle in others] == list(range(5))
    with pytest.raises(TaskException, match="worker_lost"):
        deadly.get()
    assert truth(tmp_path)["deadly"] == 6  # the first run and five redeliveries
    assert statuses(queue, id=deadly.id)[-2:] == ["lost", "dead"]
    is_accounted_for(queue)


def test_a_stop_waits_for_running_tasks(queue: RedisQueue, redis_url: str, tmp_path: Path) -> None:
    with consumer(queue, redis_url, tmp_path) as process:
        handle = queue.enqueue(call("slow", 1, 1.0))
        wait_until(lambda: truth(tmp_path)["begin 1"])
        code, output = process.stop()
    assert code == 0, output
    assert handle.get() == 1
    assert statuses(queue)[-1] == "consumer-stopped"
    is_accounted_for(queue)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_hands_running_tasks_back(
    queue: RedisQueue, redis_url: str, tmp_path: Path, number: int
) -> None:
    with consumer(queue, redis_url, tmp_path) as process:
        handle = queue.enqueue(call("slow", 1, 30))
        wait_until(lambda: truth(tmp_path)["begin 1"])
        code, output = process.stop([number, number])
    assert code == 0, output
    assert statuses(queue, id=handle.id) == ["enqueued", "started", "interrupted"]
    (interrupted,) = told(queue, id=handle.id, status="interrupted")
    assert (interrupted["outcome"], interrupted["attempt"]) == ("interrupted", 1)
    is_accounted_for(queue)
    queue.task(name="slow")(lambda number, seconds: number)
    with consuming(queue):
        assert handle.get(blocking=True, timeout=10) == 1
    again = told(queue, id=handle.id, status="started")[-1]
    assert (again["run"], again["attempt"]) == (2, 1)


def test_redis_dying_and_coming_back_loses_nothing(own_redis: OwnRedis, tmp_path: Path) -> None:
    server = own_redis(persist_dir=tmp_path / "aof")
    queue = RedisQueue("faults", url=server.url)
    with consumer(queue, server.url, tmp_path) as process:
        handles = [queue.enqueue(call("flaky", number, retries=2)) for number in range(40)]
        handles += [queue.enqueue(call("slow", number, 0.05)) for number in range(100, 140)]
        wait_until(lambda: len(truth(tmp_path)) > 10)
        server.kill()
        assert process.process.poll() is None
        with pytest.raises(RedisUnavailable, match="cannot reach Redis"):
            RedisQueue("faults", url=server.url).enqueue(call("slow", 1, 0))
        server.start()
        wait_until(lambda: all_ended(queue, 80), 60)
        _, output = process.stop()
    assert sorted(handle.get() for handle in handles) == sorted([*range(40), *range(100, 140)])
    is_accounted_for(queue)
    assert "connection refused" in output or "broke before" in output
    assert "Redis is back" in output
    assert "error-dequeueing" in statuses(queue)


@pytest.mark.parametrize("script", ["enqueue", "reserve", "settle"])
def test_a_lost_answer_changes_nothing_and_tells_nothing_twice(
    redis_url: str, faulty_proxy: FaultyProxy, script: str
) -> None:
    queue = RedisQueue("faults", url=faulty_proxy.url)
    ran: list[int] = []
    note = queue.task(name="note")(ran.append)
    with consuming(queue, workers=1, lease_seconds=30):
        note(0).get(blocking=True, timeout=10)
        for number in range(1, 6):
            faulty_proxy.drop_reply(SCRIPTS[script].sha)
            note(number).get(blocking=True, timeout=20)
    assert faulty_proxy.dropped >= 4
    assert sorted(ran) == list(range(6))
    direct = RedisQueue("faults", url=redis_url)
    is_accounted_for(direct)
    assert statuses(direct, task="note").count("enqueued") == 6


def test_an_enqueue_whose_answer_never_comes_says_so_and_can_be_repeated(
    redis_url: str, faulty_proxy: FaultyProxy
) -> None:
    queue = RedisQueue("faults", url=faulty_proxy.url, socket_timeout=0.3)
    queue.enqueue(call("note"))
    task = call("note")
    faulty_proxy.hole()
    with pytest.raises(OutcomeUnknown, match="again is safe") as raised:
        queue.enqueue(task)
    assert raised.value.task_id == task.id
    faulty_proxy.pass_on()
    queue.enqueue(call("note"))  # another lane: it must not hide the repeat
    queue.enqueue(task)
    direct = RedisQueue("faults", url=redis_url)
    assert statuses(direct, id=task.id) == ["enqueued"]


def test_an_unknown_outcome_stays_unknown_while_redis_is_away_and_can_still_be_repeated(
    redis_url: str, faulty_proxy: FaultyProxy
) -> None:
    queue, direct = (
        RedisQueue("faults", url=faulty_proxy.url, socket_timeout=0.3),
        RedisQueue("faults", redis_url),
    )
    direct.task(name="note")(lambda: 1)
    queue.enqueue(call("note"))
    task = call("note")
    faulty_proxy.hole()
    with pytest.raises(OutcomeUnknown):
        queue.enqueue(task)
    faulty_proxy.pass_on()
    wait_until(lambda: told(direct, id=task.id), 10, "what was held back arrives late")
    faulty_proxy.cut()
    with pytest.raises(OutcomeUnknown, match="again is safe"):
        queue.enqueue(task)
    with consuming(direct):
        assert direct.result_handle(task.id).get(blocking=True, timeout=10) == 1
    faulty_proxy.pass_on()
    queue.enqueue(task)
    assert statuses(direct, id=task.id) == ["enqueued", "started", "finished"]


def test_a_producer_fails_at_once_or_waits_as_long_as_it_was_told(own_redis: OwnRedis) -> None:
    server = own_redis()
    server.stop()
    with pytest.raises(RedisUnavailable, match=rf"127\.0\.0\.1:{server.port}/0: connection refused"):
        RedisQueue("faults", url=server.url).enqueue(call("note"))
    begun = time.monotonic()
    with pytest.raises(RedisUnavailable):
        RedisQueue("faults", url=server.url, patience=0.5).enqueue(call("note"))
    assert 0.5 <= time.monotonic() - begun < 5


def test_a_redis_that_wants_a_password_says_so_and_the_password_is_never_shown(own_redis: OwnRedis) -> None:
    server = own_redis()
    with redis.Redis(port=server.port) as client:
        client.config_set("requirepass", "geheim")
    with pytest.raises(RedisRefused, match="wants a password"):
        RedisQueue("faults", url=server.url).enqueue(call("note"))
    with pytest.raises(RedisRefused) as raised:
        RedisQueue("faults", url=f"redis://:falsch@127.0.0.1:{server.port}/0").enqueue(call("note"))
    assert "wrong" in str(raised.value)
    assert "falsch" not in str(raised.value)
    RedisQueue("faults", url=f"redis://:geheim@127.0.0.1:{server.port}/0").enqueue(call("note"))


def test_a_full_redis_refuses_the_producer_and_lets_the_consumer_finish(own_redis: OwnRedis) -> None:
    server = own_redis()
    queue = RedisQueue("faults", url=server.url)
    echo = queue.task(name="echo", retries=1)(len)
    handles = [echo(b"x" * 20_000) for _ in range(50)]
    with redis.Redis(port=server.port) as client:
        client.config_set("maxmemory", "1mb")
        with pytest.raises(RedisRefused, match="Redis is full"):
            echo(b"x")
        with consuming(queue):
            wait_until(lambda: all_ended(queue, 50), 20)
        client.config_set("maxmemory", "0")
    assert [handle.get() for handle in handles] == [20_000] * 50
    is_accounted_for(queue)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "error-internal"),
        ({"retries": 1}, "error-enqueueing"),
        ({"retries": 1, "retry_delay": 0.1}, "error-scheduling"),
    ],
)
def test_a_redis_that_refuses_to_settle_for_a_while_is_told_and_nothing_runs_twice(
    own_redis: OwnRedis, options: dict[str, Any], expected: str
) -> None:
    """A master without enough replicas refuses writes for a while: it is told once, and nothing runs twice."""
    server = own_redis()
    queue = RedisQueue("faults", url=server.url)
    ran: list[int] = []
    with redis.Redis(port=server.port) as client:

        @queue.task(**options)
        def refused() -> str:
            ran.append(1)
            if len(ran) == 1:
                client.config_set("min-replicas-to-write", "1")
                raise ValueError("nobody can hear it")
            return "done"

        with consuming(queue, workers=1, lease_seconds=1.5, scheduler_interval=0.2) as consumer:
            handle = refused()
            wait_until(lambda: ran)
            began = time.monotonic()
            wait_until(
                lambda: time.monotonic() - began > 0.7 and consumer.running == 1, 10, "it stays leased"
            )
            client.config_set("min-replicas-to-write", "0")
            wait_until(lambda: has_ended(queue, handle.id), 20)
            wait_until(lambda: told(queue, status=expected, id=handle.id), 10)
    (told_of,) = told(queue, status=expected, id=handle.id)
    assert (told_of["error"], told_of["source"], told_of["task"]) == (True, "worker", "refused")
    assert "traceback" in told_of
    assert "lost" not in statuses(queue)
    assert len(ran) == 1 + options.get("retries", 0)
    is_accounted_for(queue)


def test_a_task_that_ends_during_an_outage_longer_than_its_lease_is_settled(
    own_redis: OwnRedis, tmp_path: Path
) -> None:
    server = own_redis(persist_dir=tmp_path / "aof")
    queue = RedisQueue("faults", url=server.url)
    ran: list[int] = []

    @queue.task()
    def work() -> str:
        ran.append(1)
        server.kill()
        return "done"

    with consuming(queue, workers=1, lease_seconds=1):
        handle = work()
        wait_until(lambda: ran and not server.running)
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 2.5, 10)
        server.start()
        assert handle.get(blocking=True, timeout=20) == "done"
    assert len(ran) == 1
    assert "lost" not in statuses(queue)
    is_accounted_for(queue)


def test_a_user_without_rights_on_channels_loses_only_the_live_events(own_redis: OwnRedis) -> None:
    server = own_redis()
    with redis.Redis(port=server.port) as client:
        client.execute_command("ACL", "SETUSER", "app", "reset", "on", ">geheim", "~limelight:*", "+@all")
        client.execute_command("ACL", "SETUSER", "app", "resetchannels")
    queue = RedisQueue("faults", host="127.0.0.1", port=server.port, username="app", password="geheim")
    ok = queue.task(name="ok")(lambda: 1)
    with consuming(queue):
        assert ok().get(blocking=True, timeout=10) == 1
    plain = RedisQueue("faults", url=server.url)
    assert statuses(plain, task="ok") == ["enqueued", "started", "finished"]
    is_accounted_for(plain)


def test_two_consumers_in_one_process_share_the_work_and_run_nothing_twice(queue: RedisQueue) -> None:
    ran: list[int] = []
    note = queue.task(name="note")(ran.append)
    handles = [note(number) for number in range(60)]
    with consuming(queue), consuming(queue):
        for handle in handles:
            handle.get(blocking=True, timeout=20)
    assert sorted(ran) == list(range(60))
    is_accounted_for(queue)


def test_a_consumer_with_a_short_lease_leaves_those_with_longer_ones_alone(queue: RedisQueue) -> None:
    release: list[int] = []

    @queue.task()
    def hang() -> int:
        wait_until(lambda: release, 30)
        return 1

    with consuming(queue, workers=1, lease_seconds=30):
        handle = hang()
        wait_until(lambda: told(queue, status="started"))
        began = time.monotonic()
        with consuming(queue, workers=1, lease_seconds=1):
            wait_until(lambda: time.monotonic() - began > 4, 10)
        release.append(1)
        assert handle.get(blocking=True, timeout=10) == 1
    assert "lost" not in statuses(queue)


def test_revoked_tasks_hold_up_nobody(queue: RedisQueue) -> None:
    ok = queue.task(name="ok")(lambda: 1)
    revoked = [ok() for _ in range(300)]
    assert queue.revoke_by_id([handle.id for handle in revoked]) == 300
    last = ok()
    with consuming(queue, workers=1):
        assert last.get(blocking=True, timeout=4) == 1
    assert statuses(queue).count("revoked") == 300
    with pytest.raises(TaskException, match="ended without a result"):
        revoked[0].get(blocking=True, timeout=10)


class Impolite(RetryTask):
    """Forgets to call its parent."""

    def __init__(self) -> None:
        pass


class Unspeakable(Exception):
    """Has a name that is no text."""


Unspeakable.__qualname__ = "half \ud800"


@pytest.mark.parametrize(
    "error", [Impolite(), RetryTask(delay="5"), RetryTask(delay=1e304), Unspeakable(), SystemExit(3)]
)  # type: ignore[arg-type]
def test_a_task_that_raises_nonsense_has_failed_and_no_worse(queue: RedisQueue, error: BaseException) -> None:
    @queue.task()
    def bad() -> None:
        raise error

    ok = queue.task(name="ok")(lambda: 1)
    with consuming(queue, workers=1):
        handle = bad()
        assert ok().get(blocking=True, timeout=10) == 1
        wait_until(lambda: has_ended(queue, handle.id))
    assert statuses(queue, id=handle.id) == ["enqueued", "started", "error-task", "dead"]
    is_accounted_for(queue)


def test_a_stop_gives_back_what_it_was_handed_too_late(redis_url: str, faulty_proxy: FaultyProxy) -> None:
    """The answer to a reserve is lost, then the consumer is told to stop: the task goes back, it is not lost."""
    queue = RedisQueue("faults", url=faulty_proxy.url)
    direct = RedisQueue("faults", url=redis_url)
    note = queue.task(name="note")(lambda: 1)
    with consuming(queue, workers=1, lease_seconds=30) as consumer:
        note().get(blocking=True, timeout=10)
        faulty_proxy.drop_reply(SCRIPTS["reserve"].sha)
        handle = direct.enqueue(call("note"))
        wait_until(lambda: faulty_proxy.dropped)
        consumer.stop()
    assert statuses(direct, id=handle.id) in (
        ["enqueued", "started", "interrupted"],
        ["enqueued", "started", "finished"],
    )
    is_accounted_for(direct)


def test_what_comes_too_late_for_its_lease_is_not_begun_and_goes_back_at_once(
    queue: RedisQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker is frozen while it waits for the answer: nobody knows of the task, so nobody renews it."""
    trips = Trips(queue, reporter=Reporter(queue.storage), on_scheduled=lambda: None, lease_seconds=0.05)
    errand = Errand(trips, owner="frozen:1", worker="worker-1", stopping=threading.Event())
    make = trips.make

    def answer_late(*args: Any) -> Any:
        answer, began = make(*args), time.monotonic()
        wait_until(lambda: time.monotonic() - began > trips.lease_seconds)
        return answer

    monkeypatch.setattr(trips, "make", answer_late)
    handle = queue.task(name="note")(lambda: 1)()
    left, jobs = errand.go([], 1)
    assert not jobs
    assert errand.go(left, 0) == ([], [])
    assert statuses(queue, id=handle.id) == ["enqueued", "started", "interrupted"]
    assert not len(trips.holdings)
    is_accounted_for(queue)


def test_one_raising_schedule_does_not_stop_the_others(queue: RedisQueue) -> None:
    ran: list[int] = []
    queue.periodic_task(lambda when: when.minute < 1 / 0, name="broken")(lambda: None)
    queue.periodic_task(crontab(minute="*"), name="tick")(lambda: ran.append(1))
    queue.storage.address.client().hset(queue.keys["periodic_runs"], "tick:due", 60_000_000)
    with consuming(queue):
        wait_until(lambda: ran)
        wait_until(lambda: told(queue, status="error-enqueueing"))
    assert "ZeroDivisionError" in told(queue, status="error-enqueueing")[0]["traceback"]


def test_threads_that_end_leave_their_lanes_to_the_next(queue: RedisQueue) -> None:
    for _ in range(20):
        thread = threading.Thread(target=lambda: queue.enqueue(call("note")))
        thread.start()
        thread.join()
    assert queue.storage.address.client().hlen(queue.keys["lanes"]) <= 2
    assert statuses(queue).count("enqueued") == 20


@pytest.mark.parametrize("place", ["scheduled", "delayed", "running"])
def test_an_unreadable_record_is_buried_wherever_it_is_found(queue: RedisQueue, place: str) -> None:
    client = queue.storage.address.client()
    task_id = "00000000-0000-0000-0000-000000000007"
    client.hset(queue.keys["tasks"], task_id, b"\xc1")
    client.zadd(queue.keys[place], {task_id: 1})
    with consuming(queue, lease_seconds=1):
        wait_until(lambda: told(queue, status="dead"))
    assert client.zrange(queue.keys["dead"], 0, -1) == [task_id.encode()]
    assert client.zcard(queue.keys[place]) == 0


def test_a_zombies_result_is_refused(redis_url: str) -> None:
    """A worker that was cut off for longer than its lease comes back: what it settles is not told."""
    queue = RedisQueue("faults", url=redis_url)
    release: list[int] = []
    ran: list[int] = []

    @queue.task()
    def hang() -> int:
        ran.append(1)
        if len(ran) == 1:
            wait_until(lambda: release, 30)
        return len(ran)

    with FaultyProxy(int(redis_url.rsplit(":", 1)[1].split("/", maxsplit=1)[0])) as proxy:
        cut_off = RedisQueue("faults", url=proxy.url, socket_timeout=0.5)
        cut_off.task(name="hang")(hang.func)
        with consuming(cut_off, workers=1, lease_seconds=1):
            handle = hang()
            wait_until(lambda: ran)
            proxy.hole()
            with consuming(queue, workers=1, lease_seconds=1):
                assert handle.get(blocking=True, timeout=20) == 2
                proxy.pass_on()
                release.append(1)
                wait_until(lambda: not cut_off.storage.address.client().zcard(queue.keys["running"]))
    assert [event["status"] for event in told(queue, id=handle.id)] == [
        *("enqueued", "started", "lost", "redelivered"),
        *("started", "finished"),
    ]
    assert handle.get() == 2
    is_accounted_for(queue)


def test_a_live_worker_survives_a_silence_longer_than_its_lease(redis_url: str) -> None:
    """All consumers were cut off together: nobody is declared lost before each had time to renew."""
    port = int(redis_url.rsplit(":", 1)[1].split("/", maxsplit=1)[0])
    queue = RedisQueue("faults", url=redis_url)
    ran: list[int] = []
    with FaultyProxy(port) as proxy:
        cut_off = RedisQueue("faults", url=proxy.url, socket_timeout=0.5)
        release: list[int] = []

        @cut_off.task()
        def hang() -> int:
            ran.append(1)
            wait_until(lambda: release, 30)
            return 1

        with consuming(cut_off, workers=1, lease_seconds=2):
            handle = queue.enqueue(call("hang"))
            wait_until(lambda: ran)
            proxy.hole()
            began = time.monotonic()
            wait_until(lambda: time.monotonic() - began > 3.5, 10)
            proxy.pass_on()
            wait_until(lambda: queue.storage.address.client().hget(queue.keys["meta"], "reap_after"), 10)
            release.append(1)
            assert handle.get(blocking=True, timeout=10) == 1
    assert len(ran) == 1
    assert "lost" not in statuses(queue)
    is_accounted_for(queue)


# -- Poison ----------------------------------------------------------------------------------------------
def test_a_task_that_nobody_knows_is_a_dead_letter_with_the_reason(queue: RedisQueue) -> None:
    handle = queue.enqueue(call("nowhere"))
    ok = queue.task(name="ok")(lambda: 1)
    with consuming(queue):
        assert ok().get(blocking=True, timeout=10) == 1
        wait_until(lambda: has_ended(queue, handle.id))
    internal, dead = told(queue, id=handle.id)[1:]
    assert (internal["status"], dead["status"], dead["end"]) == ("error-internal", "dead", "dead")
    assert internal["task"] == dead["task"] == "_unknown"
    assert "no task named 'nowhere'" in internal["traceback"]
    assert queue.storage.address.client().hexists(queue.keys["tasks"], handle.id)
    is_accounted_for(queue)


@pytest.mark.parametrize("garbage", [b"", b"\xff\xff", b"\x93\x01\x02\x03", b"x" * 10_000, b"\xc1"])
def test_an_unreadable_record_is_a_dead_letter_and_blocks_nobody(queue: RedisQueue, garbage: bytes) -> None:
    ok = queue.task(name="ok")(lambda: 1)
    broken = ok()
    client = queue.storage.address.client()
    client.hset(queue.keys["tasks"], broken.id, garbage)
    with consuming(queue):
        assert ok().get(blocking=True, timeout=10) == 1
    assert client.hget(queue.keys["tasks"], broken.id) == garbage
    assert statuses(queue, id=broken.id) == ["enqueued", "error-internal", "dead"]
    assert client.zrange(queue.keys["dead"], 0, -1) == [broken.id.encode()]
    is_accounted_for(queue)


def test_an_index_entry_without_a_record_is_told_and_removed(queue: RedisQueue) -> None:
    ok = queue.task(name="ok")(lambda: 1)
    client = queue.storage.address.client()
    client.zadd(queue.keys["ready"], {'a"ghost': 0})
    with consuming(queue):
        assert ok().get(blocking=True, timeout=10) == 1
    (ghost,) = told(queue, status="error-internal")
    assert ghost["id"] == 'a"ghost'
    is_accounted_for(queue)


def test_a_body_that_cannot_be_read_is_a_dead_letter_after_one_run(queue: RedisQueue) -> None:
    ok = queue.task(name="ok", retries=5)(lambda: 1)
    client = queue.storage.address.client()
    broken = ok()
    record, body = client.hget(queue.keys["tasks"], broken.id), queue.parcel(ok.s()).body
    spoiled = record[: -len(body)] + b"\xc1garbage"
    client.hset(queue.keys["tasks"], broken.id, spoiled)
    with consuming(queue):
        wait_until(lambda: has_ended(queue, broken.id))
    assert statuses(queue, id=broken.id) == ["enqueued", "started", "error-task", "dead"]
    assert told(queue, status="dead")[0]["error_type"] == "limelight.errors.UndecodableMessage"
    is_accounted_for(queue)


def test_no_process_is_left_by_these_tests() -> None:
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    if not children.exists():
        pytest.skip("needs Linux' /proc to look at child processes")
    names = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children.read_text().split()]
    assert not [name for name in names if b"app_under_test" in name]
