from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stream_writer import event, finished

from limelight.events import ENDS, OUTCOMES, STATUSES, decode
from limelight_exporter import catalog
from limelight_exporter.fold import fold
from limelight_exporter.metric_state import QueueState
from limelight_exporter.ops import Add, Observe, Op


def ops(status: str, **keys: Any) -> list[Op]:
    return list(fold(decode(json.dumps(event(status, **keys)))))


def added(found: list[Op]) -> Counter[tuple[str, tuple[str, ...]]]:
    return Counter({(op.metric, op.labels): op.amount for op in found if isinstance(op, Add)})


def observed(found: list[Op]) -> dict[tuple[str, tuple[str, ...]], float]:
    return {(op.metric, op.labels): op.value for op in found if isinstance(op, Observe)}


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_every_event_is_counted_once_by_its_status(status: str) -> None:
    assert added(ops(status))[catalog.EVENTS, (status,)] == 1


def test_a_status_from_the_future_is_counted_as_other() -> None:
    assert added(ops("teleported"))[catalog.EVENTS, ("_other",)] == 1


@pytest.mark.parametrize(
    ("status", "metric"),
    [
        ("enqueued", catalog.ENQUEUED),
        ("retrying", catalog.RETRIES),
        ("redelivered", catalog.REDELIVERIES),
        ("scheduling-periodic", catalog.PERIODIC_SCHEDULED),
    ],
)
def test_a_status_raises_its_task_counter(status: str, metric: str) -> None:
    assert added(ops(status, task="send"))[metric, ("send",)] == 1


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_outcome_closes_exactly_one_attempt_whatever_the_status(outcome: str) -> None:
    found = added(ops("finished", task="send", outcome=outcome))
    assert found[catalog.ATTEMPTS, ("send", outcome)] == 1
    assert not any(metric == catalog.COMPLETED for metric, _ in found)


@pytest.mark.parametrize("end", ENDS)
def test_an_end_completes_exactly_one_task_and_closes_no_attempt(end: str) -> None:
    found = added(ops("dead", task="send", end=end, duration=1.0))
    assert found[catalog.COMPLETED, ("send", end)] == 1
    assert not any(metric == catalog.ATTEMPTS for metric, _ in found)


@pytest.mark.parametrize("status", ["finished", "error-task", "retrying", "dead", "canceled"])
def test_a_status_alone_closes_and_ends_nothing(status: str) -> None:
    names = {metric for metric, _ in added(ops(status, task="send", duration=1.0))}
    assert not names & {catalog.ATTEMPTS, catalog.COMPLETED, catalog.ERRORS}


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        ("success", "ok"), ("retry", "ok"), ("canceled", "ok"), ("locked", "ok"), ("rate_limited", "ok"),
        ("interrupted", "ok"), ("error", "failed"), ("timeout", "failed"), ("result_error", "failed"),
    ],
)  # fmt: skip
def test_every_measured_run_is_observed_failures_included(outcome: str, result: str) -> None:
    found = observed(ops("finished", task="send", outcome=outcome, duration=1.5))
    assert found == {(catalog.DURATION, ("send", result)): 1.5}


def test_a_lost_run_is_an_error_but_nobody_measured_it() -> None:
    found = ops(
        "lost", task="send", outcome="lost", error=True, error_type="limelight.worker_lost", duration=9.0
    )
    assert added(found)[catalog.ERRORS, ("send", "limelight.worker_lost")] == 1
    assert not observed(found)


def test_the_phases_of_an_ended_task_add_up_to_its_latency() -> None:
    phases = {"waited_seconds": 1.0, "ran_seconds": 2.0, "backed_off_seconds": 4.0, "parked_seconds": 8.0}
    found = ops("finished", task="send", end="success", **phases)
    assert observed(found)[catalog.LATENCY, ("send",)] == 15.0
    assert [added(found)[catalog.TIME, ("send", phase)] for phase in catalog.PHASES] == [1.0, 2.0, 4.0, 8.0]


def test_the_wait_is_observed_when_the_run_starts_and_not_again_when_it_closes() -> None:
    assert observed(ops("started", task="send", wait=0.5)) == {(catalog.WAIT, ("send",)): 0.5}
    assert catalog.WAIT not in {metric for metric, _ in observed(ops("finished", wait=0.5, **finished()))}


@pytest.mark.parametrize("seconds", [-0.001, -1e300, 1e10, 1e308])
def test_an_impossible_duration_is_counted_as_malformed_and_reaches_no_sum(seconds: float) -> None:
    for keys in (
        {"status": "finished", "outcome": "success", "duration": seconds},
        {"status": "started", "wait": seconds},
        {"status": "finished", "end": "success", "ran_seconds": seconds},
    ):
        found = ops(task="send", **keys)
        assert added(found)[catalog.MALFORMED, ("duration",)] == 1
        assert not observed(found)
        assert not any(metric == catalog.TIME for metric, _ in added(found))


def test_what_an_emitter_had_to_drop_is_lost() -> None:
    assert added(ops("started", dropped=7))[catalog.EVENTS_LOST, ()] == 7


def test_an_event_without_a_task_is_counted_for_the_unknown_one() -> None:
    assert added(ops("dead", task=None, end="dead"))[catalog.COMPLETED, ("_unknown", "dead")] == 1


def test_a_starting_consumer_has_every_series_of_its_tasks_exist_at_zero() -> None:
    state = QueueState("mail")
    state.apply(list(fold(decode(json.dumps(event("consumer-started", tasks=["send"]))))))
    saved = state.save()
    assert len(saved.counters[catalog.ATTEMPTS]) == len(OUTCOMES)
    assert len(saved.counters[catalog.COMPLETED]) == len(ENDS)
    assert all(
        value == 0 for name, cells in saved.counters.items() if name != catalog.EVENTS for _, value in cells
    )
    assert {name: len(cells) for name, cells in saved.histograms.items()} == {
        catalog.DURATION: 2, catalog.WAIT: 1, catalog.LATENCY: 1,
    }  # fmt: skip


@given(
    status=st.sampled_from(sorted(STATUSES)),
    outcome=st.none() | st.text(max_size=20),
    end=st.none() | st.text(max_size=20),
    task=st.none() | st.text(max_size=300),
    duration=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    error_type=st.none() | st.text(max_size=300),
)
def test_no_event_can_upset_the_state(status: str, **keys: Any) -> None:
    state = QueueState("mail")
    state.apply(list(fold(decode(json.dumps(event(status, error=True, **keys))))))
    for cells in state.save().counters.values():
        assert all(value >= 0 and len("".join(labels)) <= 1_000 for labels, value in cells)
