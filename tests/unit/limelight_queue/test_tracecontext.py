import threading

import pytest
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from limelight import continue_trace
from limelight.tracecontext import (
    Allowance,
    TraceContext,
    allowed_baggage,
    current_run,
    new_ids,
    new_span_id,
    new_trace_id,
    parsed,
    shortened,
    trace_id_of,
    traceparent,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_ids_have_the_length_that_the_standard_wants() -> None:
    assert (len(new_span_id()), len(new_trace_id())) == (16, 32)


def test_a_task_begins_the_trace_of_its_own_id() -> None:
    assert trace_id_of("4bf92f35-77b3-4da6-a3ce-929d0e0e4736") == TRACE
    assert int(trace_id_of("00000000-0000-0000-0000-000000000000"), 16) != 0, "which is no trace id"


def test_headers_of_the_standard_are_read_in_any_case() -> None:
    given = {"TraceParent": f"00-{TRACE}-{SPAN}-03", "tracestate": "a=1,b=2", "Baggage": "tenant=shop"}
    assert parsed(given) == TraceContext(TRACE, SPAN, 3, "a=1,b=2", None, {"baggage": "tenant=shop"})


@pytest.mark.parametrize(
    "header",
    [
        f"00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-00",
        f"cc-{TRACE}-{SPAN}-01-what-a-later-version-adds",
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0x",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
    ],
)
def test_a_traceparent_means_the_same_here_as_in_opentelemetry(header: str) -> None:
    theirs = get_current_span(
        TraceContextTextMapPropagator().extract({"traceparent": header})
    ).get_span_context()
    ours = parsed({"traceparent": header})
    assert (ours is not None) == theirs.is_valid
    if ours is not None:
        assert (int(ours.trace_id, 16), int(ours.span_id, 16)) == (theirs.trace_id, theirs.span_id)
        assert ours.flags & 1 == theirs.trace_flags & 1


def test_a_context_is_written_as_it_was_read() -> None:
    header = f"00-{TRACE}-{SPAN}-01"
    context = parsed({"traceparent": header})
    assert context is not None
    assert traceparent(context) == header


def test_what_is_too_long_goes_by_whole_entries() -> None:
    state = ",".join(f"vendor{number}={'x' * 40}" for number in range(20))
    kept = shortened(state)
    assert len(kept) <= 512
    assert state.startswith(kept + ",")


def test_only_allowed_baggage_travels_and_only_a_kilobyte_of_it() -> None:
    assert (
        allowed_baggage("user=alice;ttl=3, tenant = shop,secret=x", {"tenant", "user"})
        == "user=alice;ttl=3, tenant = shop"
    )
    many = ",".join(f"k{number}={'v' * 90}" for number in range(50))
    kept = allowed_baggage(many, {f"k{number}" for number in range(50)})
    assert 900 < len(kept) <= 1_024


def test_a_trace_that_is_continued_is_current_inside_and_in_this_thread_alone() -> None:
    elsewhere: list[TraceContext | None] = []
    with continue_trace({"traceparent": f"00-{TRACE}-{SPAN}-01"}):
        thread = threading.Thread(target=lambda: elsewhere.append(current_run.get()))
        thread.start()
        thread.join()
        inside = current_run.get()
        with continue_trace({"traceparent": "rubbish"}):
            assert current_run.get() is inside, "what names no trace changes nothing"
    assert inside == TraceContext(TRACE, SPAN)
    assert current_run.get() is None
    assert elsewhere == [None]


def test_an_allowance_gives_what_it_has() -> None:
    allowance = Allowance(3)
    assert (allowance.take(2), allowance.take(2), allowance.take(2)) == (2, 1, 0)


def test_ids_that_are_made_together_are_ids_and_all_different() -> None:
    ids = new_ids(500)
    assert [len(one) for one in ids] == [16, 32] * 500
    assert all(set(one) <= set("0123456789abcdef") for one in ids)
    assert len(set(ids)) == 1_000
    assert new_ids(0) == []
