import pytest

from limelight.tracecontext import TraceContext, new_span_id, new_trace_id, parse

VALID = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_valid_header_comes_back_as_it_was() -> None:
    context = parse(VALID, "a=b")
    assert context == TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 1, "a=b")
    assert context.traceparent == VALID


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "x",
        VALID.replace("00-4", "ff-4"),
        VALID + "-extra",
        VALID.upper(),
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
    ],
)
def test_what_the_standard_refuses_is_no_context(header: str | None) -> None:
    assert parse(header) is None


def test_a_later_version_may_carry_more() -> None:
    assert parse(VALID.replace("00-4", "01-4", 1) + "-more") is not None


def test_ids_have_the_length_that_the_standard_wants() -> None:
    assert (len(new_span_id()), len(new_trace_id())) == (16, 32)
