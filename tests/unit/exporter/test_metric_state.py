from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from limelight_exporter import catalog
from limelight_exporter.exposition import Exposition, Renderer
from limelight_exporter.labels import OTHER
from limelight_exporter.metric_state import QueueState, SavedState
from limelight_exporter.ops import Add, Declare, Observe, Op

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


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
    state.apply(Observe(catalog.WAIT, ("send",), seconds) for seconds in (0.0, 0.005, 0.0051, 3600.0, 3601.0))
    (saved,) = state.save().histograms[catalog.WAIT]
    assert saved.counts == [2, 1, *[0] * 10, 1, 1]
    assert saved.total == pytest.approx(7201.0101)


def test_buckets_are_served_cumulative_with_sum_and_count() -> None:
    state = QueueState("mail")
    state.apply([Observe(catalog.WAIT, ("send",), seconds) for seconds in (0.001, 1.0, 9_999.0)])
    found = served(state)
    labels = "('queue', 'mail'), ('task', 'send')"
    assert found[f"limelight_task_wait_seconds_bucket[('le', '1.0'), {labels}]"] == 2
    assert found[f"limelight_task_wait_seconds_bucket[('le', '+Inf'), {labels}]"] == 3
    assert found[f"limelight_task_wait_seconds_count[{labels}]"] == 3
    assert found[f"limelight_task_wait_seconds_sum[{labels}]"] == 10_000.001


def test_nothing_says_when_a_series_was_created() -> None:
    state = QueueState("mail")
    state.apply([Add(catalog.ENQUEUED, ("send",)), Observe(catalog.WAIT, ("send",), 1.0)])
    assert not any("_created" in name for name in served(state))


def test_a_declared_series_is_served_at_zero_and_keeps_what_it_has() -> None:
    state = QueueState("mail")
    state.apply([Declare(catalog.ENQUEUED, ("send",)), Declare(catalog.LATENCY, ("send",))])
    assert value(state, catalog.ENQUEUED, "send") == 0
    state.apply([Add(catalog.ENQUEUED, ("send",)), Declare(catalog.ENQUEUED, ("send",))])
    assert value(state, catalog.ENQUEUED, "send") == 1


def test_a_queue_that_is_not_current_shows_only_what_is_about_the_exporter() -> None:
    state = QueueState("mail")
    state.apply([Add(catalog.ENQUEUED, ("send",)), Add(catalog.EVENTS_LOST, (), 3)])
    names = {name.partition("[")[0] for name in served(state, current=False)}
    assert names == {"limelight_exporter_events_lost_total", "limelight_exporter_stream_rollbacks_total"}


def test_tasks_beyond_the_limit_share_one_series_and_are_counted() -> None:
    state = QueueState("mail")
    state.apply([Add(catalog.ENQUEUED, (f"task{n}",)) for n in range(catalog.TASK_LIMIT + 5)])
    assert len(state.save().counters[catalog.ENQUEUED]) == catalog.TASK_LIMIT + 1
    assert value(state, catalog.ENQUEUED, OTHER) == 5
    assert value(state, catalog.OVERFLOW, catalog.ENQUEUED) == 5


def test_error_types_have_a_limit_of_their_own() -> None:
    state = QueueState("mail")
    state.apply([Add(catalog.ERRORS, ("send", f"E{n}")) for n in range(catalog.ERROR_TYPE_LIMIT + 2)])
    assert value(state, catalog.ERRORS, "send", OTHER) == 2


_OPS = st.one_of(
    st.builds(Add, st.just(catalog.ENQUEUED), st.tuples(st.text(max_size=5)), st.integers(0, 10**12)),
    st.builds(
        Observe, st.just(catalog.LATENCY), st.tuples(st.text(max_size=5)), st.floats(0, 1e9, allow_nan=False)
    ),
    st.builds(Declare, st.just(catalog.WAIT), st.tuples(st.text(max_size=5))),
)


@given(st.lists(_OPS), st.lists(_OPS))
def test_a_state_that_was_saved_goes_on_exactly_like_one_that_never_stopped(
    before: list[Op], after: list[Op]
) -> None:
    whole, first = QueueState("mail"), QueueState("mail")
    whole.apply(before)
    first.apply(before)
    packed = msgspec.msgpack.encode(first.save())
    second = QueueState("mail", msgspec.msgpack.decode(packed, type=SavedState))
    whole.apply(after)
    second.apply(after)
    assert second.save() == whole.save()
    assert served(second) == served(whole)


def test_series_counts_label_sets() -> None:
    state = QueueState("mail")
    born = state.series
    state.apply([Add(catalog.ENQUEUED, ("a",)), Add(catalog.ENQUEUED, ("b",)), Declare(catalog.WAIT, ("a",))])
    assert state.series == born + 3
