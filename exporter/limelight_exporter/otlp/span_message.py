"""Spans as OTLP's protobuf messages.

Made without the SDK: its spans are built to be recorded live, and take three times as long to build and to encode
(docs/adr/0016-spans-without-the-sdk.md). The limits of the ``OTEL_*`` variables hold all the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from limelight.errors import ConfigurationError
from limelight_exporter.ops import SpanEvent, SpanLink, SpanRecord

from .values import put_attributes

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
SCOPE: Final = InstrumentationScope(name="limelight")

_HAS_IS_REMOTE: Final = 0x100
_IS_REMOTE: Final = 0x200
"""Bits of OTLP's span flags: whether the parent is in another process."""
_KINDS: Final = {
    "PRODUCER": Span.SPAN_KIND_PRODUCER,
    "CONSUMER": Span.SPAN_KIND_CONSUMER,
    "CLIENT": Span.SPAN_KIND_CLIENT,
}
_RESOURCES: Final = 256


@dataclass(frozen=True, slots=True)
class SpanLimits:
    """How much of a span is sent, None for all of it; what is left out is counted in the span."""

    attributes: int | None = 128
    events: int | None = 128
    links: int | None = 128
    event_attributes: int | None = 128
    link_attributes: int | None = 128
    length: int | None = None


def limits_of(environment: Mapping[str, str]) -> SpanLimits:
    """By the standard ``OTEL_*_LIMIT`` variables. Raises ConfigurationError where one is no number."""

    def number(*names: str, default: int | None = 128) -> int | None:
        for name in names:
            if text := environment.get(name, "").strip():
                if not (text.isascii() and text.isdigit() and len(text) < 10):
                    raise ConfigurationError(f"{name}={text}: take a whole number from 0")
                return int(text)
        return default

    return SpanLimits(
        attributes=number("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
        events=number("OTEL_SPAN_EVENT_COUNT_LIMIT"),
        links=number("OTEL_SPAN_LINK_COUNT_LIMIT"),
        event_attributes=number("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
        link_attributes=number("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
        length=number(
            "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", default=None
        ),
    )


class SpanEncoder:
    """Makes messages of records. The same record gives the same bytes, in whatever process.

    Args:
        limits: How much of each is sent.
    """

    def __init__(self, limits: SpanLimits) -> None:
        self._limits = limits
        self._resources: OrderedDict[str, Resource] = OrderedDict()

    def span(self, record: SpanRecord) -> Span:
        """One span; raises ValueError or TypeError for text or values that protobuf cannot carry."""
        limits, (no_attributes, no_events, no_links) = self._limits, record.dropped
        parent = record.parent_span_id
        span = Span(
            trace_id=bytes.fromhex(record.trace_id),
            span_id=bytes.fromhex(record.span_id),
            parent_span_id=bytes.fromhex(parent) if parent else b"",
            trace_state=record.trace_state,
            flags=record.trace_flags | _HAS_IS_REMOTE | (_IS_REMOTE if parent else 0),
            name=record.name,
            kind=_KINDS[record.kind],
            start_time_unix_nano=record.start,
            end_time_unix_nano=record.end,
        )
        left_out = put_attributes(span.attributes, record.attributes, limits.attributes, limits.length)
        span.dropped_attributes_count = no_attributes + left_out
        for event in record.events[: limits.events]:
            self._put_event(span, event)
        span.dropped_events_count = no_events + len(record.events) - len(span.events)
        for link in record.links[: limits.links]:
            self._put_link(span, link)
        span.dropped_links_count = no_links + len(record.links) - len(span.links)
        if record.status != "UNSET":
            span.status.code = Status.STATUS_CODE_ERROR if record.status == "ERROR" else Status.STATUS_CODE_OK
            span.status.message = record.description
        return span

    def request(self, batch: Sequence[tuple[SpanRecord, Span]]) -> bytes:
        """A request for spans, those of one resource together and otherwise in their order."""
        by_resource: dict[str, tuple[Mapping[str, Any], list[Span]]] = {}
        for record, span in batch:
            by_resource.setdefault(repr(record.resource), (record.resource, []))[1].append(span)
        return ExportTraceServiceRequest(
            resource_spans=[
                ResourceSpans(
                    resource=self._resource(key, attributes),
                    scope_spans=[ScopeSpans(scope=SCOPE, spans=spans, schema_url=SCHEMA_URL)],
                )
                for key, (attributes, spans) in by_resource.items()
            ]
        ).SerializeToString()

    def _put_event(self, span: Span, event: SpanEvent) -> None:
        made = span.events.add(name=event.name, time_unix_nano=event.at)
        made.dropped_attributes_count = put_attributes(
            made.attributes, event.attributes, self._limits.event_attributes, self._limits.length
        )

    def _put_link(self, span: Span, link: SpanLink) -> None:
        made = span.links.add(trace_id=bytes.fromhex(link.trace_id), span_id=bytes.fromhex(link.span_id))
        made.dropped_attributes_count = put_attributes(
            made.attributes, link.attributes, self._limits.link_attributes, self._limits.length
        )

    def _resource(self, key: str, attributes: Mapping[str, Any]) -> Resource:
        """Made once per resource, nearly: those asked for least recently are forgotten."""
        if key not in self._resources:
            made = Resource()
            put_attributes(made.attributes, attributes)
            self._resources[key] = made
            if len(self._resources) > _RESOURCES:
                self._resources.popitem(last=False)
        self._resources.move_to_end(key)
        return self._resources[key]
