"""Each check names the fault it is there for: shown on a small run made by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from chaos.story import Told
from chaos_exporter.reader import Gap
from chaos_exporter.verdict import LOST, ROLLBACKS, Evidence, Samples, expected, judge

QUEUE = frozenset({("queue", "counted")})
SUCCESS = ("limelight_tasks_completed_total", QUEUE | {("task", "fine"), ("outcome", "success")})


def told(seq: int, status: str, **keys: Any) -> Told:
    return Told(status=status, seq=seq, timestamp=float(seq), queue="counted", task="fine", **keys)


EVENTS = [
    told(1, "enqueued"),
    told(2, "started", wait=0.1),
    told(3, "finished", outcome="success", end="success", duration=0.1, waited_seconds=0.1),
    told(4, "enqueued"),
    told(5, "started", wait=0.1),
    told(6, "finished", outcome="success", end="success", duration=0.1, waited_seconds=0.1),
]
NOTED = [
    {"enqueued": "fine", "key": 1},
    {"ran": "fine", "key": 1},
    {"enqueued": "fine", "key": 2},
    {"ran": "fine", "key": 2},
]


def right() -> Evidence:
    """A run in which nothing is wrong: two tasks, the second one's enqueueing lost."""
    draft = Evidence(noted=NOTED, events=EVENTS, gaps=[Gap(after=3, first=5)], served={}, scraped={})
    served = {key: float(count) for key, count in expected(draft).items()}
    series = [
        Samples(key, [0.0 if "events" not in key[0] or key[0] == LOST else count, count], 0.0)
        for key, count in served.items()
    ]
    return replace(draft, served={"a": served, "b": dict(served)}, scraped={"a": series, "b": list(series)})


def served(evidence: Evidence, key: Any, value: float) -> Evidence:
    return replace(evidence, served={**evidence.served, "b": {**evidence.served["b"], key: value}})


def sampled(evidence: Evidence, key: Any, values: list[float], resets: float = 0.0) -> Evidence:
    others = [one for one in evidence.scraped["b"] if one.key != key]
    return replace(evidence, scraped={**evidence.scraped, "b": [*others, Samples(key, values, resets)]})


def test_a_run_in_which_all_is_right_has_no_finding() -> None:
    assert not any(finding.problems for finding in judge(right()))


def gone_back() -> Evidence:
    """The same, except that Redis went back and forgot a third task that was counted; nothing was trimmed."""
    noted = [*NOTED, {"enqueued": "fine", "key": 3}]
    draft = Evidence(noted=noted, events=EVENTS, gaps=[], served={}, scraped={}, rollbacks=1)
    served = {key: float(count) for key, count in expected(draft).items()}
    series = [
        Samples(key, [0.0 if "events_" not in key[0] else count, count], 0.0) for key, count in served.items()
    ]
    return replace(draft, served={"a": served, "b": dict(served)}, scraped={"a": series, "b": list(series)})


def test_a_task_that_redis_forgot_need_not_have_run() -> None:
    assert not any(finding.problems for finding in judge(gone_back()))


STARTED = ("limelight_task_wait_seconds_count", QUEUE | {("task", "fine")})
WRONG_THEN: dict[str, tuple[Callable[[Evidence], Evidence], str]] = {
    "a rollback untold": (lambda good: served(good, (ROLLBACKS, QUEUE), 0.0), "loss"),
    "counted again": (lambda good: served(good, SUCCESS, 3.0), "counters"),
    "closed what never ran": (lambda good: replace(good, noted=good.noted[:2]), "tasks' files"),
    "ran what never began": (lambda good: served(good, STARTED, 1.0), "tasks' files"),
    "ran what nobody enqueued": (
        lambda good: replace(good, noted=[*good.noted, {"ran": "fine", "key": 4}]), "tasks"),
}  # fmt: skip


@pytest.mark.parametrize("fault", WRONG_THEN)
def test_each_check_names_the_fault_it_is_there_for_also_when_redis_went_back(fault: str) -> None:
    spoil, check = WRONG_THEN[fault]
    assert check in {finding.check for finding in judge(spoil(gone_back())) if finding.problems}


WRONG: dict[str, tuple[Callable[[Evidence], Evidence], str]] = {
    "a task never ran": (lambda good: replace(good, noted=[*good.noted, {"enqueued": "fine", "key": 9}]), "tasks"),
    "a task is still there": (lambda good: replace(good, left=1), "tasks"),
    "one too many": (lambda good: served(good, SUCCESS, 3.0), "counters"),
    "one too few by the file": (lambda good: served(good, SUCCESS, 1.0), "tasks' files"),
    "a series nobody earned": (
        lambda good: served(good, ("limelight_task_retries_total", QUEUE | {("task", "fine")}), 1.0), "counters"),
    "loss off by one": (lambda good: served(good, (LOST, QUEUE), 2.0), "loss"),
    "exporters differ": (lambda good: served(good, ("limelight_task_wait_seconds_sum", QUEUE), 0.2), "agreement"),
    "a counter fell": (lambda good: sampled(good, SUCCESS, [0.0, 2.0, 1.0, 2.0]), "never falls"),
    "a reset": (lambda good: sampled(good, SUCCESS, [0.0, 2.0], 1.0), "never falls"),
    "born too late": (lambda good: sampled(good, SUCCESS, [1.0, 2.0]), "last minus first"),
    "never scraped": (lambda good: replace(
        good, scraped={**good.scraped, "b": []}), "last minus first"),
    "a fault": (lambda good: replace(good, problems=["unexpected error"]), "processes"),
}  # fmt: skip


@pytest.mark.parametrize("fault", WRONG)
def test_each_check_names_the_fault_it_is_there_for(fault: str) -> None:
    spoil, check = WRONG[fault]
    assert check in {finding.check for finding in judge(spoil(right())) if finding.problems}
