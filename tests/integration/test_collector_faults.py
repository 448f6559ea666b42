"""Whatever a collector does: what arrives, what is counted, and that nothing else waits for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from exporters import Scraped
from otlp import Answer, OtlpReceiver
from servers import wait_until
from stream_writer import StreamWriter
from traced import PROTOCOLS, dropped, exported, exporter, failures, forget_variables, saved_seq, tell_runs

from limelight_exporter.exporter import Exporter

RUNS = 40


@dataclass
class Site:
    """A queue, its exporter and the collector."""

    writer: StreamWriter
    running: Exporter
    receiver: OtlpReceiver
    protocol: str

    def code(self, status: str, of_grpc: str) -> str:
        """How a failure is counted."""
        return of_grpc if self.protocol == "grpc" else status

    def fails(self, status: str, of_grpc: str, times: int = 1) -> None:
        """Wait until exports have failed with a code; metrics never wait for that."""
        code = self.code(status, of_grpc)
        wait_until(lambda: failures(self.running, code) >= times, 15, f"{times} failures {code}")
        assert Scraped(self.running.url).value("limelight_exporter_queue_current", queue="mail") == 1

    def arrives(self, count: int = RUNS) -> None:
        """Wait until so many different spans arrived, and the cursor stands behind them."""
        wait_until(lambda: len(self.ids) == count, 15, f"{count} spans")
        wait_until(lambda: saved_seq(self.writer) >= count, 15, "the cursor")

    @property
    def ids(self) -> Counter[str]:
        """Span id → how often it arrived."""
        return Counter(span.span_id for span in self.receiver.spans)


@pytest.fixture(params=PROTOCOLS)
def site(
    request: pytest.FixtureRequest,
    redis_url: str,
    otlp_receiver: OtlpReceiver,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Site]:
    """Everything runs and nothing was told yet, over both protocols in turn; a request may take half a second."""
    forget_variables(monkeypatch)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", request.param)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")
    writer = StreamWriter(redis_url)
    with exporter(redis_url, otlp_receiver, request.param) as running:
        yield Site(writer, running, otlp_receiver, request.param)


def test_a_collector_that_is_down_gets_everything_when_it_returns(site: Site) -> None:
    site.receiver.stop()
    tell_runs(site.writer, RUNS)
    site.fails("unreachable", "UNAVAILABLE", times=2)
    assert saved_seq(site.writer) == 0
    site.receiver.start()
    site.arrives()
    assert set(site.ids.values()) == {1}


def test_a_slow_collector_gets_it_again_in_the_same_bytes(site: Site) -> None:
    site.receiver.answer_next(Answer(delay_seconds=0.8))
    tell_runs(site.writer, RUNS)
    site.fails("timeout", "DEADLINE_EXCEEDED")
    site.arrives()
    wait_until(lambda: set(site.ids.values()) == {2}, 10, "all of it twice")
    first, second = site.receiver.spans[:RUNS], site.receiver.spans[RUNS:]
    assert first == second


@pytest.mark.parametrize("status", [429, 503])
def test_a_collector_that_throttles_is_left_alone_as_long_as_it_asks(site: Site, status: int) -> None:
    site.receiver.answer_next(Answer(status=status, retry_after=1))
    tell_runs(site.writer, RUNS)
    site.fails(str(status), "RESOURCE_EXHAUSTED" if status == 429 else "UNAVAILABLE")
    site.arrives()
    refused, taken = site.receiver.times[:2]
    assert taken - refused >= 1.0
    assert set(site.ids.values()) == {1}


def test_a_collector_that_was_broken_gets_everything_when_it_is_mended(site: Site) -> None:
    site.receiver.answer(Answer(status=500))
    tell_runs(site.writer, RUNS)
    site.fails("500", "INTERNAL", times=12)
    assert dropped(site.running, "poison") == 0, "it takes nothing at all, so no span is at fault"
    site.receiver.answer(Answer())
    site.arrives()


@pytest.mark.parametrize("status", [400, 500])
def test_one_span_that_no_collector_takes_does_not_hold_up_the_others(site: Site, status: int) -> None:
    site.receiver.dislike("process evil", Answer(status=status))
    tell_runs(site.writer, 10)
    tell_runs(site.writer, 1, first=11, task="evil")
    tell_runs(site.writer, RUNS - 10, first=12)
    site.arrives(RUNS)
    wait_until(lambda: dropped(site.running, "poison") == 1, 10, "one poisoned span")
    assert site.ids[f"{11:016x}"] == 0


def test_a_poisoned_span_alone_is_dropped_and_a_collector_that_refuses_all_loses_nothing(site: Site) -> None:
    site.receiver.dislike("process evil", Answer(status=400))
    tell_runs(site.writer, 1, task="evil")
    wait_until(lambda: dropped(site.running, "poison") == 1, 10, "one poisoned span")
    site.receiver.answer(Answer(status=400))
    tell_runs(site.writer, RUNS, first=2)
    site.fails("400", "INVALID_ARGUMENT", times=20)
    assert dropped(site.running, "poison") == 1
    site.receiver.answer(Answer())
    site.arrives(RUNS)


def test_what_is_rejected_in_part_is_counted_and_not_repeated(site: Site) -> None:
    site.receiver.answer(Answer(rejected=2))
    tell_runs(site.writer, RUNS)
    wait_until(lambda: dropped(site.running, "rejected") == 2, 10, "two rejected spans")
    assert exported(site.running) == RUNS - 2
    assert len(site.receiver.spans) == RUNS - 2


@pytest.mark.parametrize("status", [401, 403, 404, 302])
def test_a_wrong_set_up_drops_nothing_and_no_redirect_is_followed(site: Site, status: int) -> None:
    elsewhere = f"{site.receiver.http_endpoint}/elsewhere"
    site.receiver.answer(Answer(status=status, location=elsewhere))
    tell_runs(site.writer, RUNS)
    codes = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "UNIMPLEMENTED", 302: "UNKNOWN"}
    site.fails(str(status), codes[status])
    site.receiver.answer(Answer())
    site.arrives()
    assert dropped(site.running, "poison") == 0


def test_batches_beyond_four_mebibytes_go_in_parts(site: Site) -> None:
    site.receiver.limit_size(4_194_304)
    failed = {"outcome": "error", "error": True, "error_type": "Big", "traceback": "x" * 32_000}
    tell_runs(site.writer, 300, **failed)
    site.arrives(300)
    assert len(site.receiver.requests) >= 3
    assert dropped(site.running, "poison") == 0
    assert failures(site.running, site.code("413", "RESOURCE_EXHAUSTED")) == 0, "their size was known before"


def test_a_collector_with_a_lower_limit_of_size_gets_smaller_parts(site: Site) -> None:
    if site.protocol == "grpc":
        site.receiver.dislike("process big", Answer(status=413, message="received message larger than max"))
        tell_runs(site.writer, 1, task="big")
        wait_until(lambda: dropped(site.running, "poison") == 1, 10, "one span too large")
        return
    site.receiver.limit_size(200_000)
    tell_runs(site.writer, RUNS, outcome="error", error=True, traceback="x" * 20_000)
    site.arrives()
    assert failures(site.running, "413") >= 1
    assert dropped(site.running, "poison") == 0
