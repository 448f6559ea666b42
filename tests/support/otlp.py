"""A real OTLP receiver for traces and metrics: gRPC and HTTP/protobuf, on free ports, remembering what it was sent."""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import threading
import time
import zlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Literal, Self

import grpc
from certificates import Authority, Pair
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1 import trace_pb2
from servers import wait_until

Protocol = Literal["grpc", "http/protobuf"]
GRPC_CODES: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.UNIMPLEMENTED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """An event of a span."""

    name: str
    ns: int
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReceivedLink:
    """A link of a span; ids in hex."""

    trace_id: str
    span_id: str
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedSpan:
    """A span as it arrived; ids in hex, ``parent_id`` empty for a root, times in Unix nanoseconds.

    ``kind`` and ``status`` are OTLP's names without their prefix: ``CONSUMER``, ``ERROR``.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    start_ns: int
    end_ns: int
    status: str
    status_message: str
    attributes: dict[str, Any]
    events: tuple[ReceivedEvent, ...]
    links: tuple[ReceivedLink, ...]
    resource: dict[str, Any]
    scope: str
    schema_url: str
    flags: int
    trace_state: str
    protocol: Protocol


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver says to a request.

    Attributes:
        status: HTTP status; gRPC gets the code that stands for it. Spans are kept with 200 only.
        rejected: With 200: how many spans of each request are not kept and reported by partial success.
        message: The error's or the partial success' text.
        retry_after: ``Retry-After`` in seconds, if any; over gRPC a ``RetryInfo``.
        location: HTTP's ``Location``, if any.
        delay_seconds: Wait before answering; the spans are kept first, as a slow collector does.
        close: Close the connection instead of answering; over gRPC the call ends as UNAVAILABLE.
    """

    status: int = 200
    rejected: int = 0
    message: str = "as the test wished"
    retry_after: int | None = None
    location: str | None = None
    delay_seconds: float = 0.0
    close: bool = False


@dataclass(slots=True)
class _Memory:
    """What both servers share."""

    spans: list[ReceivedSpan] = field(default_factory=list)
    metrics: list[ExportMetricsServiceRequest] = field(default_factory=list)
    disliked: tuple[str, Answer] | None = None
    size_limit: int = 20_000_000
    requests: list[Protocol] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answer: Answer = Answer()
    next_answers: deque[Answer] = field(default_factory=deque)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, request: ExportTraceServiceRequest, protocol: Protocol, headers: dict[str, str]) -> Answer:
        """Remember a request and return what to say to it."""
        with self.lock:
            answer = self._next(protocol, headers)
            self.bodies.append(request.SerializeToString())
            spans = _spans(request, protocol)
            if self.disliked and any(span.name == self.disliked[0] for span in spans):
                answer = self.disliked[1]
            if answer.status == 200 and not answer.close:
                self.spans.extend(spans[answer.rejected :])
        time.sleep(answer.delay_seconds)
        return answer

    def take_metrics(
        self, request: ExportMetricsServiceRequest, protocol: Protocol, headers: dict[str, str]
    ) -> Answer:
        """Remember metrics and return what to say to them."""
        with self.lock:
            answer = self._next(protocol, headers)
            if answer.status == 200 and not answer.close:
                self.metrics.append(request)
        time.sleep(answer.delay_seconds)
        return answer

    def _next(self, protocol: Protocol, headers: dict[str, str]) -> Answer:
        self.requests.append(protocol)
        self.times.append(time.monotonic())
        self.headers.append(headers)
        return self.next_answers.popleft() if self.next_answers else self.answer


class _HttpServer(ThreadingHTTPServer):
    """A server that takes its open connections with it when it closes."""

    def __init__(self, port: int, memory: _Memory, tls: ssl.SSLContext | None) -> None:
        self._open: set[Any] = set()
        super().__init__(("127.0.0.1", port), _handler(memory))
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: of handshakes that fail the client tells."""

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class OtlpReceiver:
    """Receives by both protocols; a context manager, and each runs on its own ports.

    Args:
        pair: With it both speak TLS.
        clients: Who signs the certificates that clients must have then, None if they need none.

    Attributes:
        grpc_endpoint: What to give a gRPC exporter.
        http_endpoint: The base for HTTP; ``http_traces_endpoint`` has ``/v1/traces`` behind it.
    """

    def __init__(self, pair: Pair | None = None, clients: Authority | None = None) -> None:
        self._memory = _Memory()
        self._pair, self._clients = pair, clients
        self._scheme = "https" if pair else "http"
        self._grpc_port = 0
        self._http_port = 0
        self._grpc: grpc.Server | None = None
        self._http: _HttpServer | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def grpc_endpoint(self) -> str:
        """For a gRPC exporter; ``http`` means without TLS."""
        return f"{self._scheme}://127.0.0.1:{self._grpc_port}"

    @property
    def http_endpoint(self) -> str:
        """For ``OTEL_EXPORTER_OTLP_ENDPOINT``."""
        return f"{self._scheme}://127.0.0.1:{self._http_port}"

    @property
    def http_traces_endpoint(self) -> str:
        """For ``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`` and an HTTP exporter's ``endpoint``."""
        return f"{self.http_endpoint}/v1/traces"

    @property
    def spans(self) -> list[ReceivedSpan]:
        """All spans kept so far, in the order of their arrival."""
        with self._memory.lock:
            return list(self._memory.spans)

    @property
    def requests(self) -> list[Protocol]:
        """The protocol of each request so far, refused ones too."""
        with self._memory.lock:
            return list(self._memory.requests)

    @property
    def times(self) -> list[float]:
        """When each request came, monotonic seconds."""
        with self._memory.lock:
            return list(self._memory.times)

    @property
    def bodies(self) -> list[bytes]:
        """Each request for spans as bytes, refused ones too."""
        with self._memory.lock:
            return list(self._memory.bodies)

    @property
    def headers(self) -> list[dict[str, str]]:
        """Each request's headers (gRPC: metadata), names in lower case."""
        with self._memory.lock:
            return list(self._memory.headers)

    @property
    def metrics(self) -> list[ExportMetricsServiceRequest]:
        """All requests with metrics that were kept so far."""
        with self._memory.lock:
            return list(self._memory.metrics)

    def dislike(self, name: str, answer: Answer) -> None:
        """Answer like this whenever a span of that name is in a request, whatever else applies."""
        with self._memory.lock:
            self._memory.disliked = (name, answer)

    def limit_size(self, size: int) -> None:
        """Refuse larger requests over HTTP with 413, as collectors do from 20 MiB on; gRPC's limit is 4 MiB."""
        self._memory.size_limit = size

    def answer(self, answer: Answer) -> None:
        """Answer like this from now on."""
        with self._memory.lock:
            self._memory.answer = answer

    def answer_next(self, *answers: Answer) -> None:
        """Answer the next requests like this, one each, before the lasting answer applies again."""
        with self._memory.lock:
            self._memory.next_answers.extend(answers)

    def wait_for_spans(self, count: int, seconds: float = 10.0) -> list[ReceivedSpan]:
        """Wait until at least ``count`` spans were kept, and return all."""
        wait_until(lambda: len(self.spans) >= count, seconds, f"{count} spans at the OTLP receiver")
        return self.spans

    def clear(self) -> None:
        """Forget spans, metrics and requests."""
        with self._memory.lock:
            self._memory.spans.clear()
            self._memory.metrics.clear()
            self._memory.bodies.clear()
            self._memory.requests.clear()
            self._memory.times.clear()
            self._memory.headers.clear()

    def start(self) -> None:
        """Listen; after a ``stop`` on the same ports as before."""
        self._http = _HttpServer(self._http_port, self._memory, self._tls())
        self._http_port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, args=(0.05,), name="otlp-http", daemon=True).start()
        self._grpc = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        add_TraceServiceServicer_to_server(_TraceService(self._memory), self._grpc)
        add_MetricsServiceServicer_to_server(_MetricsService(self._memory), self._grpc)
        place = f"127.0.0.1:{self._grpc_port}"
        credentials = self._credentials()
        self._grpc_port = (
            self._grpc.add_secure_port(place, credentials)
            if credentials
            else self._grpc.add_insecure_port(place)
        )
        self._grpc.start()

    def _tls(self) -> ssl.SSLContext | None:
        if self._pair is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._pair.certificate, self._pair.key)
        if self._clients:
            context.load_verify_locations(self._clients.certificate)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _credentials(self) -> grpc.ServerCredentials | None:
        if self._pair is None:
            return None
        ours = [(self._pair.key.read_bytes(), self._pair.certificate.read_bytes())]
        theirs = self._clients.certificate.read_bytes() if self._clients else None
        return grpc.ssl_server_credentials(ours, theirs, require_client_auth=theirs is not None)

    def stop(self) -> None:
        """Refuse connections, as a collector that is down; what was received stays."""
        if self._http:
            self._http.shutdown()
            self._http.server_close()
            self._http = None
        if self._grpc:
            self._grpc.stop(grace=None).wait(5)
            self._grpc = None


class _TraceService(TraceServiceServicer):
    def __init__(self, memory: _Memory) -> None:
        self._memory = memory

    def Export(  # noqa: N802 - the name in the protocol
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        answer = self._memory.take(request, "grpc", _metadata(context))
        _abort_if_so(answer, context)
        return _response(answer)


class _MetricsService(MetricsServiceServicer):
    def __init__(self, memory: _Memory) -> None:
        self._memory = memory

    def Export(  # noqa: N802 - the name in the protocol
        self, request: ExportMetricsServiceRequest, context: grpc.ServicerContext
    ) -> ExportMetricsServiceResponse:
        answer = self._memory.take_metrics(request, "grpc", _metadata(context))
        _abort_if_so(answer, context)
        return _metrics_response(answer)


def _metadata(context: grpc.ServicerContext) -> dict[str, str]:
    return {str(name): str(value) for name, value in context.invocation_metadata()}


def _abort_if_so(answer: Answer, context: grpc.ServicerContext) -> None:
    if answer.close:
        context.abort(grpc.StatusCode.UNAVAILABLE, "connection closed")
    if answer.status == 200:
        return
    code = GRPC_CODES.get(answer.status, grpc.StatusCode.UNKNOWN)
    if answer.retry_after is not None:
        detail = AnyMessage()
        detail.Pack(RetryInfo(retry_delay=Duration(seconds=answer.retry_after)))
        status = Status(code=code.value[0], message=answer.message, details=[detail])
        context.set_trailing_metadata([("grpc-status-details-bin", status.SerializeToString())])
    context.abort(code, answer.message)


def _handler(memory: _Memory) -> type[BaseHTTPRequestHandler]:
    """Make the class that a server makes its handlers of."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if self.headers.get("Content-Encoding") == "deflate":
                body = zlib.decompress(body)
            if self.path not in {"/v1/traces", "/v1/metrics"}:
                return self._say(Answer(404), b"")
            if self.headers.get("Content-Type") != "application/x-protobuf":
                return self._say(Answer(415), b"")
            if len(body) > memory.size_limit:
                return self._say(Answer(413), b"")
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                answer, said = self._taken(body, headers)
            except DecodeError:
                return self._say(Answer(400), b"")
            self.close_connection = answer.close
            return None if answer.close else self._say(answer, said)

        def _taken(self, body: bytes, headers: dict[str, str]) -> tuple[Answer, bytes]:
            if self.path == "/v1/traces":
                answer = memory.take(ExportTraceServiceRequest.FromString(body), "http/protobuf", headers)
                return answer, _response(answer).SerializeToString()
            answer = memory.take_metrics(
                ExportMetricsServiceRequest.FromString(body), "http/protobuf", headers
            )
            return answer, _metrics_response(answer).SerializeToString()

        def _say(self, answer: Answer, body: bytes) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(body)))
            if answer.retry_after is not None:
                self.send_header("Retry-After", str(answer.retry_after))
            if answer.location is not None:
                self.send_header("Location", answer.location)
            with contextlib.suppress(ConnectionError):  # a client that gave up
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
            """Say nothing."""

    return Handler


def _response(answer: Answer) -> ExportTraceServiceResponse:
    response = ExportTraceServiceResponse()
    if answer.status == 200 and answer.rejected:
        response.partial_success.rejected_spans = answer.rejected
        response.partial_success.error_message = answer.message
    return response


def _metrics_response(answer: Answer) -> ExportMetricsServiceResponse:
    response = ExportMetricsServiceResponse()
    if answer.status == 200 and answer.rejected:
        response.partial_success.rejected_data_points = answer.rejected
        response.partial_success.error_message = answer.message
    return response


def _spans(request: ExportTraceServiceRequest, protocol: Protocol) -> list[ReceivedSpan]:
    return [
        _span(span, attributes_of(resource.resource.attributes), scope, protocol)
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _span(
    span: trace_pb2.Span, resource: dict[str, Any], scope: trace_pb2.ScopeSpans, protocol: Protocol
) -> ReceivedSpan:
    return ReceivedSpan(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        status=trace_pb2.Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
        status_message=span.status.message,
        attributes=attributes_of(span.attributes),
        events=tuple(
            ReceivedEvent(event.name, event.time_unix_nano, attributes_of(event.attributes))
            for event in span.events
        ),
        links=tuple(
            ReceivedLink(link.trace_id.hex(), link.span_id.hex(), attributes_of(link.attributes))
            for link in span.links
        ),
        resource=resource,
        scope=scope.scope.name,
        schema_url=scope.schema_url,
        flags=span.flags,
        trace_state=span.trace_state,
        protocol=protocol,
    )


def attributes_of(pairs: Any) -> dict[str, Any]:
    """Attributes as plain values."""
    return {pair.key: _plain(pair.value) for pair in pairs}


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return attributes_of(value.kvlist_value.values)
    return getattr(value, kind) if kind else None
