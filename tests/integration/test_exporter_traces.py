from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from exporters import OPENMETRICS, ExporterProcess, Scraped, get
from otlp import Answer, OtlpReceiver
from servers import wait_until
from stream_writer import TRACE_ID, StreamWriter, run_span
from traced import PROTOCOLS, dropped, exporter, failures, forget_variables, saved_seq, tell_runs

from limelight_exporter.config import Settings
from limelight_exporter.exporter import Exporter
from limelight_exporter.trace_keep import parsed

Endpoint = Callable[[OtlpReceiver], str]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_variables(monkeypatch)


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both protocols in turn."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", request.param)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    return str(request.param)


def test_a_closed_run_arrives_with_its_own_ids_times_status_and_service(
    redis_url: str, otlp_receiver: OtlpReceiver, protocol: str
) -> None:
    writer = StreamWriter(redis_url)
    failed = {"outcome": "error", "error": True, "error_type": "shop.Declined", "traceback": "Traceback…"}
    link = {"trace_id": "1" * 32, "span_id": "2" * 16}
    with exporter(redis_url, otlp_receiver, protocol) as running:
        writer.tell("error-task", **(run_span("00f067aa0ba902b7") | failed), task="send", links=[link])
        (span,) = otlp_receiver.wait_for_spans(1)
        wait_until(lambda: Scraped(running.url).value("limelight_exporter_spans_exported_total") == 1)
    assert (span.trace_id, span.span_id, span.parent_id) == (TRACE_ID, "00f067aa0ba902b7", "b7ad6b7169203331")
    assert (span.name, span.kind) == ("process send", "CONSUMER")
    assert (span.start_ns, span.end_ns) == (1700000000000000001, 1700000000020000002)
    assert (span.status, span.status_message) == ("ERROR", "shop.Declined")
    assert span.resource == {"service.name": "shop", "host.name": "web-1"}
    assert span.events[0].attributes["exception.stacktrace"] == "Traceback…"
    assert (span.links[0].trace_id, span.links[0].span_id) == ("1" * 32, "2" * 16)


def test_unsampled_runs_stay_at_home_and_are_counted(redis_url: str, otlp_receiver: OtlpReceiver) -> None:
    writer = StreamWriter(redis_url)
    with exporter(redis_url, otlp_receiver) as running:
        tell_runs(writer, 3, trace_flags=0)
        tell_runs(writer, 1, first=10, trace_flags=3)
        otlp_receiver.wait_for_spans(1)
        wait_until(lambda: dropped(running, "unsampled") == 3)
    assert [span.span_id for span in otlp_receiver.spans] == [f"{10:016x}"]


def test_what_matters_of_unsampled_traces_goes_out_as_a_root_and_is_pointed_at(
    redis_url: str, otlp_receiver: OtlpReceiver
) -> None:
    writer = StreamWriter(redis_url)
    failed = {"outcome": "error", "error": True, "error_type": "shop.Declined", "trace_flags": 0}
    with exporter(redis_url, otlp_receiver, trace_keep=parsed("errors")) as running:
        tell_runs(writer, 2, trace_flags=0)
        tell_runs(writer, 1, first=9, **failed)
        (span,) = otlp_receiver.wait_for_spans(1)
        wait_until(lambda: dropped(running, "unsampled") == 2)
        metrics = get(f"{running.url}/metrics", Accept=OPENMETRICS)[1].decode()
    assert (span.span_id, span.parent_id, span.status) == (f"{9:016x}", "", "ERROR")
    assert span.attributes["limelight.sampled_by"] == "errors"
    assert [link.span_id for link in span.links] == ["b7ad6b7169203331"]
    assert set(re.findall(r'span_id="(\w+)"', metrics)) == {f"{9:016x}"}


def test_nothing_is_sent_twice_after_a_clean_stop(redis_url: str, otlp_receiver: OtlpReceiver) -> None:
    writer = StreamWriter(redis_url)
    tell_runs(writer, 600)
    with exporter(redis_url, otlp_receiver):
        otlp_receiver.wait_for_spans(600)
    with exporter(redis_url, otlp_receiver):
        tell_runs(writer, 1, first=601)
        otlp_receiver.wait_for_spans(601)
    assert sorted(span.span_id for span in otlp_receiver.spans) == [
        f"{number:016x}" for number in range(1, 602)
    ]


def test_the_cursor_moves_only_after_the_collector_said_yes(
    redis_url: str, otlp_receiver: OtlpReceiver, protocol: str
) -> None:
    writer = StreamWriter(redis_url)
    otlp_receiver.answer(Answer(status=503))
    with exporter(redis_url, otlp_receiver, protocol) as running:
        tell_runs(writer, 20)
        wait_until(lambda: failures(running, "UNAVAILABLE" if protocol == "grpc" else "503") >= 1)
        assert saved_seq(writer) == 0
        assert Scraped(running.url).value("limelight_exporter_queue_current", queue="mail") == 1
    assert saved_seq(writer) == 0, "stopping is no success either"
    otlp_receiver.answer(Answer())
    with exporter(redis_url, otlp_receiver, protocol):
        assert len(otlp_receiver.wait_for_spans(20)) == 20
        wait_until(lambda: saved_seq(writer) == 20)


def test_trimming_waits_for_spans_that_were_never_taken(redis_url: str, otlp_receiver: OtlpReceiver) -> None:
    writer = StreamWriter(redis_url)
    tell_runs(writer, 3)
    writer.client.xtrim(writer.keys["events"], maxlen=2, approximate=False)
    otlp_receiver.answer(Answer(status=503))
    with exporter(redis_url, otlp_receiver) as running:
        wait_until(lambda: failures(running, "503") >= 1)
        cursor: Any = writer.client.hget(writer.keys.cursors, "traces:default")
        assert cursor.split()[:2] == [b"0-0", b"1"], "before the first event that is there"
        assert cursor.split()[6] == b"0-0", "nothing may be trimmed on its behalf"
        otlp_receiver.answer(Answer())
        otlp_receiver.wait_for_spans(2)
        assert dropped(running, "trimmed") == 0


def test_kill_9_between_send_and_cursor_repeats_identical_bytes(
    redis_url: str, otlp_receiver: OtlpReceiver, tmp_path: Path
) -> None:
    writer = StreamWriter(redis_url)
    tell_runs(writer, 50, task="send")
    writer.tell("dead", **run_span("00f067aa0ba902b7"), task="send", end="dead")
    options = ("--otlp-endpoint", otlp_receiver.http_endpoint)
    otlp_receiver.answer_next(Answer(delay_seconds=8))  # it has the spans, and the exporter does not know
    with ExporterProcess(redis_url, tmp_path / "log", *options):
        otlp_receiver.wait_for_spans(51, 20)
    assert saved_seq(writer) == 0
    writer.client.hdel(writer.keys["meta"], "leader:traces:default")  # or the next would wait for it
    with ExporterProcess(redis_url, tmp_path / "log", *options):
        otlp_receiver.wait_for_spans(102, 20)
        wait_until(lambda: saved_seq(writer) == 51)
    assert otlp_receiver.spans[:51] == otlp_receiver.spans[51:]
    first, second = otlp_receiver.bodies
    assert first == second


def test_events_trimmed_before_they_were_read_are_counted_as_dropped(
    redis_url: str, otlp_receiver: OtlpReceiver
) -> None:
    writer = StreamWriter(redis_url)
    tell_runs(writer, 5)
    with exporter(redis_url, otlp_receiver):
        otlp_receiver.wait_for_spans(5)
    tell_runs(writer, 10, first=6)
    writer.client.xtrim(writer.keys["events"], maxlen=3, approximate=False)
    with exporter(redis_url, otlp_receiver) as running:
        otlp_receiver.wait_for_spans(8)
        wait_until(lambda: dropped(running, "trimmed") == 7)


@pytest.mark.parametrize(("name", "value"), [("OTEL_TRACES_EXPORTER", "none"), ("OTEL_SDK_DISABLED", "true")])
def test_the_standard_variables_turn_traces_off(
    redis_url: str, otlp_receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    tell_runs(StreamWriter(redis_url), 1)
    with exporter(redis_url, otlp_receiver, page=False) as running:
        wait_until(lambda: get(f"{running.url}/-/ready")[0] == 200)
        assert b"no OTLP endpoint" in get(running.url)[1]
    assert not otlp_receiver.requests


def test_the_standard_variables_turn_traces_on(
    redis_url: str, otlp_receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp_receiver.http_endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=shop")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=the-exporter,k8s.pod=exporter-1")
    tell_runs(StreamWriter(redis_url), 1)
    with Exporter(Settings(redis_url=redis_url, port=0)):
        (span,) = otlp_receiver.wait_for_spans(1)
    assert otlp_receiver.headers[0]["x-tenant"] == "shop"
    assert span.resource == {"service.name": "shop", "host.name": "web-1"}
