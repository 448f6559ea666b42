from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stream_writer import TRACE_ID, event, run_span

from limelight.events import Event, decode
from limelight_exporter.ops import SpanRecord
from limelight_exporter.spans import goes_out, span_of, tells_of_a_span

RUN = run_span("00f067aa0ba902b7") | {"task": "send", "run": 2, "attempt": 1, "wait": 0.25}
NO_RUN = {key: value for key, value in RUN.items() if key not in {"span_id", "span_start", "span_end"}}


def told(status: str, **keys: Any) -> Event:
    return decode(json.dumps(event(status, **keys)))


def span(status: str, **keys: Any) -> SpanRecord:
    made = span_of(told(status, **keys))
    assert made is not None
    return made


def test_a_closing_event_is_a_consumer_span_with_the_workers_ids_and_times() -> None:
    made = span("finished", outcome="success", **RUN)
    assert (made.name, made.kind, made.status) == ("process send", "CONSUMER", "UNSET")
    assert (made.trace_id, made.span_id, made.parent_span_id) == (
        TRACE_ID,
        RUN["span_id"],
        "b7ad6b7169203331",
    )
    assert (made.start, made.end) == (1700000000000000001, 1700000000020000002)
    assert made.resource == {"service.name": "shop", "host.name": "web-1"}
    assert made.attributes["messaging.system"] == "limelight"
    assert made.attributes["messaging.destination.name"] == "mail"
    assert made.attributes["limelight.wait_seconds"] == 0.25
    assert "error.type" not in made.attributes


@pytest.mark.parametrize("outcome", ["error", "timeout", "lost", "result_error"])
def test_a_failed_run_is_an_error_with_type_message_and_traceback(outcome: str) -> None:
    told_of = {"error_type": "shop.Declined", "error_message": "no", "traceback": "Traceback…"}
    made = span("error-task", outcome=outcome, error=True, **RUN, **told_of)
    assert (made.status, made.description) == ("ERROR", "shop.Declined")
    assert made.attributes["error.type"] == "shop.Declined"
    (exception,) = made.events
    assert exception.at == made.end
    assert exception.attributes == {
        "exception.type": "shop.Declined", "exception.message": "no", "exception.stacktrace": "Traceback…",
    }  # fmt: skip


@pytest.mark.parametrize("outcome", ["success", "retry", "locked", "canceled", "rate_limited", "interrupted"])
def test_a_run_that_did_not_fail_has_no_error_status(outcome: str) -> None:
    assert span("retrying", outcome=outcome, **RUN).status == "UNSET"


def test_a_lost_run_starts_where_redis_saw_it_start() -> None:
    keys = {key: value for key, value in RUN.items() if key != "span_start"}
    made = span("lost", outcome="lost", **keys)
    assert (made.start, made.end) == (1_700_000_000_000_000_000, 1700000000020000002)


def test_a_span_never_ends_before_it_starts() -> None:
    made = span("finished", outcome="success", **(RUN | {"span_end": "5"}))
    assert made.end == made.start


def test_an_enqueue_is_a_producer_span() -> None:
    made = span("enqueued", **RUN, batch=3)
    assert (made.name, made.kind) == ("enqueue send", "PRODUCER")
    assert made.attributes["messaging.batch.message_count"] == 3


@pytest.mark.parametrize(
    ("status", "name"), [("revoked", "revoke send"), ("expired", "expire send"), ("canceled", "cancel send")]
)
def test_a_task_that_ends_without_a_run_is_a_zero_length_span(status: str, name: str) -> None:
    made = span(status, end=status, **RUN)
    assert (made.name, made.kind, made.start) == (name, "CLIENT", made.end)
    assert (made.span_id, made.parent_span_id) == (RUN["span_id"], "b7ad6b7169203331")


def test_a_burial_is_a_child_of_the_run_that_failed_last() -> None:
    made = span("dead", end="dead", **RUN)
    assert (made.name, made.start) == ("dead-letter send", made.end)
    assert made.parent_span_id == RUN["span_id"] != made.span_id


def test_a_burial_without_a_run_is_a_child_of_the_enqueue() -> None:
    assert span("dead", end="dead", **NO_RUN).parent_span_id == "b7ad6b7169203331"


def test_the_same_event_gives_the_same_span_and_another_event_another_id() -> None:
    assert span("dead", end="dead", **RUN) == span("dead", end="dead", **RUN)
    assert span("dead", end="dead", **RUN).span_id != span("dead", end="dead", **(RUN | {"seq": 2})).span_id


@pytest.mark.parametrize(
    "status", ["started", "scheduled", "redelivered", "retrying", "error-internal", "purged"]
)
def test_events_that_close_and_end_nothing_tell_of_no_span(status: str) -> None:
    assert not tells_of_a_span(told(status, **RUN))


def test_only_bit_0_of_the_flags_decides() -> None:
    assert [goes_out(told("finished", trace_flags=flags)) for flags in (0, 1, 2, 3)] == [
        False,
        True,
        False,
        True,
    ]


def test_a_retry_links_to_the_attempt_before_it() -> None:
    link = {"trace_id": TRACE_ID, "span_id": "00f067aa0ba902b8"}
    made = span("finished", outcome="success", **RUN, links=[link, {"trace_id": "x"}])
    assert [(found.trace_id, found.span_id) for found in made.links] == [(TRACE_ID, "00f067aa0ba902b8")]


@pytest.mark.parametrize(
    "keys",
    [
        {"trace_id": "0" * 32}, {"trace_id": "xyz"}, {"span_id": "0" * 16}, {"span_id": None},
        {"span_start": "soon"}, {"span_end": "-5"}, {"span_start": "9" * 30}, {"started_at": 1e300, "span_start": None},
    ],
)  # fmt: skip
def test_what_cannot_be_a_span_is_none(keys: dict[str, Any]) -> None:
    assert span_of(told("finished", outcome="success", **(RUN | keys))) is None


@given(
    st.dictionaries(
        st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5) | st.lists(st.none())
    )
)
def test_attributes_of_users_never_hold_what_otlp_cannot_carry(attributes: dict[str, Any]) -> None:
    made = span("finished", outcome="success", **RUN, span={"attributes": attributes})
    for value in made.attributes.values():
        assert isinstance(value, str | bool | float | list) or abs(value) < 2**63
