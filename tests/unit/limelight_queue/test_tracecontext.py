import threading

from opentelemetry import trace

from limelight.tracecontext import TraceContext, current_run, new_span_id, new_trace_id, parent_of_enqueue


def test_ids_have_the_length_that_the_standard_wants() -> None:
    assert (len(new_span_id()), len(new_trace_id())) == (16, 32)


def test_the_current_run_is_the_parent_of_what_it_enqueues_and_of_nothing_else() -> None:
    run = TraceContext("1" * 32, "2" * 16)
    token = current_run.set(run)
    elsewhere: list[TraceContext | None] = []
    thread = threading.Thread(target=lambda: elsewhere.append(parent_of_enqueue()))
    thread.start()
    thread.join()
    assert parent_of_enqueue() == run
    current_run.reset(token)
    assert parent_of_enqueue() is None
    assert elsewhere == [None]


def test_the_applications_own_span_goes_before() -> None:
    span = trace.NonRecordingSpan(
        trace.SpanContext(
            3, 4, is_remote=False, trace_flags=trace.TraceFlags(1), trace_state=trace.TraceState([("a", "b")])
        )
    )
    with trace.use_span(span):
        assert parent_of_enqueue() == TraceContext(f"{3:032x}", f"{4:016x}", 1, "a=b")
