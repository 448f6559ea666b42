"""What lies before a worker, and what the watchdog takes from it."""

import math
from typing import Any

from limelight import RedisQueue
from limelight.consumer.holdings import Holdings, Job
from limelight.consumer.spare import KEPT_SECONDS, Spare
from limelight.consumer.workbench import RELIEVED_AFTER_SECONDS, Workbench
from limelight.registry import Registered
from limelight.storage.base import Handed, Lease
from limelight.task import TaskOptions

QUEUE = RedisQueue("bench")


def job(number: int, worker: str = "worker-1") -> Job:
    some: dict[str, Any] = dict.fromkeys(("trace_id", "span_id"), "")
    some |= dict.fromkeys(("redeliveries", "trace_flags", "traced_at", "started_at", "retry_delay"), 0)
    lease = Lease(f"task-{number}", "token")
    handed = Handed(lease=lease, started=True, name="note", run=1, attempt=1, retries=0, body=b"", **some)
    return Job(QUEUE, handed, Registered(TaskOptions(name="note"), len), worker, math.inf)


def test_tasks_are_begun_in_the_order_they_came() -> None:
    bench, jobs = Workbench(), [job(n) for n in range(3)]
    bench.put(jobs, 1.0)
    begun = bench.next()
    ran = []
    while begun is not None:
        ran.append(begun)
        begun = bench.next(begun)
    assert ran == jobs
    assert bench.take_done() == jobs
    assert bench.is_empty


def test_nothing_is_due_for_relief_before_a_task_runs_or_where_nothing_waits_for_it() -> None:
    bench = Workbench()
    assert bench.due_for_relief() == math.inf
    bench.put([job(1)], 1.0)
    assert bench.due_for_relief() == math.inf
    bench.next()
    assert bench.due_for_relief() == math.inf


def test_what_waits_behind_and_before_a_long_task_is_due_for_relief() -> None:
    bench, jobs = Workbench(), [job(n) for n in range(4)]
    bench.put(jobs, 1.0)
    assert bench.next(bench.next()) is jobs[1]
    assert bench.due_for_relief() == 1.0 + RELIEVED_AFTER_SECONDS
    assert bench.relieve() == (jobs[:1], jobs[2:])
    assert bench.current is jobs[1]
    assert bench.due_for_relief() == math.inf
    assert bench.next(jobs[1]) is None


def test_a_worker_on_a_trip_is_relieved_of_nothing() -> None:
    bench = Workbench()
    bench.put_done([job(1)])
    assert bench.relieve() == ([], [])
    assert not bench.is_empty


def test_what_could_not_be_sent_goes_before_what_was_done_since() -> None:
    bench, first, second = Workbench(), job(1), job(2)
    bench.next(second)
    bench.put_done([first])
    assert bench.take_done() == [first, second]


def test_who_stops_begins_nothing() -> None:
    bench, jobs = Workbench(), [job(1), job(2)]
    bench.put(jobs, 1.0)
    assert bench.next(bench.next(), begin=False) is None
    assert bench.take_todo() == jobs[1:]


def test_spare_tasks_go_to_the_first_who_asks_and_belong_to_them() -> None:
    spare, jobs = Spare(), [job(1), job(2)]
    spare.put(jobs, 1.0)
    assert spare.take("worker-7") is jobs[0]
    assert jobs[0].worker == "worker-7"
    assert spare.kept_until() == 1.0 + KEPT_SECONDS
    assert not spare.take_older(0.9)
    assert spare.take_older(1.0) == jobs[1:]
    assert spare.take("worker-7") is None
    assert spare.kept_until() == math.inf


def test_what_a_worker_gives_away_is_not_dropped_with_the_rest_of_what_it_has() -> None:
    holdings, mine, others = Holdings(), job(1, "worker-1"), job(2, "worker-2")
    holdings.take([mine, others])
    holdings.drop_all_of("worker-1")
    assert holdings.all() == [others]


def test_a_renewed_lease_is_good_for_longer_and_one_that_is_gone_is_named() -> None:
    holdings, kept, lost, settled = Holdings(), job(1), job(2), job(3)
    jobs = [kept, lost, settled]
    holdings.take(jobs)
    holdings.drop([settled])
    assert holdings.renewed(jobs, {"task-1"}, good_until=9.0) == [lost]
    assert kept.good_until == 9.0
