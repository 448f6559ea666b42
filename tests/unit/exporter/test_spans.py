from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stream_writer import TRACE_ID, event, run_span

from limelight.errors import ConfigurationError
from limelight.events import Event, decode
from limelight_exporter.config import settings as config_settings
from limelight_exporter.ops import SpanRecord
from limelight_exporter.spans import exported_span, goes_out, span_of, tells_of_a_span
from limelight_exporter.trace_keep import TraceKeep, parsed

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


USERS = {
    "name": "charge the card",
    "attributes": {"order": 7, "messaging.system": "mine", "many": ["a", "b"]},
    "events": [{"name": "paid", "at": "1700000000010000000", "attributes": {"cents": 5}}, {"name": "when?"}],
    "links": [{"trace_id": "3" * 32, "span_id": "4" * 16, "attributes": {"why": "cart"}}],
    "status": "ERROR",
    "description": "declined",
    "dropped_events": 2,
}


def test_what_user_code_put_on_its_span_is_on_it_and_takes_the_place_of_nothing_of_ours() -> None:
    made = span("finished", outcome="success", **RUN, span=USERS, arguments={"order_id": 12})
    assert made.name == "charge the card"
    assert (made.attributes["order"], made.attributes["many"]) == (7, ["a", "b"])
    assert made.attributes["messaging.system"] == "limelight"
    assert made.attributes["limelight.argument.order_id"] == 12
    assert next(iter(made.attributes)) == "messaging.system", "ours first: a limit takes theirs"
    assert [(one.name, one.at, one.attributes) for one in made.events] == [
        ("paid", 1700000000010000000, {"cents": 5})
    ]
    assert (made.links[0].span_id, made.links[0].attributes) == ("4" * 16, {"why": "cart"})
    assert (made.status, made.description) == ("ERROR", "declined")
    assert made.dropped == (0, 2, 0)


def test_a_run_that_failed_is_an_error_whatever_its_code_said() -> None:
    failed = {"outcome": "error", "error": True, "error_type": "shop.Declined"}
    made = span("error-task", **failed, **RUN, span={"status": "OK"})
    assert (made.status, made.description) == ("ERROR", "shop.Declined")
    assert span("finished", outcome="success", **RUN, span={"status": "OK"}).status == "OK"


def test_an_exception_that_user_code_recorded_itself_is_not_there_twice() -> None:
    failed = {"outcome": "error", "error": True, "error_type": "shop.Declined", "error_message": "no"}
    recorded = {"exception.type": "shop.Declined", "exception.message": "no"}
    noted = {"events": [{"name": "exception", "at": "1700000000010000000", "attributes": recorded}]}
    assert len(span("error-task", **failed, **RUN, span=noted).events) == 1
    assert len(span("error-task", **{**failed, "error_message": "other"}, **RUN, span=noted).events) == 2


def test_only_closing_events_carry_what_user_code_said() -> None:
    assert span("dead", end="dead", **RUN, span=USERS).name == "dead-letter send"


def test_when_it_could_run_is_an_event_before_its_start() -> None:
    (ready,) = span("finished", outcome="success", **RUN, ready_at=1_699_999_999.5).events
    assert (ready.name, ready.at) == ("limelight.ready", 1_699_999_999_500_000_000)
    assert span("finished", outcome="success", **RUN, ready_at=1_700_000_000.5).events == ()


def test_members_of_a_group_say_which() -> None:
    made = span("enqueued", **RUN, group_id="g-1", group_size=3, batch=3)
    assert (made.attributes["limelight.group.id"], made.attributes["limelight.group.size"]) == ("g-1", 3)
    assert "messaging.message.id" not in made.attributes, "of many messages the first is no better"


def test_a_root_that_stems_from_elsewhere_links_there() -> None:
    origin = {"trace_id": "5" * 32, "span_id": "6" * 16}
    made = span("finished", outcome="success", **(RUN | {"parent_span_id": ""}), origin=origin)
    assert made.parent_span_id is None
    assert [(link.span_id, link.attributes["limelight.link"]) for link in made.links] == [
        ("6" * 16, "origin")
    ]


def test_links_say_what_for_and_none_repeats_the_parent() -> None:
    before = {"trace_id": TRACE_ID, "span_id": "00f067aa0ba902b8"}
    left_behind = {"trace_id": "1" * 32, "span_id": "2" * 16}
    parent = {"trace_id": TRACE_ID, "span_id": RUN["parent_span_id"]}
    made = span("finished", outcome="success", **RUN, links=[before, left_behind, parent])
    assert [link.attributes["limelight.link"] for link in made.links] == ["previous_run", "previous_trace"]


@pytest.mark.parametrize(
    ("keys", "because"),
    [
        ({"outcome": "error"}, "errors"),
        ({"outcome": "timeout"}, "errors"),
        ({"outcome": "lost"}, "lost"),
        ({"outcome": "success", "duration": 5.0}, "slow"),
        ({"outcome": "error", "duration": 9.0}, "errors"),
        ({"outcome": "success", "duration": 4.9}, None),
        ({"outcome": "retry"}, None),
        ({"end": "dead"}, None),
    ],
)
def test_what_matters_goes_out_although_its_trace_is_not_sampled(
    keys: dict[str, Any], because: str | None
) -> None:
    keep = parsed("errors, slow:5s,lost")
    event = told("finished", **(RUN | {"trace_flags": 2}), **keys)
    assert goes_out(event, keep) == (because is not None)
    assert (exported_span(event, keep) is not None) == (because is not None), (
        "nor does an exemplar point at it"
    )
    assert not goes_out(event)
    if because is None:
        return
    made = span_of(event, keep)
    assert made is not None
    assert made.attributes["limelight.sampled_by"] == because
    assert (made.parent_span_id, made.trace_id, made.span_id) == (None, TRACE_ID, RUN["span_id"])
    (link,) = made.links
    assert (link.trace_id, link.span_id) == (TRACE_ID, RUN["parent_span_id"])


def test_only_a_run_that_closed_can_be_kept() -> None:
    keep = TraceKeep(errors=True, lost=True, slow_seconds=5.0)
    assert keep.reason(None, 9.0) is None
    assert keep.reason("success", None) is None


def test_what_is_sampled_goes_out_whatever_is_kept() -> None:
    made = span_of(told("finished", outcome="success", **RUN), parsed("errors"))
    assert made is not None
    assert made.parent_span_id == RUN["parent_span_id"]
    assert "limelight.sampled_by" not in made.attributes


@pytest.mark.parametrize(
    ("text", "keep"),
    [
        ("", TraceKeep()),
        ("errors", TraceKeep(errors=True)),
        ("lost,errors", TraceKeep(errors=True, lost=True)),
        ("slow:250ms", TraceKeep(slow_seconds=0.25)),
        ("slow:1.5m", TraceKeep(slow_seconds=90.0)),
        ("slow:1h", TraceKeep(slow_seconds=3600.0)),
    ],
)
def test_rules_are_read(text: str, keep: TraceKeep) -> None:
    assert parsed(text) == keep


@pytest.mark.parametrize("text", ["all", "slow", "slow:5", "slow:-1s", "errors;lost", "slow:1e9s"])
def test_rules_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parsed(text)
    with pytest.raises(ConfigurationError, match="--trace-keep"):
        config_settings(trace_keep=text)


def test_no_text_is_longer_than_it_may_be() -> None:
    long = {"task": "t" * 9_999, "host": "h" * 9_999, "service": {"service.name": "s" * 9_999}}
    made = span(
        "error-task", **(RUN | long), outcome="error",
        error_type="e" * 9_999, error_message="m" * 9_999, traceback="x" * 99_999,
        span={"attributes": {"k" * 9_999: "v" * 9_999}, "events": [{"name": "n" * 9_999, "at": "1"}]},
    )  # fmt: skip
    texts = [
        made.name,
        made.description,
        *made.attributes,
        *made.attributes.values(),
        *made.resource.values(),
    ]
    assert max(len(text) for text in texts if isinstance(text, str)) <= 4_096
    assert max(len(str(value)) for one in made.events for value in one.attributes.values()) <= 32_768
    assert max(len(one.name) for one in made.events) <= 255


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
