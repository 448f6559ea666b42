from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from limelight_exporter import catalog
from limelight_exporter.attendance import AWAY_HOURS
from limelight_exporter.cells import Exemplar
from limelight_exporter.config_file import FileSettings, Limits
from limelight_exporter.exposition import Exposition, Renderer
from limelight_exporter.fold import MetricEvent
from limelight_exporter.labels import OTHER
from limelight_exporter.metric_state import QueueState, SavedState
from limelight_exporter.ops import Add, Declare, Op
from limelight_exporter.trace_keep import NOTHING, TraceKeep

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def waited(seconds: float, task: str = "send", **keys: Any) -> MetricEvent:
    return MetricEvent(
        status="started", queue="mail", seq=1, timestamp=1_700_000_000.5, task=task, wait=seconds, **keys
    )


def served(state: QueueState, *, current: bool = True) -> dict[str, float]:
    exposition = Exposition()
    state.collect(exposition, current=current)
    body, content_type = Renderer().render(exposition, OPENMETRICS)
    assert content_type.startswith(OPENMETRICS)
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
        if sample.name.startswith("limelight_")
    }


def value(state: QueueState, metric: str, *labels: str) -> float | None:
    return dict(state.save().counters[metric]).get(labels)


def test_a_value_falls_into_the_first_bucket_that_holds_it() -> None:
    state = QueueState("mail")
    state.fold([waited(seconds) for seconds in (0.0, 0.005, 0.0051, 3600.0, 3601.0)])
    (saved,) = state.save().histograms[catalog.WAIT]
    assert saved.counts == [2, 1, *[0] * 10, 1, 1]
    assert saved.micros == 7_201_010_100


def test_buckets_are_served_cumulative_with_sum_and_count() -> None:
    state = QueueState("mail")
    state.fold([waited(seconds) for seconds in (0.001, 1.0, 9_999.0)])
    found = served(state)
    labels = "('queue', 'mail'), ('task', 'send')"
    assert found[f"limelight_task_wait_seconds_bucket[('le', '1.0'), {labels}]"] == 2
    assert found[f"limelight_task_wait_seconds_bucket[('le', '+Inf'), {labels}]"] == 3
    assert found[f"limelight_task_wait_seconds_count[{labels}]"] == 3
    assert found[f"limelight_task_wait_seconds_sum[{labels}]"] == 10_000.001


def test_nothing_says_when_a_series_was_created() -> None:
    state = QueueState("mail")
    state.fold([waited(1.0)], [Add(catalog.ENQUEUED, ("send",))])
    assert not any("_created" in name for name in served(state))


def test_a_declared_series_is_served_at_zero_and_keeps_what_it_has() -> None:
    state = QueueState("mail")
    state.fold([], [Declare(catalog.ENQUEUED, ("send",)), Declare(catalog.LATENCY, ("send",))])
    assert value(state, catalog.ENQUEUED, "send") == 0
    state.fold([], [Add(catalog.ENQUEUED, ("send",)), Declare(catalog.ENQUEUED, ("send",))])
    assert value(state, catalog.ENQUEUED, "send") == 1


def test_a_queue_that_is_not_current_shows_only_what_is_about_the_exporter() -> None:
    state = QueueState("mail")
    state.fold([], [Add(catalog.ENQUEUED, ("send",)), Add(catalog.EVENTS_LOST, (), 3)])
    names = {name.partition("[")[0] for name in served(state, current=False)}
    assert names == {
        "limelight_exporter_events_lost_total",
        "limelight_exporter_stream_rollbacks_total",
        "limelight_exporter_snapshots_set_aside_total",
        "limelight_exporter_events_malformed_total",
    }


def test_tasks_beyond_the_limit_share_one_series_and_are_counted() -> None:
    state = QueueState("mail")
    state.fold([], [Add(catalog.ENQUEUED, (f"task{n}",)) for n in range(catalog.TASK_LIMIT + 5)])
    assert len(state.save().counters[catalog.ENQUEUED]) == catalog.TASK_LIMIT + 1
    assert value(state, catalog.ENQUEUED, OTHER) == 5
    assert value(state, catalog.OVERFLOW, catalog.ENQUEUED) == 5


def test_error_types_have_a_limit_of_their_own() -> None:
    state = QueueState("mail")
    state.fold([], [Add(catalog.ERRORS, ("send", f"E{n}")) for n in range(catalog.ERROR_TYPE_LIMIT + 2)])
    assert value(state, catalog.ERRORS, "send", OTHER) == 2


_TASKS = st.text(max_size=5)
_EVENTS = st.builds(waited, st.floats(0, 1e8, allow_nan=False), _TASKS)
_OPS = st.one_of(
    st.builds(Add, st.just(catalog.ENQUEUED), st.tuples(_TASKS), st.integers(0, 10**12)),
    st.builds(Declare, st.just(catalog.WAIT), st.tuples(_TASKS)),
)
_BATCHES = st.tuples(st.lists(_EVENTS), st.lists(_OPS))


@settings(deadline=None)
@given(_BATCHES, _BATCHES)
def test_a_state_that_was_saved_goes_on_exactly_like_one_that_never_stopped(
    before: tuple[list[MetricEvent], list[Op]], after: tuple[list[MetricEvent], list[Op]]
) -> None:
    whole, first = QueueState("mail"), QueueState("mail")
    whole.fold(*before)
    first.fold(*before)
    packed = msgspec.msgpack.encode(first.save())
    second = QueueState("mail", msgspec.msgpack.decode(packed, type=SavedState))
    whole.fold(*after)
    second.fold(*after)
    assert second.save() == whole.save()
    assert served(second) == served(whole)


def test_series_counts_label_sets() -> None:
    state = QueueState("mail")
    born = state.series
    state.fold(
        [], [Add(catalog.ENQUEUED, ("a",)), Add(catalog.ENQUEUED, ("b",)), Declare(catalog.WAIT, ("a",))]
    )
    assert state.series == born + 3


# -- Who is gone, and limits -------------------------------------------------------------------------
def at(hour: int, *events: MetricEvent) -> Callable[[QueueState], None]:
    """Events of one hour, as a queue's fold hands them over."""

    def hand_over(state: QueueState) -> None:
        state.begin_hour(hour)
        state.fold(events)

    return hand_over


def told(status: str, **keys: Any) -> MetricEvent:
    return MetricEvent(status=status, queue="mail", seq=1, timestamp=1.0, **keys)


def started(*tasks: str) -> MetricEvent:
    return told("consumer-started", tasks=list(tasks))


def state_after(*hours: Callable[[QueueState], None]) -> QueueState:
    state = QueueState("mail")
    for hand_over in hours:
        hand_over(state)
    return state


ENQUEUED = "limelight_tasks_enqueued_total[('queue', 'mail'), ('task', '{}')]"


def test_a_task_that_nobody_named_for_a_week_is_not_shown_and_comes_back_with_all_it_counted() -> None:
    once = told("enqueued", task="old")
    state = state_after(at(0, once), at(AWAY_HOURS, started("new")))
    assert ENQUEUED.format("old") in served(state), "a week has not passed"
    at(AWAY_HOURS + 1, told("enqueued", task="new"))(state)
    assert ENQUEUED.format("old") not in served(state)
    assert ENQUEUED.format("new") in served(state)
    at(AWAY_HOURS + 1, once)(state)
    assert served(state)[ENQUEUED.format("old")] == 2


@pytest.mark.parametrize("announced", [[], [started("old", "new")]])
def test_a_task_is_not_gone_while_no_consumer_started_that_does_not_know_it(
    announced: list[MetricEvent],
) -> None:
    state = state_after(
        at(0, told("enqueued", task="old")), at(500, *announced, told("enqueued", task="new")),
        at(600, told("enqueued", task="new")),
    )  # fmt: skip
    assert ENQUEUED.format("old") in served(state)


def test_error_types_that_nobody_met_for_a_week_are_not_shown() -> None:
    failed = told("error-task", task="send", outcome="error", error=True, error_type="KeyError")
    state = state_after(at(0, failed), at(AWAY_HOURS + 1, told("enqueued", task="send")))
    assert not any("KeyError" in name for name in served(state))


def test_who_is_gone_leaves_the_place_when_places_are_wanting() -> None:
    many = [told("enqueued", task=f"task{n}") for n in range(catalog.TASK_LIMIT)]
    state = state_after(at(0, *many), at(AWAY_HOURS, started("new")), at(AWAY_HOURS + 1, started("new")))
    assert ENQUEUED.format(OTHER) in served(state), "it came when all places were taken"
    at(AWAY_HOURS + 2, started("newer"))(state)
    assert served(state)[ENQUEUED.format("newer")] == 0
    assert len(state.save().heard.tasks) <= 2
    assert not any("task1'" in str(labels) for labels, _ in state.save().counters[catalog.ENQUEUED])


@given(
    st.lists(st.tuples(st.integers(0, 400), st.sampled_from("abcdef"), st.booleans()), max_size=60), st.data()
)
@settings(deadline=None)
def test_who_is_gone_does_not_depend_on_how_the_stream_was_cut_into_batches(
    told_at: list[tuple[int, str, bool]], data: st.DataObject
) -> None:
    stream = [
        (hour, started(name) if is_start else told("enqueued", task=name))
        for hour, name, is_start in sorted(told_at, key=lambda one: one[0])
    ]
    chosen = FileSettings(limits=Limits(tasks=3))
    whole, cut = QueueState("mail", chosen=chosen), QueueState("mail", chosen=chosen)
    for hour, group in groupby(stream, key=itemgetter(0)):
        at(hour, *(one for _, one in group))(whole)
    for hour, one in stream:
        at(hour, one)(cut)
        if data.draw(st.booleans()):
            cut = QueueState("mail", cut.save(), chosen)
    assert {**msgspec.to_builtins(cut.save())} == {**msgspec.to_builtins(whole.save())}


def test_beyond_the_limit_of_series_all_labels_without_bound_are_other() -> None:
    limits = Limits(series=QueueState("mail").series + 2)
    state = QueueState("mail", chosen=FileSettings(limits=limits))
    state.fold([], [Add(catalog.ENQUEUED, (name,)) for name in "abcab"])
    assert value(state, catalog.ENQUEUED, "a") == value(state, catalog.ENQUEUED, "b") == 2
    assert value(state, catalog.ENQUEUED, OTHER) == 1
    assert value(state, catalog.OVERFLOW, catalog.ENQUEUED) == 1


def test_what_is_known_from_the_start_is_served_at_zero() -> None:
    found = served(QueueState("mail"))
    assert found["limelight_events_total[('event', 'finished'), ('queue', 'mail')]"] == 0
    assert found["limelight_exporter_events_malformed_total[('queue', 'mail'), ('reason', 'oversized')]"] == 0


# -- Exemplars ----------------------------------------------------------------------------------------
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def exemplars(state: QueueState, *, now: float = 1_700_000_009.0) -> list[Sample]:
    read = text_string_to_metric_families(rendered(state, now, OPENMETRICS))
    return [sample for family in read for sample in family.samples if sample.exemplar]


def rendered(state: QueueState, now: float, accept: str) -> str:
    exposition = Exposition()
    state.collect(exposition, current=True)
    return Renderer(clock=lambda: now).render(exposition, accept)[0].decode()


def sampled(seconds: float, span: str = SPAN, *, flags: int = 1) -> MetricEvent:
    return waited(seconds, trace_id=TRACE, span_id=span, trace_flags=flags)


def test_each_bucket_points_at_the_newest_span_in_it() -> None:
    state = QueueState("mail", exemplars=NOTHING)
    state.fold([sampled(0.2, "1" * 16), sampled(0.21, "2" * 16), sampled(9.0, "3" * 16)])
    found = {sample.labels["le"]: sample.exemplar for sample in exemplars(state)}
    assert {le: exemplar.labels["span_id"] for le, exemplar in found.items()} == {
        "0.25": "2" * 16, "10.0": "3" * 16,
    }  # fmt: skip
    newest = found["0.25"]
    assert (newest.labels["trace_id"], newest.value, float(newest.timestamp)) == (
        TRACE,
        0.21,
        1_700_000_000.5,
    )


def test_a_failure_counter_points_at_the_last_run_that_failed() -> None:
    state = QueueState("mail", exemplars=NOTHING)
    failed = {"status": "error-task", "outcome": "error", "error": True, "error_type": "ValueError"}
    state.fold([msgspec.structs.replace(sampled(1.0), wait=None, **failed)])
    (sample,) = exemplars(state)
    assert sample.name == "limelight_task_errors_total"
    assert sample.exemplar.labels == {"trace_id": TRACE, "span_id": SPAN}


@pytest.mark.parametrize(
    "event",
    [
        sampled(1.0, flags=0), waited(1.0), waited(1.0, trace_id=TRACE, trace_flags=1),
        sampled(1.0, "not a span id"), sampled(1.0, "0" * 16),
    ],
)  # fmt: skip
def test_nothing_points_at_a_span_that_is_not_exported(event: MetricEvent) -> None:
    state = QueueState("mail", exemplars=NOTHING)
    state.fold([event])
    assert not exemplars(state)


def test_what_is_kept_although_it_is_not_sampled_is_pointed_at_and_nothing_else() -> None:
    state = QueueState("mail", exemplars=TraceKeep(errors=True, slow_seconds=5.0))
    unsampled = msgspec.structs.replace(sampled(1.0, flags=0), status="finished", wait=None)
    failed = {"status": "error-task", "outcome": "error", "error": True, "error_type": "ValueError"}
    state.fold(
        [
            sampled(7.0, "1" * 16, flags=0),  # started: nobody knows yet whether it will be kept
            msgspec.structs.replace(unsampled, outcome="success", duration=4.0, span_id="2" * 16),
            msgspec.structs.replace(unsampled, outcome="success", duration=6.0, span_id="3" * 16),
            msgspec.structs.replace(unsampled, **failed, span_id="4" * 16),
        ]
    )
    assert {sample.exemplar.labels["span_id"] for sample in exemplars(state)} == {"3" * 16, "4" * 16}


def test_without_trace_export_nothing_points_anywhere() -> None:
    state = QueueState("mail")
    state.fold([sampled(1.0)])
    assert not exemplars(state)


def test_an_unsampled_value_leaves_the_span_that_its_bucket_points_at() -> None:
    state = QueueState("mail", exemplars=NOTHING)
    state.fold([sampled(1.0)])
    state.fold([sampled(1.0, "5" * 16, flags=0)])
    assert [sample.exemplar.labels["span_id"] for sample in exemplars(state)] == [SPAN]


def test_no_exemplar_comes_from_the_future() -> None:
    """Prometheus takes none that is older than the one before, so one such would bar all that follow."""
    state = QueueState("mail", exemplars=NOTHING)
    state.fold([sampled(1.0)])
    (sample,) = exemplars(state, now=1_600_000_000.0)
    assert float(sample.exemplar.timestamp) == 1_600_000_000.0


def test_prometheus_own_text_format_has_no_exemplars() -> None:
    state = QueueState("mail", exemplars=NOTHING)
    state.fold([sampled(1.0)])
    assert TRACE not in rendered(state, 1_700_000_009.0, "text/plain")


def test_an_exemplar_fits_into_what_openmetrics_allows() -> None:
    labels = Exemplar(TRACE, SPAN, 1.0, 1.0)
    assert len(f"trace_id{labels.trace_id}span_id{labels.span_id}") <= 128
