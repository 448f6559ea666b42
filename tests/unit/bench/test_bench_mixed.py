"""The figure of mixed loads: how long a ready task waited while a worker ran nothing."""

from queues.scenarios.mixed import Run, longest_wait


def run(ready: int, began: int, ended: int, worker: int) -> Run:
    return Run(ready=ready, began=began, ended=ended, worker=worker)


def test_a_task_held_back_behind_a_long_one_counts_from_when_another_worker_was_free() -> None:
    runs = [run(0, 0, 200, 1), run(0, 0, 30, 2), run(0, 200, 201, 1)]
    assert longest_wait(runs, workers=2, up=0) == 170


def test_a_task_counts_only_from_when_it_was_ready() -> None:
    runs = [run(0, 0, 200, 1), run(0, 0, 30, 2), run(150, 200, 201, 1)]
    assert longest_wait(runs, workers=2, up=0) == 50


def test_waiting_is_nobodys_fault_while_all_workers_run_something() -> None:
    runs = [run(0, 0, 200, 1), run(0, 0, 200, 2), run(0, 200, 201, 1), run(0, 203, 204, 2)]
    assert longest_wait(runs, workers=2, up=0) == 3


def test_a_worker_that_never_ran_anything_idled_all_the_time() -> None:
    runs = [run(0, 0, 100, 1), run(0, 100, 101, 1)]
    assert longest_wait(runs, workers=1, up=0) == 0
    assert longest_wait(runs, workers=2, up=0) == 100


def test_idling_is_no_fault_where_nothing_waits() -> None:
    runs = [run(0, 0, 1, 1), run(1_000, 1_001, 1_002, 2)]
    assert longest_wait(runs, workers=2, up=0) == 1


def test_time_before_the_consumer_was_up_does_not_count() -> None:
    runs = [run(0, 500, 501, 1), run(0, 502, 503, 2)]
    assert longest_wait(runs, workers=2, up=500) == 2
