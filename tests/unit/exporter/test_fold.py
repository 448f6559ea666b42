from __future__ import annotations

import json
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_writer import event, finished

from limelight.events import ENDS, OUTCOMES, STATUSES, Event
from limelight_exporter import catalog
from limelight_exporter.fold import MetricEvent, decode
from limelight_exporter.metric_state import QueueState, SavedState

Series = tuple[str, tuple[str, ...]]


def state_after(*told: dict[str, Any]) -> SavedState:
    state = QueueState("mail")
    state.fold([decode(json.dumps(one).encode()) for one in told])
    return state.save()


def after(status: str, **keys: Any) -> SavedState:
    return state_after(event(status, **keys))


def added(state: SavedState) -> Counter[Series]:
    return Counter(
        {(name, labels): value for name, cells in state.counters.items() for labels, value in cells if value}
    )


def observed(state: SavedState) -> dict[Series, float]:
    return {
        (name, cell.labels): cell.micros / 1e6
        for name, cells in state.histograms.items()
        for cell in cells
        if any(cell.counts)
    }


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_every_event_is_counted_once_by_its_status(status: str) -> None:
    assert added(after(status))[catalog.EVENTS, (status,)] == 1


def test_a_status_from_the_future_is_counted_as_other() -> None:
    assert added(after("teleported"))[catalog.EVENTS, ("_other",)] == 1


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
    assert added(after(status, task="send"))[metric, ("send",)] == 1


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_outcome_closes_exactly_one_attempt_whatever_the_status(outcome: str) -> None:
    found = added(after("finished", task="send", outcome=outcome))
    assert found[catalog.ATTEMPTS, ("send", outcome)] == 1
    assert not any(metric == catalog.COMPLETED for metric, _ in found)


@pytest.mark.parametrize("end", ENDS)
def test_an_end_completes_exactly_one_task_and_closes_no_attempt(end: str) -> None:
    found = added(after("dead", task="send", end=end, duration=1.0))
    assert found[catalog.COMPLETED, ("send", end)] == 1
    assert not any(metric == catalog.ATTEMPTS for metric, _ in found)


@pytest.mark.parametrize("status", ["finished", "error-task", "retrying", "dead", "canceled"])
def test_a_status_alone_closes_and_ends_nothing(status: str) -> None:
    names = {metric for metric, _ in added(after(status, task="send", duration=1.0))}
    assert not names & {catalog.ATTEMPTS, catalog.COMPLETED, catalog.ERRORS}


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        ("success", "ok"), ("retry", "ok"), ("canceled", "ok"), ("locked", "ok"), ("rate_limited", "ok"),
        ("interrupted", "ok"), ("error", "failed"), ("timeout", "failed"), ("result_error", "failed"),
    ],
)  # fmt: skip
def test_every_measured_run_is_observed_failures_included(outcome: str, result: str) -> None:
    found = observed(after("finished", task="send", outcome=outcome, duration=1.5))
    assert found == {(catalog.DURATION, ("send", result)): 1.5}


def test_a_lost_run_is_an_error_but_nobody_measured_it() -> None:
    found = after(
        "lost", task="send", outcome="lost", error=True, error_type="limelight.worker_lost", duration=9.0
    )
    assert added(found)[catalog.ERRORS, ("send", "limelight.worker_lost")] == 1
    assert not observed(found)


def test_the_phases_of_an_ended_task_add_up_to_its_latency() -> None:
    phases = {"waited_seconds": 1.0, "ran_seconds": 2.0, "backed_off_seconds": 4.0, "parked_seconds": 8.0}
    found = after("finished", task="send", end="success", **phases)
    assert observed(found)[catalog.LATENCY, ("send",)] == 15.0
    spent = [added(found)[catalog.TIME, ("send", phase)] for phase in catalog.PHASES]
    assert spent == [1_000_000, 2_000_000, 4_000_000, 8_000_000]


def test_the_wait_is_observed_when_the_run_starts_and_not_again_when_it_closes() -> None:
    assert observed(after("started", task="send", wait=0.5)) == {(catalog.WAIT, ("send",)): 0.5}
    assert catalog.WAIT not in {metric for metric, _ in observed(after("finished", wait=0.5, **finished()))}


@pytest.mark.parametrize("seconds", [-0.001, -1e300, 1e10, 1e308])
def test_an_impossible_duration_is_counted_as_malformed_and_reaches_no_sum(seconds: float) -> None:
    for keys in (
        {"status": "finished", "outcome": "success", "duration": seconds},
        {"status": "started", "wait": seconds},
        {"status": "finished", "end": "success", "ran_seconds": seconds},
    ):
        found = after(task="send", **keys)
        assert added(found)[catalog.MALFORMED, ("duration",)] == 1
        assert not observed(found)
        assert not any(metric == catalog.TIME for metric, _ in added(found))


def test_what_an_emitter_had_to_drop_is_lost() -> None:
    assert added(after("started", dropped=7))[catalog.EVENTS_LOST, ()] == 7


def test_an_event_without_a_task_is_counted_for_the_unknown_one() -> None:
    assert added(after("dead", task=None, end="dead"))[catalog.COMPLETED, ("_unknown", "dead")] == 1


def test_a_starting_consumer_has_every_series_of_its_tasks_exist_at_zero() -> None:
    saved = after("consumer-started", tasks=["send"])
    assert len(saved.counters[catalog.ATTEMPTS]) == len(OUTCOMES)
    assert len(saved.counters[catalog.COMPLETED]) == len(ENDS)
    assert set(added(saved)) == {(catalog.EVENTS, ("consumer-started",))}
    assert {name: len(cells) for name, cells in saved.histograms.items()} == {
        catalog.DURATION: 2, catalog.WAIT: 1, catalog.LATENCY: 1,
    }  # fmt: skip


def test_what_the_fold_reads_is_what_the_contract_says() -> None:
    """The keys are written down a second time, so they could part."""
    contract = {field.name: field for field in msgspec.structs.fields(Event)}
    for field in msgspec.structs.fields(MetricEvent):
        same = contract[field.name]
        assert (field.type, field.default, field.default_factory) == (
            same.type, same.default, same.default_factory,
        )  # fmt: skip


# -- Objectives ---------------------------------------------------------------------------------------
def started_with(**slo: dict[str, float]) -> dict[str, Any]:
    return event("consumer-started", tasks=["send"], slo={"send": slo})


def verdicts(state: SavedState) -> dict[tuple[str, ...], int]:
    return {labels[1:]: value for labels, value in state.counters[catalog.SLO_EVALUATIONS]}


def test_a_value_at_the_threshold_is_good_and_one_microsecond_more_is_bad() -> None:
    waits = [event("started", task="send", wait=seconds) for seconds in (0.0, 5.0, 5.000001, 60.0)]
    found = state_after(started_with(wait={"target": 0.99, "threshold_seconds": 5}), *waits)
    assert verdicts(found) == {("wait", "good"): 2, ("wait", "bad"): 2}


@pytest.mark.parametrize(
    ("end", "verdict"),
    [
        ("success", "good"), ("dead", "bad"), ("result_error", "bad"), ("expired", "bad"),
        ("revoked", None), ("canceled", None), ("locked", None), ("rate_limited", None),
    ],
)  # fmt: skip
def test_an_end_that_somebody_wanted_is_no_failure(end: str, verdict: str | None) -> None:
    found = state_after(
        started_with(success={"target": 0.999}, latency={"target": 0.9, "threshold_seconds": 1}),
        event("finished", task="send", end=end, ran_seconds=2.0),
    )
    judged = {labels: count for labels, count in verdicts(found).items() if count}
    assert judged == ({("success", verdict): 1, ("latency", "bad"): 1} if verdict else {})


def test_every_measured_run_is_held_to_its_duration_failures_included() -> None:
    runs = [event("error-task", task="send", outcome="error", duration=seconds) for seconds in (1, 3)]
    lost = event("lost", task="send", outcome="lost", duration=1)
    found = state_after(started_with(duration={"target": 0.9, "threshold_seconds": 2}), *runs, lost)
    assert verdicts(found) == {("duration", "good"): 1, ("duration", "bad"): 1}


def test_what_is_declared_exists_at_zero() -> None:
    found = state_after(started_with(success={"target": 0.999}))
    assert verdicts(found) == {("success", "good"): 0, ("success", "bad"): 0}


@pytest.mark.parametrize(
    "slo",
    [
        {"wait": {"target": 0.9, "threshold_seconds": 1e308}}, {"wait": {"target": 0.9, "threshold_seconds": -1}},
        {"wait": {"target": 0.9}}, {"wait": {"target": 9.0, "threshold_seconds": 1}}, {"made up": {"target": 0.9}},
        {"success": {"target": 0.9, "threshold_seconds": 1}},
    ],
)  # fmt: skip
def test_a_forged_objective_is_passed_over(slo: dict[str, Any]) -> None:
    found = state_after(started_with(**slo), event("started", task="send", wait=3))
    assert not found.objectives
    assert not verdicts(found)


def test_the_consumer_that_started_last_says_what_holds() -> None:
    waited = event("started", task="send", wait=3)
    strict, lax = ({"target": 0.9, "threshold_seconds": seconds} for seconds in (1, 10))
    found = state_after(
        started_with(wait=strict), waited, started_with(wait=lax), waited, started_with(), waited
    )
    assert verdicts(found) == {("wait", "good"): 1, ("wait", "bad"): 1}
    assert not found.objectives


def test_a_task_without_objectives_is_judged_by_nobody() -> None:
    found = state_after(
        started_with(wait={"target": 0.9, "threshold_seconds": 1}), event("started", task="other", wait=3)
    )
    assert set(verdicts(found).values()) == {0}


@settings(deadline=None)
@given(
    status=st.sampled_from(sorted(STATUSES)),
    outcome=st.none() | st.text(max_size=20),
    end=st.none() | st.text(max_size=20),
    task=st.none() | st.text(max_size=300),
    duration=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    error_type=st.none() | st.text(max_size=300),
)
def test_no_event_can_upset_the_state(status: str, **keys: Any) -> None:
    saved = after(status, error=True, **keys)
    for cells in saved.counters.values():
        assert all(value >= 0 and len("".join(labels)) <= 1_000 for labels, value in cells)


_PHASES = st.floats(-1.0, 1e6, allow_nan=False)
_TOLD = st.builds(
    event,
    st.sampled_from(["started", "finished", "error-task", "dead", "consumer-started"]),
    task=st.sampled_from(["a", "b", None]),
    outcome=st.sampled_from([None, "success", "error"]),
    end=st.sampled_from([None, "success", "dead"]),
    error=st.booleans(),
    error_type=st.sampled_from([None, "E", "F"]),
    wait=st.none() | _PHASES,
    duration=st.none() | _PHASES,
    waited_seconds=_PHASES,
    ran_seconds=_PHASES,
    dropped=st.sampled_from([0, 0, 0, 3]),
    tasks=st.lists(st.sampled_from(["a", "b", "c"]), unique=True),
    slo=st.fixed_dictionaries({"a": st.just({"wait": {"target": 0.9, "threshold_seconds": 1.5}})})
    | st.just({}),
)


@settings(deadline=None)
@given(st.lists(_TOLD))
def test_however_events_are_batched_they_come_to_the_same(told: list[dict[str, Any]]) -> None:
    """Two exporters never read the same batches, and must agree to the last digit."""
    one_by_one = QueueState("mail")
    for one in told:
        one_by_one.fold([decode(json.dumps(one).encode())])
    assert one_by_one.save() == state_after(*told)


@settings(deadline=None)
@given(st.lists(_TOLD))
def test_the_phases_add_up_to_the_latencies_to_the_microsecond(told: list[dict[str, Any]]) -> None:
    saved = state_after(*told)
    spent = sum(value for _, value in saved.counters[catalog.TIME])
    assert spent == sum(cell.micros for cell in saved.histograms[catalog.LATENCY])
