"""Collectors of others take what we send, and show it; skipped where they are not installed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from collectors import Jaeger, Rotel
from otlp import OtlpReceiver
from servers import wait_until
from stream_writer import StreamWriter
from traced import PROTOCOLS, dropped, forget_variables, tell_runs

from limelight import RedisQueue
from limelight.consumer import Consumer
from limelight_exporter.config import Settings
from limelight_exporter.exporter import Exporter

EITHER = pytest.mark.parametrize("protocol", PROTOCOLS)


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_variables(monkeypatch)


@pytest.fixture(scope="module")
def jaeger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    with Jaeger(tmp_path_factory.mktemp("jaeger")) as running:
        yield running


def exporter_to(collector: Jaeger | Rotel, redis_url: str, protocol: str) -> Exporter:
    endpoint = collector.grpc_endpoint if protocol == "grpc" else collector.http_endpoint
    return Exporter(Settings(redis_url=redis_url, port=0, otlp_endpoint=endpoint))


def run_an_order(redis_url: str) -> str:
    """A task that fails at first, and then enqueues another; returns the id of their trace."""
    queue = RedisQueue("shop", url=redis_url)
    attempts: list[int] = []

    @queue.task()
    def ship(order: int) -> None:
        time.sleep(0.001)

    @queue.task(retries=1)
    def charge(order: int) -> None:
        attempts.append(order)
        if len(attempts) == 1:
            raise ConnectionError("the bank is away")
        ship(order)

    task_id = charge(7).id
    consumer = Consumer(queue, workers=1)
    consumer.start()
    storage = queue.storage.address.client()
    wait_until(lambda: not storage.hlen(queue.keys["tasks"]), 10, "all tasks done")
    consumer.stop()
    return str(task_id).replace("-", "")


@EITHER
def test_jaeger_shows_one_trace_per_order_with_the_right_parents(
    jaeger: Jaeger, redis_url: str, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    with exporter_to(jaeger, redis_url, protocol):
        trace_id = run_an_order(redis_url)
        wait_until(lambda: len(jaeger.spans(trace_id)) >= 5, 15, "five spans in Jaeger")
    spans = jaeger.spans(trace_id)
    by_id = {span["spanId"]: span for span in spans}

    def parent(span: dict[str, Any]) -> str | None:
        return by_id[span["parentSpanId"]]["name"] if span.get("parentSpanId") else None

    assert len(spans) == 5, "no span is there twice"
    first, second = sorted(
        (span for span in spans if span["name"] == "process charge"),
        key=lambda one: int(one["startTimeUnixNano"]),
    )
    (ship,) = (span for span in spans if span["name"] == "enqueue ship")
    assert {span["service"] for span in spans} == {"shop"}
    assert parent(first) == parent(second) == "enqueue charge"
    assert by_id[ship["parentSpanId"]] is second
    assert parent(next(span for span in spans if span["name"] == "process ship")) == "enqueue ship"
    assert first["status"]["message"] == "ConnectionError"
    assert [link["spanId"] for link in second["links"]] == [first["spanId"]]


def test_jaeger_finds_tasks_by_service_and_name(jaeger: Jaeger, redis_url: str) -> None:
    with exporter_to(jaeger, redis_url, "http/protobuf"):
        trace_id = run_an_order(redis_url)
        wait_until(lambda: len(jaeger.spans(trace_id)) >= 5, 15, "five spans in Jaeger")
    assert "shop" in jaeger.ask("/services")["services"]
    asked = {"service_name": "shop", "operation_name": "process charge"} | {
        f"start_time_{name}": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
        for name, seconds in (("min", -3_600), ("max", 60))
    }
    assert trace_id in json.dumps(jaeger.search(**asked))
    assert not jaeger.search(**asked | {"operation_name": "process nothing"})


@EITHER
def test_rotel_takes_spans_and_passes_them_on(
    redis_url: str,
    otlp_receiver: OtlpReceiver,
    tmp_path: Path,
    protocol: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    with (
        Rotel(tmp_path, otlp_receiver.http_endpoint) as rotel,
        exporter_to(rotel, redis_url, protocol) as running,
    ):
        tell_runs(StreamWriter(redis_url), 600)
        wait_until(lambda: len({span.span_id for span in otlp_receiver.spans}) == 600, 20, "600 spans")
        assert dropped(running, "poison") == dropped(running, "rejected") == 0
    assert {span.resource["service.name"] for span in otlp_receiver.spans} == {"shop"}
