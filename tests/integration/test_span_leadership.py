"""Of the exporters of a group one sends the spans of a queue; another takes over soon, and nothing is lost by it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import redis
from exporters import ExporterProcess
from otlp import Answer, OtlpReceiver
from servers import wait_until
from stream_writer import StreamWriter
from traced import exported, exporter, forget_variables, leads, saved_seq, tell_runs

from limelight.storage.address import Address
from limelight.storage.links import Links
from limelight_exporter.config import Settings
from limelight_exporter.exporter import Exporter
from limelight_exporter.leadership import LEASE_SECONDS, Lease, lease_field
from limelight_exporter.ops import SpanRecord
from limelight_exporter.ports import DELIVERED, Delivery
from limelight_exporter.retirement import retire
from limelight_exporter.tally import OwnTally
from limelight_exporter.trace_pipeline import QueueTraces


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_variables(monkeypatch)


@pytest.fixture
def links(redis_url: str) -> Links:
    return Links(Address(redis_url, {}))


class Clock:
    """Monotonic seconds, moved by hand."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class RememberedSpans:
    """Takes whatever it is given; `on_export` is called in between."""

    def __init__(self) -> None:
        self.spans: list[SpanRecord] = []
        self.on_export = lambda: None

    def export(self, spans: Sequence[SpanRecord]) -> Delivery:
        self.spans.extend(spans)
        self.on_export()
        return DELIVERED

    def close(self) -> None:
        """Nothing to give up."""


def test_of_two_exporters_one_sends(redis_url: str, otlp_receiver: OtlpReceiver) -> None:
    writer = StreamWriter(redis_url)
    with exporter(redis_url, otlp_receiver) as first, exporter(redis_url, otlp_receiver) as second:
        for batch in range(5):
            tell_runs(writer, 20, first=1 + 20 * batch)
            otlp_receiver.wait_for_spans(20 * (batch + 1))
        assert sorted([leads(first) or 0, leads(second) or 0]) == [0, 1]
        assert sorted([exported(first) or 0, exported(second) or 0]) == [0, 100]
    assert len({span.span_id for span in otlp_receiver.spans}) == len(otlp_receiver.spans) == 100


def test_after_a_clean_stop_another_leads_at_once(redis_url: str, otlp_receiver: OtlpReceiver) -> None:
    writer = StreamWriter(redis_url)
    first = exporter(redis_url, otlp_receiver)
    first.start()
    tell_runs(writer, 1)
    otlp_receiver.wait_for_spans(1)
    with exporter(redis_url, otlp_receiver) as second:
        wait_until(lambda: leads(second) == 0)
        first.stop()
        wait_until(lambda: leads(second) == 1, 3, "the second exporter leads")
        tell_runs(writer, 1, first=2)
        assert len(otlp_receiver.wait_for_spans(2)) == 2


@pytest.mark.slow
def test_after_kill_9_another_leads_within_ten_seconds(
    redis_url: str, otlp_receiver: OtlpReceiver, tmp_path: Path
) -> None:
    writer = StreamWriter(redis_url)
    tell_runs(writer, 5)
    options = ("--otlp-endpoint", otlp_receiver.http_endpoint)
    with ExporterProcess(redis_url, tmp_path / "log", *options) as killed:
        wait_until(lambda: saved_seq(writer) == 5, 20, "the first spans")
        with exporter(redis_url, otlp_receiver) as waiting:
            wait_until(lambda: leads(waiting) == 0)
            killed.kill()
            began = time.monotonic()
            tell_runs(writer, 5, first=6)
            otlp_receiver.wait_for_spans(10, 15)
            assert time.monotonic() - began < 10
    assert len({span.span_id for span in otlp_receiver.spans}) == len(otlp_receiver.spans) == 10


def test_a_slow_collector_costs_no_lease(
    redis_url: str, otlp_receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("LEASE_SECONDS", 0.8), ("RENEW_SECONDS", 0.2), ("ASK_SECONDS", 0.1)):
        monkeypatch.setattr(f"limelight_exporter.leadership.{name}", seconds)
    writer = StreamWriter(redis_url)
    with exporter(redis_url, otlp_receiver), exporter(redis_url, otlp_receiver):
        otlp_receiver.answer_next(Answer(delay_seconds=2.5))
        tell_runs(writer, 10)
        wait_until(lambda: saved_seq(writer) == 10, 10, "the cursor")
    assert len(otlp_receiver.spans) == 10


def test_who_comes_late_with_the_cursor_goes_on_behind_the_other(redis_url: str, links: Links) -> None:
    writer = StreamWriter(redis_url)
    tell_runs(writer, 3)
    paused, other = RememberedSpans(), RememberedSpans()
    by_paused = QueueTraces(links, "mail", "default", paused, OwnTally())
    by_other = QueueTraces(links, "mail", "default", other, OwnTally())

    def meanwhile() -> None:
        """What happens while the first is stopped between sending and saving."""
        paused.on_export = lambda: None
        tell_runs(writer, 3, first=4)
        by_other.step()

    paused.on_export = meanwhile
    by_paused.step()
    assert saved_seq(writer) == 6, "it never goes back"
    by_paused.step()
    tell_runs(writer, 1, first=7)
    by_paused.step()
    assert [span.span_id for span in paused.spans] == [f"{number:016x}" for number in (1, 2, 3, 7)]
    assert [span.span_id for span in other.spans] == [f"{number:016x}" for number in range(1, 7)]
    assert paused.spans[:3] == other.spans[:3], "what is sent twice is the same"


def test_a_lease_is_one_exporters_until_it_is_over_or_given_up(links: Links) -> None:
    clock = Clock()
    ours, theirs = (Lease(links, "mail", "default", holder, clock) for holder in ("us", "them"))
    ours.ask()
    theirs.ask()
    assert (ours.is_held, theirs.is_held) == (True, False)
    clock.now += LEASE_SECONDS
    assert not ours.is_held, "by our own clock it is over before Redis gives it to another"
    ours.ask()
    ours.give_up()
    theirs.ask()
    ours.give_up()
    assert (ours.is_held, theirs.is_held) == (False, True)
    ours.ask()
    assert not ours.is_held, "who has none can give none up"


def test_groups_lead_apart(links: Links) -> None:
    one, another = (Lease(links, "mail", group, "us") for group in ("one", "another"))
    one.ask()
    another.ask()
    assert one.is_held
    assert another.is_held


def test_a_lease_of_a_clock_that_went_back_is_over(redis_url: str, links: Links) -> None:
    writer = StreamWriter(redis_url)
    in_an_hour = int((time.time() + 3_600) * 1_000)
    writer.client.hset(writer.keys["meta"], lease_field("default"), f"{in_an_hour} somebody")
    lease = Lease(links, "mail", "default", "us")
    lease.ask()
    assert lease.is_held


def test_a_full_redis_takes_leases(redis_url: str, links: Links) -> None:
    lease = Lease(links, "mail", "default", "us")
    lease.ask()
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory", 1)
        try:
            lease.ask()
            assert lease.is_held
        finally:
            client.config_set("maxmemory", 0)


def aged(writer: StreamWriter, seconds: float) -> None:
    """Make a cursor look as if it was saved so long ago."""
    old = (int(time.time() - seconds) * 1_000, "first", "0-0", int(time.time() * 1_000), "0-0", 0)
    writer.client.hset(writer.keys.cursors, "traces:default", "0-0 1 " + " ".join(map(str, old)))


def test_a_group_that_sends_no_spans_any_more_holds_no_stream_back(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    writer = StreamWriter(redis_url)
    tell_runs(writer, 3)
    aged(writer, 300)
    with Exporter(Settings(redis_url=redis_url, port=0)):
        wait_until(
            lambda: not writer.client.hexists(writer.keys.cursors, "traces:default"), 5, "it is forgotten"
        )


def test_a_cursor_that_is_in_use_is_not_forgotten(redis_url: str, links: Links) -> None:
    writer = StreamWriter(redis_url)
    assert retire(links, "mail", "default").name == "NOTHING"
    aged(writer, 60)
    assert retire(links, "mail", "default").name == "IN_USE", "saved a moment ago"
    aged(writer, 300)
    lease = Lease(links, "mail", "default", "them")
    lease.ask()
    assert retire(links, "mail", "default").name == "IN_USE", "somebody leads"
    lease.give_up()
    aged(writer, 300)
    writer.client.hset(writer.keys.cursors, "traces:another", "0-0 1 1 first 0-0 1 0-0 0")
    assert retire(links, "mail", "default").name == "DONE"
    assert writer.client.hkeys(writer.keys.cursors) == [b"traces:another"]
