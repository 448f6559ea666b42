"""Workers that are processes: what kills one of them is told at once and exactly, and harms no other."""

import collections
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from processes import Limelight
from running import has_ended, is_accounted_for, statuses, told
from servers import wait_until
from starters import OwnRedis

from limelight import ConfigurationError, RedisQueue, Task, TaskException
from limelight.consumer import Consumer
from limelight.consumer.errand import Errand
from limelight.consumer.reporter import Reporter
from limelight.consumer.trips import Trips
from limelight.storage.base import ReserveRequest
from limelight.task import TaskOptions


def call(name: str, *args: Any, retries: int = 0) -> Task:
    """A call of a task that only the worker processes declare."""
    return Task(options=TaskOptions(name=name, retries=retries), args=args)


def enqueue_together(queue: RedisQueue, tasks: Sequence[Task]) -> list[str]:
    queue.storage.producing.enqueue(
        [queue.parcel(task) for task in tasks], queue.storage.producing.new_receipt()
    )
    return [task.id for task in tasks]


@pytest.fixture
def queue(redis_url: str) -> RedisQueue:
    return RedisQueue("procs", url=redis_url, max_redeliveries=3)


def consumer(
    url: str,
    folder: Path,
    *more: str,
    workers: int = 2,
    lease: float = 30,
    targets: Sequence[str] = ("queue",),
) -> Limelight:
    names = [f"process_app:{target}" for target in targets]
    return Limelight(
        *("consumer", *names, "-k", "process", "-w", str(workers), "--lease", str(lease), "-t", "10", *more),
        env={"LIMELIGHT_REDIS_URL": url, "TRUTH_FILE": str(folder / "truth")},
    )


def truth(folder: Path) -> collections.Counter[str]:
    file = folder / "truth"
    return collections.Counter(file.read_text().splitlines() if file.exists() else [])


def is_empty(queue: RedisQueue) -> bool:
    return not queue.storage.address.client().zcard(queue.keys["running"]) and not (
        queue.storage.address.client().zcard(queue.keys["ready"])
    )


def warm_up(queue: RedisQueue) -> None:
    """Have the processes learn that tasks are quick."""
    ids = enqueue_together(queue, [call("quick", number) for number in range(300)])
    wait_until(lambda: has_ended(queue, ids[-1]) and is_empty(queue), 20)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


def test_tasks_of_every_sort_run_in_the_main_threads_of_processes(
    queue: RedisQueue, redis_url: str, tmp_path: Path
) -> None:
    with consumer(redis_url, tmp_path) as process:
        seen = queue.enqueue(call("where")).get(blocking=True, timeout=20)
        assert seen is not None
        pid, is_main = seen
        assert is_main
        assert pid != process.process.pid
        handles = [queue.enqueue(call("coroutine", number)) for number in range(20)]
        assert [handle.get(blocking=True, timeout=10) for handle in handles] == list(range(20))
        with pytest.raises(TaskException, match="TypeError"):
            queue.enqueue(call("quick")).get(blocking=True, timeout=10)
        code, output = process.stop()
    assert code == 0, output
    (started,) = told(queue, task="where", status="started")
    assert started["pid"] == pid
    assert started["worker"].startswith("worker-")
    assert statuses(queue)[-1] == "consumer-stopped"
    assert "ERROR" not in output
    is_accounted_for(queue)


def test_a_killed_process_is_told_at_once_and_what_it_ran_runs_again(
    queue: RedisQueue, redis_url: str, tmp_path: Path
) -> None:
    with consumer(redis_url, tmp_path) as process:
        first, second = (queue.enqueue(call("slow", number, 3.0)) for number in (1, 2))
        wait_until(lambda: truth(tmp_path)["begin 1"] and truth(tmp_path)["begin 2"], 20)
        (started,) = told(queue, id=first.id, status="started")
        killed = time.time()
        os.kill(started["pid"], signal.SIGKILL)
        wait_until(lambda: told(queue, status="redelivered"))
        assert first.get(blocking=True, timeout=20) == 1
        assert second.get(blocking=True, timeout=20) == 2
        _, output = process.stop()
    (lost,) = told(queue, status="lost")
    assert (lost["id"], lost["outcome"], lost["error_type"]) == (first.id, "lost", "limelight.worker_lost")
    assert "SIGKILL" in lost["error_message"]
    assert "SIGKILL" in lost["traceback"]
    assert (lost["pid"], lost["worker"]) == (started["pid"], started["worker"])
    assert lost["timestamp"] - killed < 10  # a lease is 30 s
    assert "duration" not in lost
    assert statuses(queue, id=first.id) == [
        *("enqueued", "started", "lost", "redelivered", "started", "finished"),
    ]
    assert statuses(queue, id=second.id) == ["enqueued", "started", "finished"]
    assert "was killed by SIGKILL: 1 tasks lost" in output
    is_accounted_for(queue)


def test_a_task_that_kills_its_process_is_buried_and_its_batch_mates_run(
    queue: RedisQueue, redis_url: str, tmp_path: Path
) -> None:
    with consumer(redis_url, tmp_path, workers=1):
        warm_up(queue)
        before = [call("quick", number) for number in range(5)]
        after = [call("quick", number) for number in range(10)]
        *mates, deadly = enqueue_together(queue, [*before, *after, call("die", 1)])
        del deadly
        ids = enqueue_together(queue, [call("quick", 1), call("die", 2), call("quick", 3), call("quick", 4)])
        wait_until(lambda: len(told(queue, status="dead")) == 2, 40)
        wait_until(lambda: is_empty(queue), 20)
    dead = told(queue, status="dead")
    assert {event["task"] for event in dead} == {"die"}
    assert all("SIGKILL" in event["error_message"] for event in dead)
    assert truth(tmp_path) == {"die 1": 4, "die 2": 4}
    for task_id in [*mates, ids[0], *ids[2:]]:
        assert told(queue, id=task_id)[-1]["end"] == "success"
    assert not [event for event in told(queue, status="lost") if event["attempt"] != 1]
    with pytest.raises(TaskException, match="SIGKILL"):
        queue.result_handle(ids[1]).get()
    is_accounted_for(queue)


def test_a_process_that_ends_itself_is_lost_with_its_exit_code(
    queue: RedisQueue, redis_url: str, tmp_path: Path
) -> None:
    with consumer(redis_url, tmp_path, workers=1):
        handle = queue.enqueue(call("leave"))
        wait_until(lambda: has_ended(queue, handle.id), 40)
    assert "exited with code 7" in told(queue, status="lost")[0]["error_message"]
    assert statuses(queue, id=handle.id)[-2:] == ["lost", "dead"]
    is_accounted_for(queue)


def test_random_killing_of_processes_loses_and_doubles_nothing(
    queue: RedisQueue, redis_url: str, tmp_path: Path
) -> None:
    ids = enqueue_together(queue, [call("slow", number, 0.02) for number in range(400)])
    killed: set[int] = set()
    with consumer(redis_url, tmp_path, workers=3):
        wait_until(lambda: told(queue, status="started"), 20)
        while len(killed) < 6:
            wait_until(lambda: told(queue, status="started")[-1]["pid"] not in killed, 20)
            pid = told(queue, status="started")[-1]["pid"]
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        wait_until(lambda: is_empty(queue), 60)
        wait_until(lambda: all(has_ended(queue, task_id) for task_id in ids[-3:]), 10)
    ended = {event["id"]: event["end"] for event in told(queue) if "end" in event}
    assert sorted(ended) == sorted(ids)
    lines = truth(tmp_path)
    for number, task_id in enumerate(ids):  # a task may have been the victim once too often
        assert ended[task_id] == "dead" or lines[f"end {number}"] >= 1
    outcomes = collections.Counter(event.get("outcome") for event in told(queue))
    started = statuses(queue).count("started")
    assert started == outcomes["success"] + outcomes["lost"] + outcomes["interrupted"]
    is_accounted_for(queue)


def test_what_a_dead_process_was_given_and_never_heard_of_goes_to_its_successor(queue: RedisQueue) -> None:
    """The answer to its last request was lost with it: whoever takes its place asks the same again."""
    task = queue.task(name="note")(lambda: 1)
    task()
    request = ReserveRequest("owner", 7, count=64, lease_seconds=30, names=["note"])
    _, given = queue.storage.settle_and_reserve([], request, where="", result_ttl_ms=1000)
    assert given is not None
    trips = Trips(queue, reporter=Reporter(queue.storage), on_scheduled=lambda: None, lease_seconds=30)
    errand = Errand(trips, owner="owner", worker="worker-1", stopping=threading.Event(), last_request=7)
    assert errand.is_owed_an_answer
    left, jobs = errand.go([], 64)
    assert not left
    assert [job.handed.lease for job in jobs] == [given.tasks[0].lease]
    assert trips.door.is_open  # that answer says nothing of what is ready
    assert not errand.is_owed_an_answer
    task()
    _, (job,) = errand.go([], 64)
    assert job.handed.lease.token == "owner:8"


# -- Timeouts --------------------------------------------------------------------------------------------
def test_a_task_that_sleeps_too_long_is_stopped_in_its_process(
    queue: RedisQueue, redis_url: str, tmp_path: Path
) -> None:
    with consumer(redis_url, tmp_path, workers=1):
        handle = queue.enqueue(call("sleep_long"))
        wait_until(lambda: has_ended(queue, handle.id), 20)
        assert queue.enqueue(call("quick", 3)).get(blocking=True, timeout=5) == 3
    (closing,) = told(queue, id=handle.id, status="timeout")
    assert closing["duration"] < 3
    assert "in sleep_long" in closing["traceback"]
    assert "lost" not in statuses(queue)
    is_accounted_for(queue)


def test_a_task_that_hears_no_signal_is_killed_with_its_process_and_has_timed_out(
    queue: RedisQueue, redis_url: str, tmp_path: Path
) -> None:
    with consumer(redis_url, tmp_path, workers=1):
        handle = queue.enqueue(call("deaf"))
        wait_until(lambda: has_ended(queue, handle.id), 30)
        (line,) = truth(tmp_path)
        wait_until(lambda: not is_alive(int(line.split()[1])), 5)
        assert queue.enqueue(call("quick", 3)).get(blocking=True, timeout=20) == 3
    assert statuses(queue, id=handle.id) == ["enqueued", "started", "timeout", "dead"]
    assert told(queue, id=handle.id, status="timeout")[0]["error_type"] == "limelight.errors.TaskTimeout"
    is_accounted_for(queue)


def test_c_code_that_holds_the_interpreter_longer_than_a_lease_is_not_lost(
    queue: RedisQueue, redis_url: str, tmp_path: Path
) -> None:
    with consumer(redis_url, tmp_path, workers=2, lease=1):
        handle = queue.enqueue(call("hold_the_interpreter", 3.5))
        assert handle.get(blocking=True, timeout=20) == 1
    assert statuses(queue, id=handle.id) == ["enqueued", "started", "finished"]


def test_what_was_taken_with_code_that_holds_the_interpreter_is_run_by_another_process(
    queue: RedisQueue, redis_url: str, tmp_path: Path
) -> None:
    """No thread of that process runs meanwhile, so its parent takes away what waits there."""
    with consumer(redis_url, tmp_path, workers=2):
        warm_up(queue)
        hold, *quick = enqueue_together(
            queue, [call("hold_the_interpreter", 1.5), *(call("quick", number) for number in range(20))]
        )
        wait_until(lambda: has_ended(queue, hold), 10)
        wait_until(lambda: is_empty(queue), 10)
    (held_until,) = (event["timestamp"] for event in told(queue, id=hold) if "end" in event)
    ends = {event["id"]: event["timestamp"] for event in told(queue) if "end" in event}
    assert max(ends[task_id] for task_id in quick) < held_until - 0.5
    assert {event["run"] for event in told(queue, task="hold_the_interpreter", status="finished")} == {1}
    finished = collections.Counter(event["id"] for event in told(queue, status="finished"))
    assert set(finished.values()) == {1}
    assert "lost" not in statuses(queue)
    is_accounted_for(queue)


# -- Stopping --------------------------------------------------------------------------------------------
def test_a_stop_waits_for_running_tasks_also_when_every_process_gets_the_signal(
    queue: RedisQueue, redis_url: str, tmp_path: Path
) -> None:
    """A service manager signals the whole group: children and the server they are forked from must not mind."""
    with consumer(redis_url, tmp_path) as process:
        handle = queue.enqueue(call("slow", 1, 1.0))
        wait_until(lambda: truth(tmp_path)["begin 1"], 20)
        for pid in descendants(process.process.pid):
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGINT)
        code, output = process.stop()
    assert code == 0, output
    assert handle.get() == 1
    assert statuses(queue)[-1] == "consumer-stopped"
    assert "lost" not in statuses(queue)
    is_accounted_for(queue)


def test_a_second_signal_kills_what_runs_and_hands_it_back(
    queue: RedisQueue, redis_url: str, tmp_path: Path
) -> None:
    with consumer(redis_url, tmp_path) as process:
        handle = queue.enqueue(call("slow", 1, 30))
        wait_until(lambda: truth(tmp_path)["begin 1"], 20)
        (started,) = told(queue, status="started")
        code, output = process.stop([signal.SIGTERM, signal.SIGTERM])
    assert code == 0, output
    assert not is_alive(started["pid"])
    assert statuses(queue, id=handle.id) == ["enqueued", "started", "interrupted"]
    (interrupted,) = told(queue, status="interrupted")
    assert 0 < interrupted["duration"] < 10
    is_accounted_for(queue)


def test_processes_do_not_outlive_their_parent(queue: RedisQueue, redis_url: str, tmp_path: Path) -> None:
    with consumer(redis_url, tmp_path) as process:
        queue.enqueue(call("slow", 1, 30))
        wait_until(lambda: truth(tmp_path)["begin 1"], 20)
        family = descendants(process.process.pid)
        assert len(family) >= 3
        process.kill()
        wait_until(lambda: not any(is_alive(pid) for pid in family), 10)


def test_a_worn_out_process_is_replaced_and_every_task_runs_once(
    queue: RedisQueue, redis_url: str, tmp_path: Path
) -> None:
    with consumer(redis_url, tmp_path, "--max-tasks", "10", workers=2) as process:
        handles = [queue.enqueue(call("where")) for _ in range(60)]
        seen = [handle.get(blocking=True, timeout=30) for handle in handles]
        _, output = process.stop()
    pids = collections.Counter(pid for pid, _ in filter(None, seen))
    assert max(pids.values()) <= 10
    assert len(pids) >= 6
    assert {event["run"] for event in told(queue, status="finished")} == {1}
    assert "ERROR" not in output
    is_accounted_for(queue)


# -- Together --------------------------------------------------------------------------------------------
def test_one_consumer_of_processes_serves_several_queues(
    redis_url: str, queue: RedisQueue, tmp_path: Path
) -> None:
    other = RedisQueue("others", url=redis_url)
    with consumer(redis_url, tmp_path, workers=2, targets=("queue", "other=2")):
        handles = [
            handle
            for number in range(100)
            for handle in (queue.enqueue(call("quick", number)), other.enqueue(call("echo", number)))
        ]
        assert [handle.get(blocking=True, timeout=20) for handle in handles] == [n // 2 for n in range(200)]
    for each in (queue, other):
        is_accounted_for(each)


def test_idle_processes_are_quiet_however_many_there_are(own_redis: OwnRedis, tmp_path: Path) -> None:
    server = own_redis()
    queue = RedisQueue("procs", url=server.url)
    client = queue.storage.address.client()
    with consumer(server.url, tmp_path, workers=6):
        for _ in range(10):
            queue.enqueue(call("quick", 1)).get(blocking=True, timeout=20)
        wait_until(lambda: client.info("clients")["blocked_clients"] == 1)
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 1, 10)
        client.config_resetstat()
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 4, 10)
        calls: dict[str, Any] = client.info("commandstats")
        sent = sum(calls.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "blpop"))
        assert sent / (time.monotonic() - began) < 5, calls
        called = time.monotonic()
        assert queue.enqueue(call("quick", 1)).get(blocking=True, timeout=20) == 1
        assert time.monotonic() - called < 2


def test_a_queue_that_processes_could_not_find_is_refused(redis_url: str) -> None:
    consumer = Consumer(RedisQueue("nowhere", url=redis_url), kind="process")
    with pytest.raises(ConfigurationError, match="'nowhere' is no variable of any module"):
        consumer.start()
