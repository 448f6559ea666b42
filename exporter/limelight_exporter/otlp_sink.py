"""Sends spans by OTLP, over HTTP or gRPC.

No batch processor is between us and the answer, because it would drop what a collector refuses for now. Honoured are
the standard ``OTEL_*`` variables, those included that the exporters' constructors ignore.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from limelight.errors import ConfigurationError

from . import catalog
from .ops import SpanRecord
from .otlp_answer import Answer, GrpcAnswer, HttpAnswer
from .ports import Tally
from .span_builder import SpanBuilder

DEFAULT_TIMEOUT_SECONDS: Final = 10.0
_PROTOCOLS: Final = ("http/protobuf", "grpc")


class OtlpSink:
    """Exports spans one batch at a time, and says whether a batch is done.

    Args:
        answer: How the last request of `exporter` went; the exporter itself tells only yes or no.
        exporter: An OTLP exporter of the SDK.
        tally: Counts what was sent, refused and failed.
    """

    def __init__(self, exporter: SpanExporter, answer: Answer, tally: Tally) -> None:
        self._exporter = exporter
        self._answer = answer
        self._tally = tally
        self._builder = SpanBuilder()

    def export(self, spans: Sequence[SpanRecord]) -> bool:
        """Build and send; halve a batch that is refused as unreadable until the culprit stands alone."""
        built = [span for record in spans if (span := self._builder.build(record)) is not None]
        self._tally.add(catalog.SPANS_DROPPED, ("poison",), len(spans) - len(built))
        return self._send(built) if built else True

    def close(self) -> None:
        """Give up what is under way."""
        self._exporter.shutdown()

    def _send(self, batch: Sequence[ReadableSpan]) -> bool:
        self._answer.forget()
        succeeded = self._exporter.export(batch) is SpanExportResult.SUCCESS
        if succeeded and self._answer.accepted:
            rejected = min(self._answer.rejected, len(batch))
            self._tally.add(catalog.SPANS_EXPORTED, (), len(batch) - rejected)
            self._tally.add(catalog.SPANS_DROPPED, ("rejected",), rejected)
            return True
        self._tally.add(catalog.SPAN_FAILURES, (self._answer.code,))
        if not self._answer.poisonous:
            return False
        if len(batch) == 1:
            self._tally.add(catalog.SPANS_DROPPED, ("poison",))
            return True
        half = len(batch) // 2
        return self._send(batch[:half]) and self._send(batch[half:])


class _WatchedStub:
    def __init__(self, stub: Any, answer: GrpcAnswer) -> None:
        self._stub, self._answer = stub, answer

    def Export(self, **call: Any) -> Any:  # noqa: N802 - the name gRPC gave it
        return self._answer.export(self._stub, **call)


class _WatchedGrpcExporter(GrpcExporter):
    def __init__(self, answer: GrpcAnswer, **options: Any) -> None:
        self._limelight_answer = answer
        super().__init__(**options)

    def _initialize_channel_and_stub(self) -> None:
        super()._initialize_channel_and_stub()  # type: ignore[no-untyped-call]
        self._client: Any = _WatchedStub(self._client, self._limelight_answer)


def sink_from(endpoint: str | None, environment: Mapping[str, str], tally: Tally) -> OtlpSink | None:
    """The sink that flag and ``OTEL_*`` variables ask for.

    Args:
        endpoint: Base URL of the receiver; takes the place of the variables'.
        environment: Usually ``os.environ``.
        tally: Counts for the sink.

    Returns:
        None if no endpoint is named anywhere, or the variables turn traces off.

    Raises:
        ConfigurationError: A variable asks for what we cannot do.
    """
    named = environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environment.get(
        "OTEL_EXPORTER_OTLP_ENDPOINT"
    )
    chosen = environment.get("OTEL_TRACES_EXPORTER", "otlp").split(",")[0].strip() or "otlp"
    if not (endpoint or named) or chosen == "none":
        return None
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    if chosen != "otlp":
        raise ConfigurationError(f"OTEL_TRACES_EXPORTER={chosen}: this exporter speaks otlp, or none")
    timeout = _timeout_seconds(environment)
    if _protocol(environment) == "grpc":
        answer = GrpcAnswer()
        exporter = _WatchedGrpcExporter(answer, endpoint=endpoint, timeout=timeout)
        return OtlpSink(exporter, answer, tally)
    http = HttpAnswer()
    url = _traces_url(endpoint) if endpoint else None
    return OtlpSink(HttpExporter(endpoint=url, timeout=timeout, session=http.session), http, tally)


def _protocol(environment: Mapping[str, str]) -> str:
    protocol = (
        environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        or "http/protobuf"
    )
    if protocol not in _PROTOCOLS:
        raise ConfigurationError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol}: take one of {', '.join(_PROTOCOLS)}"
        )
    return protocol


def _timeout_seconds(environment: Mapping[str, str]) -> float:
    """The specification counts in milliseconds, Python's SDK in seconds: from 1,000 on it is the former."""
    text = environment.get("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT") or environment.get(
        "OTEL_EXPORTER_OTLP_TIMEOUT"
    )
    try:
        value = float(text) if text else DEFAULT_TIMEOUT_SECONDS
    except ValueError:
        raise ConfigurationError(f"OTEL_EXPORTER_OTLP_TIMEOUT={text}: it is no number") from None
    return value / 1_000 if value >= 1_000 else value


def _traces_url(endpoint: str) -> str:
    return endpoint if urlsplit(endpoint).path.endswith("/v1/traces") else f"{endpoint.rstrip('/')}/v1/traces"
