"""The search for spans that a collector does not take."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from stream_writer import event, run_span

from limelight.events import decode
from limelight_exporter.ops import SpanRecord
from limelight_exporter.otlp.answer import Answer, Verdict
from limelight_exporter.otlp.limits import SpanLimits
from limelight_exporter.otlp.sink import REQUEST_BYTES, OtlpSink
from limelight_exporter.otlp.span_message import SpanEncoder
from limelight_exporter.spans import span_of

Say = Callable[[set[int]], Answer]
TAKEN = Answer("200", Verdict.TAKEN)
REFUSED = Answer("400", Verdict.UNREADABLE)
BROKEN = Answer("500", Verdict.BROKEN)
AWAY = Answer("503", Verdict.LATER, wait_seconds=7.0)


class Collector:
    """Takes what it likes."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.kept: Counter[int] = Counter()
        self.requests = 0

    def send(self, request: bytes) -> Answer:
        self.requests += 1
        decoded = ExportTraceServiceRequest.FromString(request)
        ids = {
            int(span.span_id.hex(), 16)
            for resource in decoded.resource_spans
            for span in resource.scope_spans[0].spans
        }
        answer = self.say(ids)
        if answer.verdict is Verdict.TAKEN:
            self.kept.update(ids)
        return answer

    def close(self) -> None:
        """Nothing is under way."""


class Counts:
    """A tally that a test can read."""

    def __init__(self) -> None:
        self.values: Counter[str] = Counter()

    def add(self, metric: str, labels: tuple[str, ...] = (), amount: float = 1) -> None:
        self.values[labels[0] if labels else metric] += int(amount)

    def set(self, metric: str, labels: tuple[str, ...], value: float) -> None:
        """Nobody reads it."""


def spans(count: int) -> list[SpanRecord]:
    made = [
        span_of(decode(json.dumps(event("finished", task="t", outcome="success", **run_span(f"{n:016x}")))))
        for n in range(1, count + 1)
    ]
    return [span for span in made if span is not None]


def delivered(collector: Collector, count: int, *, attempts: int = 20) -> tuple[bool, Counts]:
    counts = Counts()
    sink = OtlpSink(collector, SpanEncoder(SpanLimits()), counts)
    for _ in range(attempts):
        if sink.export(spans(count)).done:
            return True, counts
    return False, counts


def refusing(evil: set[int], answer: Answer, empty: Answer = TAKEN) -> Say:
    return lambda ids: answer if ids & evil else TAKEN if ids else empty


@settings(max_examples=60)
@given(st.integers(1, 40), st.sets(st.integers(1, 40)), st.sampled_from([REFUSED, BROKEN]))
def test_exactly_the_culprits_are_dropped(count: int, evil: set[int], answer: Answer) -> None:
    evil = {one for one in evil if one <= count}
    collector = Collector(refusing(evil, answer))
    done, counts = delivered(collector, count)
    good = set(range(1, count + 1)) - evil
    assert set(collector.kept) == good or (answer is BROKEN and len(evil) >= 8)
    if answer is REFUSED or (good and len(evil) < 8):
        assert done
        assert counts.values["poison"] == len(evil)
    if not done:
        assert counts.values["poison"] == 0, "what is not dropped is sent again"


def test_a_collector_that_refuses_even_an_empty_request_is_set_up_wrong() -> None:
    collector = Collector(lambda _: REFUSED)
    done, counts = delivered(collector, 512, attempts=1)
    assert not done
    assert counts.values["poison"] == 0
    assert collector.requests < 40, "it is not asked a thousand times"


def test_a_collector_that_fails_over_everything_loses_nothing() -> None:
    collector = Collector(refusing(set(range(1, 513)), BROKEN))
    done, counts = delivered(collector, 512, attempts=10)
    assert not done
    assert counts.values["poison"] == 0


def test_failing_over_a_batch_is_forgiven_four_times() -> None:
    collector = Collector(refusing({3}, BROKEN))
    sink = OtlpSink(collector, SpanEncoder(SpanLimits()), Counts())
    assert [sink.export(spans(8)).done for _ in range(5)] == [False] * 4 + [True]
    assert collector.kept == Counter([1, 2, 4, 5, 6, 7, 8])


def test_a_collector_that_goes_away_in_between_ends_the_search() -> None:
    answers = iter([REFUSED, TAKEN, AWAY])
    collector = Collector(lambda _: next(answers))
    delivery = OtlpSink(collector, SpanEncoder(SpanLimits()), Counts()).export(spans(8))
    assert (delivery.done, delivery.wait_seconds, delivery.everything) == (False, 7.0, True)


@pytest.mark.parametrize("refusals", range(1, 25))
def test_a_collector_that_is_set_right_during_the_search_gets_every_span(refusals: int) -> None:
    answers = iter([REFUSED] * refusals)
    collector = Collector(lambda _: next(answers, TAKEN))
    done, counts = delivered(collector, 40)
    assert done
    assert set(collector.kept) == set(range(1, 41))
    assert counts.values["poison"] == 0


def test_what_cannot_be_encoded_is_poison() -> None:
    collector, counts = Collector(lambda _: TAKEN), Counts()
    (good,) = spans(1)
    made = OtlpSink(collector, SpanEncoder(SpanLimits()), counts)
    bad = SpanRecord(
        name="\ud800", kind="CLIENT", trace_id=good.trace_id, span_id="f" * 16, parent_span_id=None,
        trace_state="", trace_flags=1, start=1, end=2, resource={}, attributes={},
    )  # fmt: skip
    assert made.export([bad, good]).done
    assert made.export([bad]).done
    assert (counts.values["poison"], collector.kept) == (2, Counter([1]))


def test_what_is_too_large_for_a_collector_goes_in_parts() -> None:
    sizes: list[int] = []
    collector, counts = Collector(lambda _: TAKEN), Counts()
    text = "x" * 300_000
    large = [structs.replace(span, attributes={"text": text}) for span in spans(40)]
    alone = structs.replace(large[0], span_id="f" * 16, attributes={"text": text * 15})
    send, collector.send = collector.send, lambda request: sizes.append(len(request)) or send(request)  # type: ignore[method-assign, func-returns-value]
    assert OtlpSink(collector, SpanEncoder(SpanLimits()), counts).export([*large, alone]).done
    assert collector.kept == Counter([*range(1, 41), 2**64 - 1])
    assert [size for size in sizes if size > REQUEST_BYTES] == [max(sizes)], "that one span cannot be parted"


def test_after_close_nothing_is_sent() -> None:
    collector = Collector(lambda _: TAKEN)
    sink = OtlpSink(collector, SpanEncoder(SpanLimits()), Counts())
    sink.close()
    assert not sink.export(spans(1)).done
    assert collector.requests == 0
