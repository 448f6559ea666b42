"""Every task is in a trace: which, whose child, and what its code put there, as its events tell."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from running import consuming, has_ended, is_accounted_for, told
from servers import wait_until
from starters import MakeQueue

from limelight import (
    ConfigurationError,
    MemoryQueue,
    RedisQueue,
    RetryTask,
    Tracing,
    chord,
    continue_trace,
    current_task,
    group,
    tracing,
)
from limelight.sampling import RootSampler

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def queue(make_either_queue: MakeQueue) -> RedisQueue:
    return make_either_queue("traced")


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(spans: InMemorySpanExporter) -> trace.Tracer:
    """The application's own, with an SDK that nobody else knows."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return provider.get_tracer("shop")


@pytest.fixture(params=["thread", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def ids(span: trace.Span | ReadableSpan) -> tuple[str, str]:
    found = span.get_span_context()
    assert found is not None
    return f"{found.trace_id:032x}", f"{found.span_id:016x}"


def run_all(queue: RedisQueue, *task_ids: str, kind: str = "thread") -> None:
    with consuming(queue, kind=kind):
        for task_id in task_ids:
            wait_until(lambda task_id=task_id: has_ended(queue, task_id))


def closing(queue: RedisQueue, task_id: str) -> dict[str, Any]:
    """The event that closed the last run."""
    return [event for event in told(queue, id=task_id) if "outcome" in event][-1]


def enqueued(queue: RedisQueue, task_id: str) -> dict[str, Any]:
    (event,) = told(queue, id=task_id, status="enqueued")
    return event


def place(event: dict[str, Any]) -> tuple[str, str | None]:
    return event["trace_id"], event.get("parent_span_id")


def link(event: dict[str, Any]) -> dict[str, str]:
    return {"trace_id": event["trace_id"], "span_id": event["span_id"]}


# -- While code runs -------------------------------------------------------------------------------------
def test_the_span_of_a_run_is_current_while_its_code_runs_plain_or_awaited(
    queue: RedisQueue, tracer: trace.Tracer, spans: InMemorySpanExporter, kind: str
) -> None:
    @queue.task(name="plain")
    def plain() -> tuple[str, str]:
        with tracer.start_as_current_span("inner"):
            pass
        return ids(trace.get_current_span())

    @queue.task(name="awaited")
    async def awaited() -> tuple[str, str]:
        await asyncio.sleep(0.001)
        with tracer.start_as_current_span("inner"):
            return ids(trace.get_current_span())

    handles = [plain(), awaited()]
    run_all(queue, *(handle.id for handle in handles), kind=kind)
    runs = {
        (closing(queue, handle.id)["trace_id"], closing(queue, handle.id)["span_id"]) for handle in handles
    }
    parents = {
        (f"{one.parent.trace_id:032x}", f"{one.parent.span_id:016x}")
        for one in spans.get_finished_spans()
        if one.parent
    }
    assert parents == runs
    assert tuple(handles[0].get() or ()) in runs
    assert ids(trace.get_current_span()) == ("0" * 32, "0" * 16), "nothing is left behind"


def test_what_code_puts_on_its_span_travels_in_the_closing_event(queue: RedisQueue, kind: str) -> None:
    @queue.task()
    async def price() -> None:
        span = trace.get_current_span()
        assert span.is_recording()
        span.set_attribute("shop.items", 3)
        span.set_attributes({"shop.name": "näh", "shop.prices": [1.5, 2.0]})
        span.add_event("priced", {"step": 1}, timestamp=17)
        span.add_link(trace.SpanContext(1, 2, is_remote=True))
        try:
            int("no such voucher")
        except ValueError as error:
            span.record_exception(error)
        span.set_status(trace.Status(trace.StatusCode.ERROR, "without voucher"))
        span.update_name("price a basket")

    handle = price()
    run_all(queue, handle.id, kind=kind)
    span = closing(queue, handle.id)["span"]
    exception = span["events"].pop()
    assert span == {
        "name": "price a basket",
        "attributes": {"shop.items": 3, "shop.name": "näh", "shop.prices": [1.5, 2.0]},
        "events": [{"name": "priced", "at": "17", "attributes": {"step": 1}}],
        "status": "ERROR",
        "description": "without voucher",
        "links": [{"trace_id": f"{1:032x}", "span_id": f"{2:016x}"}],
    }
    assert exception["name"] == "exception"
    assert exception["attributes"]["exception.type"] == "ValueError"
    assert "no such voucher" in exception["attributes"]["exception.stacktrace"]


@pytest.mark.parametrize("ending", ["fails", "retries", "asks"])
def test_a_run_that_fails_or_is_retried_tells_its_span_once(queue: RedisQueue, ending: str) -> None:
    @queue.task(retries=0 if ending == "fails" else 1)
    def work() -> None:
        task = current_task()
        assert task is not None
        trace.get_current_span().set_attribute("remaining", task.retries)
        if ending == "asks" and task.id not in asked:
            asked.add(task.id)
            raise RetryTask
        if ending != "asks":
            raise ValueError

    asked: set[str] = set()
    handle = work()
    run_all(queue, handle.id)
    carriers = [event for event in told(queue, id=handle.id) if "span" in event]
    assert [event["run"] for event in carriers] == ([1] if ending == "fails" else [1, 2])
    assert all("outcome" in event for event in carriers)


def test_a_span_that_outlives_its_run_changes_nothing(queue: RedisQueue) -> None:
    kept: list[trace.Span] = []
    keep = queue.task(name="keep")(lambda: kept.append(trace.get_current_span()))
    handle = keep()
    run_all(queue, handle.id)
    kept[0].set_attribute("late", True)
    assert not kept[0].is_recording()
    assert "span" not in closing(queue, handle.id)


def test_logs_of_a_run_can_name_its_span(queue: RedisQueue, caplog: pytest.LogCaptureFixture) -> None:
    """What OpenTelemetry's logging instrumentation does: its record factory asks for the current span."""
    from opentelemetry.instrumentation.logging import LoggingInstrumentor

    LoggingInstrumentor().instrument(inject_trace_context=True, enable_log_auto_instrumentation=False)
    try:
        say = queue.task(name="say")(lambda: logging.getLogger("shop").warning("said"))
        handle = say()
        run_all(queue, handle.id)
    finally:
        LoggingInstrumentor().uninstrument()
    (record,) = (record for record in caplog.records if record.name == "shop")
    event = closing(queue, handle.id)
    assert (record.otelTraceID, record.otelSpanID) == (event["trace_id"], event["span_id"])  # type: ignore[attr-defined]


def test_code_can_ask_which_task_it_is(queue: RedisQueue, kind: str) -> None:
    @queue.task(retries=2)
    async def who(name: str) -> tuple[str, tuple[Any, ...], int]:
        await asyncio.sleep(0)
        task = current_task()
        assert task is not None
        return task.id, task.args, task.retries

    handle = who("me")
    run_all(queue, handle.id, kind=kind)
    assert handle.get() == (handle.id, ("me",), 2)
    assert current_task() is None


# -- Lineage ---------------------------------------------------------------------------------------------
def test_a_task_of_nobody_begins_the_trace_of_its_own_id(queue: RedisQueue) -> None:
    handle = queue.task(name="work")(lambda: None)()
    run_all(queue, handle.id)
    root, run = enqueued(queue, handle.id), closing(queue, handle.id)
    assert place(root) == (handle.id.replace("-", ""), None)
    assert place(run) == (root["trace_id"], root["span_id"])


def test_a_task_is_in_the_trace_of_the_span_that_enqueues_it(queue: RedisQueue, tracer: trace.Tracer) -> None:
    work = queue.task(name="work")(lambda: None)
    with tracer.start_as_current_span("request") as request:
        handle = work()
    run_all(queue, handle.id)
    assert place(enqueued(queue, handle.id)) == ids(request)


def test_headers_join_a_trace_where_there_is_no_opentelemetry(queue: RedisQueue) -> None:
    work = queue.task(name="work")(lambda: None)
    with continue_trace({"Traceparent": f"00-{TRACE}-{SPAN}-00", "TraceState": "a=1"}):
        handle = work()
    run_all(queue, handle.id)
    assert place(enqueued(queue, handle.id)) == (TRACE, SPAN)
    event = closing(queue, handle.id)
    assert (event["trace_flags"], event["trace_state"]) == (0, "a=1")


def test_retries_are_siblings_and_what_a_task_enqueues_is_its_child(
    queue: RedisQueue, tracer: trace.Tracer, spans: InMemorySpanExporter
) -> None:
    later = queue.task(name="later")(lambda: None)

    @queue.task(retries=1)
    def work() -> None:
        if (task := current_task()) and task.retries:
            raise ValueError
        with tracer.start_as_current_span("inner"):
            later_ids.append(later().id)

    later_ids: list[str] = []
    handle = work()
    run_all(queue, handle.id)
    first, second = (event for event in told(queue, id=handle.id) if "outcome" in event)
    root = enqueued(queue, handle.id)
    assert place(first) == place(second) == (root["trace_id"], root["span_id"])
    assert second["links"] == [link(first)]
    (inner,) = spans.get_finished_spans()
    assert place(enqueued(queue, later_ids[0])) == ids(inner)
    assert inner.parent is not None
    assert f"{inner.parent.span_id:016x}" == second["span_id"]


def test_a_pipeline_is_one_trace_each_stage_a_child_of_the_one_before(queue: RedisQueue) -> None:
    one = queue.task(name="one")(lambda: 1)
    two = queue.task(name="two")(lambda given: given)
    handles = list(queue.enqueue(one.s().then(two).then(two)))
    run_all(queue, handles[-1].id)
    runs = [closing(queue, handle.id) for handle in handles]
    for before, after in zip(runs, handles[1:], strict=False):
        assert place(enqueued(queue, after.id)) == (before["trace_id"], before["span_id"])
    assert {run["trace_id"] for run in runs} == {handles[0].id.replace("-", "")}


def test_a_bulk_is_one_span_and_its_callback_is_beside_its_members(queue: RedisQueue) -> None:
    one = queue.task(name="one")(lambda: 1)
    gather = queue.task(name="gather")(lambda given: given)
    result = queue.enqueue(chord([one.s() for _ in range(3)], gather))
    run_all(queue, result.callback.id)
    first, *others = (enqueued(queue, handle.id) for handle in result.results)
    assert first["batch"] == 3
    assert all("span_id" not in other and "batch" not in other for other in others)
    bulk = (first["trace_id"], first["span_id"])
    assert {place(closing(queue, handle.id)) for handle in result.results} == {bulk}
    assert place(enqueued(queue, result.callback.id)) == bulk
    assert {(event["group_size"], event["group_id"]) for event in told(queue, task="one")} == {
        (3, first["group_id"])
    }


def test_beyond_the_fan_out_each_task_of_a_bulk_begins_a_trace_of_its_own(
    make_either_queue: MakeQueue,
) -> None:
    queue = make_either_queue("traced", tracing=Tracing(fanout=2))
    one = queue.task(name="one")(lambda: 1)
    handles = list(queue.enqueue(group([one.s() for _ in range(4)])))
    run_all(queue, *(handle.id for handle in handles))
    bulk = enqueued(queue, handles[0].id)
    runs = [closing(queue, handle.id) for handle in handles]
    assert [run["trace_id"] == bulk["trace_id"] for run in runs] == [True, True, False, False]
    for run in runs[2:]:
        assert place(run) == (run["id"].replace("-", ""), None)
        assert run["origin"] == link(bulk)


@pytest.mark.parametrize("bulk", [False, True])
def test_beyond_the_fan_out_of_a_run_what_it_enqueues_is_linked(
    make_either_queue: MakeQueue, bulk: bool
) -> None:
    queue = make_either_queue("traced", tracing=Tracing(fanout=3))
    one = queue.task(name="one")(lambda: 1)

    @queue.task()
    def split() -> list[str]:
        if bulk:
            return [handle.id for handle in queue.enqueue_many([one.s() for _ in range(5)])]
        return [one().id for _ in range(5)]

    handle = split()
    run_all(queue, handle.id)
    children = handle.get()
    run_all(queue, *children)
    run = closing(queue, handle.id)
    traces = [closing(queue, child)["trace_id"] for child in children]
    assert [one == run["trace_id"] for one in traces] == [True, True, True, False, False]
    assert len(set(traces)) == 3
    if not bulk:
        assert [enqueued(queue, child).get("links") for child in children[3:]] == [[link(run)]] * 2


def test_in_link_mode_a_run_begins_a_trace_and_links_to_where_it_was_enqueued(
    make_either_queue: MakeQueue, tracer: trace.Tracer
) -> None:
    queue = make_either_queue("traced", tracing=Tracing(mode="link"))
    fail = queue.task(name="fail", retries=1)(lambda: 1 / 0)
    child = queue.task(name="child", trace_mode="parent")(lambda: None)
    with tracer.start_as_current_span("request") as request:
        linked, plain = fail(), child()
    run_all(queue, linked.id, plain.id)
    span = enqueued(queue, linked.id)
    assert place(span) == ids(request)
    first, second = (event for event in told(queue, id=linked.id) if "outcome" in event)
    for run in (first, second):
        assert place(run) == (linked.id.replace("-", ""), None)
        assert run["origin"] == link(span)
    assert second["links"] == [link(first)]
    assert closing(queue, plain.id)["trace_id"] == ids(request)[0], "a task may say otherwise"


def test_in_link_mode_a_run_has_the_trace_of_its_tasks_id_though_nobody_else_began_one(
    make_either_queue: MakeQueue,
) -> None:
    queue = make_either_queue("traced", tracing=Tracing(mode="link"))
    handle = queue.task(name="work")(lambda: None)()
    run_all(queue, handle.id)
    assert place(closing(queue, handle.id)) == (handle.id.replace("-", ""), None)
    assert enqueued(queue, handle.id)["trace_id"] != handle.id.replace("-", "")


def test_a_stage_in_link_mode_links_to_the_stage_before(make_either_queue: MakeQueue) -> None:
    queue = make_either_queue("traced", tracing=Tracing(mode="link"))
    one = queue.task(name="one")(lambda: 1)
    two = queue.task(name="two")(lambda given: given)
    first, second = queue.enqueue(one.s().then(two))
    run_all(queue, second.id)
    span, run = enqueued(queue, second.id), closing(queue, second.id)
    assert span["links"] == [link(closing(queue, first.id))]
    assert run["origin"] == link(span)
    assert place(run) == (second.id.replace("-", ""), None)


def test_a_late_start_begins_a_new_trace_with_a_link(make_either_queue: MakeQueue) -> None:
    queue = make_either_queue("traced", tracing=Tracing(link_after=0.2))
    one = queue.task(name="one")(lambda: 1)
    two = queue.task(name="two")(lambda given: given)
    first, second = queue.enqueue(one.s().then(two))
    time.sleep(0.3)  # it is to be old when it starts
    run_all(queue, second.id)
    root, run = enqueued(queue, first.id), closing(queue, first.id)
    assert run["trace_id"] != root["trace_id"]
    assert "parent_span_id" not in run
    assert run["links"] == [link(root)]
    assert run["trace_started_at"] == run["started_at"]
    assert place(enqueued(queue, second.id)) == (run["trace_id"], run["span_id"]), (
        "what follows it goes on there"
    )
    assert closing(queue, second.id)["trace_id"] == run["trace_id"], "and is not late itself"


# -- What travels along ----------------------------------------------------------------------------------
def test_only_allowed_baggage_travels_and_it_goes_on_with_what_a_task_enqueues(
    make_either_queue: MakeQueue,
) -> None:
    queue = make_either_queue("traced", tracing=Tracing(baggage=("tenant",)))
    child = queue.task(name="child")(lambda: dict(baggage.get_all()))

    @queue.task()
    def work() -> tuple[dict[str, object], str]:
        return dict(baggage.get_all()), child().id

    token = context.attach(
        baggage.set_baggage("tenant", "näh & co", baggage.set_baggage("password", "secret"))
    )
    handle = work()
    context.detach(token)
    run_all(queue, handle.id)
    mine, child_id = handle.get()
    run_all(queue, child_id)
    assert mine == queue.result(child_id) == {"tenant": "näh & co"}


def test_other_propagators_than_the_standard_ones_are_asked(
    queue: RedisQueue, tracer: trace.Tracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Vendor(TraceContextTextMapPropagator):
        """Carries a word of its own beside the trace."""

        def inject(self, carrier: Any, context: Any = None, setter: Any = None) -> None:
            carrier["x-vendor"] = f"{trace.get_current_span(context).get_span_context().trace_id:032x}"

        def extract(self, carrier: Any, context: Any = None, getter: Any = None) -> Any:
            seen.append(dict(carrier))
            vendor = trace.SpanContext(
                int(carrier["x-vendor"], 16), 5, is_remote=True, trace_flags=trace.TraceFlags(1)
            )
            return baggage.set_baggage(
                "vendor", "yes", trace.set_span_in_context(trace.NonRecordingSpan(vendor), context)
            )

        @property
        def fields(self) -> set[str]:
            return {"x-vendor"}

    seen: list[dict[str, str]] = []
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", propagate.get_global_textmap())
    propagate.set_global_textmap(Vendor())
    work = queue.task(name="work")(lambda: baggage.get_baggage("vendor"))
    with tracer.start_as_current_span("request") as request:
        handle = work()
    run_all(queue, handle.id)
    assert place(enqueued(queue, handle.id)) == (ids(request)[0], f"{5:016x}")
    assert handle.get() == "yes"
    assert seen[-1]["x-vendor"] == ids(request)[0]


def test_a_propagator_that_raises_stops_neither_producer_nor_worker(
    make_either_queue: MakeQueue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    queue = make_either_queue("traced", tracing=Tracing(baggage=("a",)))
    tracing._complain.cache_clear()

    class Broken(TraceContextTextMapPropagator):
        def inject(self, carrier: Any, context: Any = None, setter: Any = None) -> None:
            raise RuntimeError("cannot write")

        def extract(self, carrier: Any, context: Any = None, getter: Any = None) -> Any:
            raise RuntimeError("cannot read")

    work = queue.task(name="work")(lambda: ids(trace.get_current_span()))
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", Broken())
    with continue_trace({"traceparent": f"00-{TRACE}-{SPAN}-01", "baggage": "a=b"}):
        handle = work()
    run_all(queue, handle.id)
    assert handle.get() == (TRACE, closing(queue, handle.id)["span_id"])
    assert "cannot write" in caplog.text
    assert "cannot read" in caplog.text


def test_an_interrupted_run_tells_what_its_code_had_put_on_its_span(queue: RedisQueue) -> None:
    begun = threading.Event()

    @queue.task()
    def work() -> None:
        trace.get_current_span().set_attribute("step", 1)
        begun.set()
        time.sleep(1)

    handle = work()
    with consuming(queue, shutdown_timeout=0.1):
        begun.wait(10)
    assert closing(queue, handle.id)["outcome"] == "interrupted"
    assert closing(queue, handle.id)["span"] == {"attributes": {"step": 1}}


def test_a_caller_that_is_not_sampled_is_obeyed_all_the_way(queue: RedisQueue, tracer: trace.Tracer) -> None:
    child = queue.task(name="child")(lambda: None)

    @queue.task()
    def work() -> tuple[bool, str]:
        trace.get_current_span().set_attribute("seen", False)
        with tracer.start_as_current_span("inner") as inner:
            return inner.is_recording(), child().id

    unsampled = trace.SpanContext(
        int(TRACE, 16), int(SPAN, 16), is_remote=True, trace_flags=trace.TraceFlags(0)
    )
    with trace.use_span(trace.NonRecordingSpan(unsampled)):
        handle = work()
    run_all(queue, handle.id)
    recording, child_id = handle.get()
    run_all(queue, child_id)
    assert not recording, "the application's own spans are not sampled either"
    assert "span" not in closing(queue, handle.id)
    assert {(event["trace_id"], event["trace_flags"]) for event in told(queue) if "trace_id" in event} == {
        (TRACE, 0)
    }


def test_a_root_is_sampled_by_its_own_id(queue: RedisQueue) -> None:
    queue.sampler = RootSampler(0.5)
    work = queue.task(name="work")(lambda: None)
    handles = [work() for _ in range(60)]
    flags = {handle.id: enqueued(queue, handle.id)["trace_flags"] for handle in handles}
    assert set(flags.values()) == {0, 1}
    assert all(flag == RootSampler(0.5).flags(one.replace("-", "")) for one, flag in flags.items())


def test_without_tracing_opentelemetry_is_left_alone(
    make_either_queue: MakeQueue, tracer: trace.Tracer
) -> None:
    queue = make_either_queue("traced", tracing=None)
    work = queue.task(name="work")(lambda: ids(trace.get_current_span()))
    with tracer.start_as_current_span("request"):
        handle = work()
    run_all(queue, handle.id)
    assert handle.get() == ("0" * 32, "0" * 16)
    event = closing(queue, handle.id)
    assert (event["trace_id"], event["trace_flags"]) == (handle.id.replace("-", ""), 0)


def test_everything_works_where_opentelemetry_is_not_installed() -> None:
    code = """
import sys
sys.modules["opentelemetry"] = None
from limelight import MemoryQueue, current_task
queue = MemoryQueue("plain")
child = queue.task(name="child")(lambda: None)
work = queue.task(name="work")(lambda: child().id)
handle = work()
queue.drain()
from limelight.tracecontext import trace_id_of
entries = queue.storage.address.client().xrange(queue.keys["events"])
assert all(trace_id_of(handle.id).encode() in b"".join(fields.values()) for _, fields in entries), entries
assert len(entries) == 6
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


# -- Settings --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"mode": "child"}, "mode"),
        ({"fanout": -1}, "fanout"),
        ({"baggage": "tenant"}, "baggage"),
        ({"link_after": "1h"}, "seconds"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        Tracing(**settings)


def test_declarations_that_cannot_be_used_are_refused() -> None:
    queue = MemoryQueue("refusing")
    with pytest.raises(ConfigurationError, match=r"'order'.*'order_id'"):
        queue.task(trace_arguments=("order",))(lambda order_id: None)
    with pytest.raises(ConfigurationError, match="several names"):
        queue.task(trace_arguments="order_id")(lambda order_id: None)
    with pytest.raises(ConfigurationError, match="trace_mode"):
        queue.task(trace_mode="child")(lambda: None)


def test_delivery_is_as_exact_as_ever(queue: RedisQueue) -> None:
    work = queue.task(name="work", retries=1)(lambda: 1 / 0)
    handles = [work() for _ in range(20)]
    run_all(queue, *(handle.id for handle in handles))
    is_accounted_for(queue)
