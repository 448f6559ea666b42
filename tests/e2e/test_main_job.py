"""The main job: real workers, a real Redis, the real exporter, a real Prometheus and real OTLP.

What Prometheus answers and what the collector holds must equal what was run, kept by this test.
"""

import itertools
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from exporters import ExporterProcess
from otlp import OtlpReceiver, ReceivedSpan
from processes import Limelight
from running import has_ended, is_accounted_for, told
from servers import Prometheus, wait_until
from starters import StartPrometheus

from limelight import RedisQueue, Result, Task
from limelight.task import TaskOptions

COUNTS = {"quick": 40, "flaky": 12, "hopeless": 5, "again": 4, "stop": 3, "unstorable": 2, "parent": 6}


@pytest.fixture
def queue(any_redis_url: str) -> RedisQueue:
    return RedisQueue("orders", url=any_redis_url, service_name="web")


def call(name: str, *args: Any, retries: int = 0, retry_delay: float = 0) -> Task:
    return Task(options=TaskOptions(name=name, retries=retries, retry_delay=retry_delay), args=args)


def run_everything(queue: RedisQueue, url: str, truth: Path) -> dict[str, list[Result[Any]]]:
    """Enqueue the tasks, have two consumers run them, one of which is killed; returns all handles."""
    env = {"LIMELIGHT_REDIS_URL": url, "TRUTH_FILE": str(truth)}
    handles: dict[str, list[Result[Any]]] = {name: [] for name in (*COUNTS, "crash", "nowhere")}
    handles["crash"].append(queue.enqueue(call("crash")))
    command = ("consumer", "order_app:queue", "-w", "4", "--lease", "1")
    with Limelight(*command, env=env) as doomed:
        wait_until(lambda: doomed.process.poll() is not None, 20, "the consumer that its task kills")
    for name, count in COUNTS.items():
        for number in range(count):
            args = [f"{name}{number}"] if name in {"flaky", "again"} else [number]
            args = [] if name in {"hopeless", "stop", "unstorable"} else args
            retries = {"flaky": 2, "hopeless": 1}.get(name, 0)
            handles[name].append(queue.enqueue(call(name, *args, retries=retries)))
    handles["nowhere"].append(queue.enqueue(call("nowhere")))
    revoked = call("quick", 1)
    queue.enqueue(revoked)
    assert queue.revoke_by_id(revoked.id) == 1
    with Limelight(*command, env=env) as consumer:
        for handle in (handle for group in handles.values() for handle in group):
            wait_until(lambda task_id=handle.id: has_ended(queue, task_id), 60)
        children = [handle.get() for handle in handles["parent"]]
        for task_id in (*children, revoked.id):
            wait_until(lambda task_id=task_id: has_ended(queue, task_id), 20)
        code, output = consumer.stop()
        assert code == 0, output
    is_accounted_for(queue)
    return handles


def test_prometheus_counts_exactly_what_was_run(
    queue: RedisQueue,
    any_redis_url: str,
    prometheus: StartPrometheus,
    otlp_receiver: OtlpReceiver,
    tmp_path: Path,
) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": otlp_receiver.http_endpoint}
    with ExporterProcess(any_redis_url, tmp_path / "exporter.log", environment=env) as exporter:
        server = prometheus(exporter.url.removeprefix("http://"))
        handles = run_everything(queue, any_redis_url, tmp_path / "truth")
        last_seq = told(queue)[-1]["seq"]
        wait_until(
            lambda: server.value("sum(limelight_events_total)") == last_seq,
            20,
            "Prometheus has scraped it all",
        )
        starts = told(queue, task="flaky", status="started")
        counts_are_exact(server, flaky_starts=len(starts))
        assert server.value("limelight_redis_up") == 1
        assert server.value("limelight_queue_index_mismatch_tasks") == 0
        assert server.value('sum(limelight_queue_tasks{state!="dead"})') == 0
        assert server.value('limelight_queue_tasks{state="dead"}') == COUNTS["hopeless"] + 1
        runs = [event for event in told(queue) if "outcome" in event]
        wait_until(lambda: len(of_kind(otlp_receiver.spans, "process")) >= len(runs), 20, "all spans")
    spans_are_right(queue, otlp_receiver.spans, handles)


def counts_are_exact(server: Prometheus, flaky_starts: int) -> None:
    """Each counter and histogram against what was run.

    A worker that is held up hands back what it has started and not begun: so there may be more starts than runs.
    """
    assert flaky_starts >= 2 * COUNTS["flaky"]
    totals = {
        (sample["metric"]["task"], sample["metric"]["outcome"]): float(sample["value"][1])
        for sample in server.query("limelight_tasks_completed_total > 0")
    }
    assert {key: value for key, value in totals.items() if key[0] != "tick"} == {
        ("quick", "success"): COUNTS["quick"] + COUNTS["parent"],
        ("quick", "revoked"): 1,
        ("flaky", "success"): COUNTS["flaky"],
        ("hopeless", "dead"): COUNTS["hopeless"],
        ("again", "success"): COUNTS["again"],
        ("stop", "canceled"): COUNTS["stop"],
        ("unstorable", "result_error"): COUNTS["unstorable"],
        ("parent", "success"): COUNTS["parent"],
        ("crash", "success"): 1,
        ("_unknown", "dead"): 1,
    }
    expected = {
        'limelight_task_attempts_total{task="flaky",outcome="error"}': COUNTS["flaky"],
        'limelight_task_attempts_total{task="again",outcome="retry"}': COUNTS["again"],
        'limelight_task_attempts_total{task="crash",outcome="lost"}': 1,
        'limelight_task_errors_total{task="flaky"}': COUNTS["flaky"],
        'limelight_task_errors_total{error_type="ValueError"}': 2 * COUNTS["hopeless"],
        'limelight_task_errors_total{error_type="limelight.worker_lost"}': 1,
        'limelight_task_retries_total{task="hopeless"}': COUNTS["hopeless"],
        'limelight_task_redeliveries_total{task="crash"}': 1,
        'limelight_task_duration_seconds_count{task="flaky",result="failed"}': COUNTS["flaky"],
        'limelight_task_duration_seconds_count{task="flaky",result="ok"}': COUNTS["flaky"],
        'limelight_task_wait_seconds_count{task="flaky"}': flaky_starts,
        'limelight_task_latency_seconds_count{task="hopeless"}': COUNTS["hopeless"],
        'limelight_consumer_errors_total{event="error-internal"}': 1,
        'limelight_consumer_errors_total{event="error-storing-result"}': COUNTS["unstorable"],
    }
    assert {query: server.value(query) for query in expected} == expected
    balance = (
        "sum(limelight_tasks_enqueued_total) - sum(limelight_tasks_completed_total)"
        ' - sum(limelight_queue_tasks{state!="dead"})'
    )
    assert server.value(balance) == 0
    phases = server.value('sum(limelight_task_time_seconds_total{task!="tick"})')
    assert phases == pytest.approx(
        server.value('sum(limelight_task_latency_seconds_sum{task!="tick"})'), abs=1e-6
    )
    backing_off = server.value('limelight_task_time_seconds_total{task="flaky",phase="backing_off"}')
    assert backing_off == pytest.approx(0)


def of_kind(spans: list[ReceivedSpan], kind: str) -> list[ReceivedSpan]:
    return [span for span in spans if span.name.startswith(f"{kind} ")]


def spans_are_right(
    queue: RedisQueue, received: list[ReceivedSpan], handles: dict[str, list[Result[Any]]]
) -> None:
    """Each closed run has one span with the ids, the parent, the times and the status that its event has."""
    spans = {(span.trace_id, span.span_id): span for span in received}
    runs = [event for event in told(queue) if "outcome" in event]
    assert len(of_kind(received, "process")) == len(runs)
    for event in runs:
        span = spans[event["trace_id"], event["span_id"]]
        assert span.name == f"process {event['task']}"
        assert span.parent_id == event["parent_span_id"]
        assert spans[event["trace_id"], event["parent_span_id"]].name == f"enqueue {event['task']}"
        if event["outcome"] != "lost":
            assert (span.start_ns, span.end_ns) == (int(event["span_start"]), int(event["span_end"]))
        failed = event["outcome"] in {"error", "lost", "result_error"}
        assert ("ERROR" in str(span.status).upper()) == failed, (event["status"], span.status)
        assert span.attributes.get("error.type") == (event["error_type"] if failed else None)
        assert span.resource["service.name"] == "shop"
    for handle in handles["quick"]:
        assert (UUID(handle.id).hex, None) in {(span.trace_id, span.parent_id or None) for span in received}
    (lost,) = [span for span in received if span.attributes.get("error.type") == "limelight.worker_lost"]
    assert lost.start_ns <= lost.end_ns
    for handle in handles["parent"]:
        (child,) = told(queue, id=handle.get(), status="enqueued")
        (run,) = told(queue, id=handle.id, outcome="success")
        assert spans[child["trace_id"], child["span_id"]].parent_id == run["span_id"]
        assert child["trace_id"] == UUID(handle.id).hex
    for handle in handles["flaky"]:
        its = [event for event in runs if event["id"] == handle.id]
        assert [event["outcome"] for event in its if event["outcome"] != "interrupted"] == [
            "error",
            "success",
        ]
        for before, after in itertools.pairwise(its):
            links = spans[after["trace_id"], after["span_id"]].links
            assert [link.span_id for link in links] == [before["span_id"]]


def test_the_same_spans_arrive_by_grpc(
    queue: RedisQueue, any_redis_url: str, otlp_receiver: OtlpReceiver, tmp_path: Path
) -> None:
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_receiver.grpc_endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }
    with ExporterProcess(any_redis_url, tmp_path / "exporter.log", environment=env):
        handles = run_everything(queue, any_redis_url, tmp_path / "truth")
        runs = [event for event in told(queue) if "outcome" in event]
        wait_until(lambda: len(of_kind(otlp_receiver.spans, "process")) >= len(runs), 30, "all spans")
    assert set(otlp_receiver.requests) == {"grpc"}
    spans_are_right(queue, otlp_receiver.spans, handles)
