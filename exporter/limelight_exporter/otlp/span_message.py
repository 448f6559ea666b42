"""Spans as OTLP requests, by OpenTelemetry's SDK and the encoder of its exporters.

Spans are constructed, not recorded by a tracer: they are over, and have their ids and times
(docs/adr/0016-spans-sent-by-our-own-channels.md).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from limelight_exporter.ops import SpanEvent, SpanLink, SpanRecord

from .limits import SpanLimits

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
_SCOPE: Final = InstrumentationScope("limelight", schema_url=SCHEMA_URL)
_RESOURCES: Final = 256
_Item = TypeVar("_Item")


class SpanEncoder:
    """Makes requests of records. The same records give the same bytes, in whatever process.

    Args:
        limits: How much of each is sent.
    """

    def __init__(self, limits: SpanLimits) -> None:
        self._limits = limits
        self._resources: OrderedDict[str, Resource] = OrderedDict()

    def request(self, records: Sequence[SpanRecord]) -> bytes:
        """As `encoding.SpanEncoding.request`; spans of one resource go together, otherwise in their order."""
        request = encode_spans([self._span(record) for record in records])
        _put_contexts(request, records)
        return request.SerializeToString()

    def _span(self, record: SpanRecord) -> ReadableSpan:
        limits, (no_attributes, no_events, no_links) = self._limits, record.dropped
        events, links = record.events[: limits.events], record.links[: limits.links]
        return ReadableSpan(
            name=record.name,
            context=_context(record.trace_id, record.span_id, is_remote=False),
            parent=_context(record.trace_id, record.parent_span_id, is_remote=True)
            if record.parent_span_id
            else None,
            resource=self._resource(record.resource),
            attributes=self._attributes(record.attributes, limits.attributes, no_attributes),
            events=_counting(
                [self._event(one) for one in events], no_events + len(record.events) - len(events)
            ),
            links=_counting([self._link(one) for one in links], no_links + len(record.links) - len(links)),
            kind=SpanKind[record.kind],
            status=Status(StatusCode[record.status], record.description or None),
            start_time=record.start,
            end_time=record.end,
            instrumentation_scope=_SCOPE,
        )

    def _event(self, event: SpanEvent) -> Event:
        return Event(event.name, self._attributes(event.attributes, self._limits.event_attributes), event.at)

    def _link(self, link: SpanLink) -> Link:
        context = _context(link.trace_id, link.span_id, is_remote=True)
        return Link(context, self._attributes(link.attributes, self._limits.link_attributes))

    def _attributes(self, values: Mapping[str, Any], most: int | None, dropped: int = 0) -> Mapping[str, Any]:
        """The first ones: `BoundedAttributes` alone would keep the last, and so those of users instead of ours."""
        kept, length = dict(list(values.items())[:most]), self._limits.length
        if length is not None:
            kept = {name: _cut(value, length) for name, value in kept.items()}
        if not (dropped := dropped + len(values) - len(kept)):
            return kept
        bounded = BoundedAttributes(attributes=kept)
        bounded.dropped = dropped
        return bounded

    def _resource(self, attributes: Mapping[str, Any]) -> Resource:
        """Made once per resource, nearly: those asked for least recently are forgotten."""
        key = repr(attributes)
        if key not in self._resources:
            # Not by Resource.create(), which adds what is true of this process, and a random id.
            self._resources[key] = Resource(attributes)
            if len(self._resources) > _RESOURCES:
                self._resources.popitem(last=False)
        self._resources.move_to_end(key)
        return self._resources[key]


def _context(trace_id: str, span_id: str, *, is_remote: bool) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=is_remote)


def _counting(items: Sequence[_Item], dropped: int) -> Sequence[_Item]:
    """The items, with the number of those that are not among them."""
    if not dropped:
        return items
    bounded = BoundedList.from_seq(None, items)
    bounded.dropped = dropped
    return bounded


def _cut(value: Any, length: int) -> Any:
    if isinstance(value, str):
        return value[:length]
    return [_cut(item, length) for item in value] if isinstance(value, list) else value


def _put_contexts(request: ExportTraceServiceRequest, records: Sequence[SpanRecord]) -> None:
    """The W3C flags, which the encoder leaves out, and trace states, unread: the SDK would log what it rejects."""
    by_id = {(bytes.fromhex(one.trace_id), bytes.fromhex(one.span_id)): one for one in records}
    for resource in request.resource_spans:
        for span in resource.scope_spans[0].spans:
            record = by_id[span.trace_id, span.span_id]
            span.flags |= record.trace_flags
            span.trace_state = record.trace_state
