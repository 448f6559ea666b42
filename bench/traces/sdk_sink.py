"""What stands beside our own encoding: the SDK's spans, made as cheaply as they can be, and its exporter."""

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from limelight_exporter.ops import SpanRecord
from limelight_exporter.ports import DELIVERED, Delivery

SCOPE = InstrumentationScope("limelight")
CODES = {"UNSET": StatusCode.UNSET, "OK": StatusCode.OK, "ERROR": StatusCode.ERROR}


class SdkSink:
    """Exports through the SDK; spans are constructed, not recorded."""

    def __init__(self, endpoint: str) -> None:
        self._exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")
        self._resources: dict[str, Resource] = {}

    def export(self, spans: Sequence[SpanRecord]) -> Delivery:
        """Build and send."""
        taken = self._exporter.export([self._built(record) for record in spans])
        return DELIVERED if taken is SpanExportResult.SUCCESS else Delivery(done=False)

    def close(self) -> None:
        """End."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def _built(self, record: SpanRecord) -> ReadableSpan:
        trace_id, flags = int(record.trace_id, 16), TraceFlags(record.trace_flags)
        return ReadableSpan(
            name=record.name,
            context=SpanContext(trace_id, int(record.span_id, 16), is_remote=False, trace_flags=flags),
            parent=SpanContext(trace_id, int(record.parent_span_id, 16), is_remote=True, trace_flags=flags)
            if record.parent_span_id
            else None,
            resource=self._resource(record.resource),
            attributes=record.attributes,
            events=[Event(event.name, event.attributes, event.at) for event in record.events],
            links=[
                Link(
                    SpanContext(int(link.trace_id, 16), int(link.span_id, 16), is_remote=True),
                    link.attributes,
                )
                for link in record.links
            ],
            kind=SpanKind[record.kind],
            status=Status(CODES[record.status], record.description or None),
            start_time=record.start,
            end_time=record.end,
            instrumentation_scope=SCOPE,
        )

    def _resource(self, attributes: Mapping[str, Any]) -> Resource:
        key = repr(attributes)
        if key not in self._resources:
            self._resources[key] = Resource(dict(attributes))
        return self._resources[key]
