"""OTLP over gRPC."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from .answer import MESSAGE_LIMIT, Answer, Verdict, bounded_wait, partial_success, verdict_on_code
from .settings import Signal, Target

_METHODS: Final = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}
_COMPRESSIONS: Final = {"none": grpc.Compression.NoCompression, "gzip": grpc.Compression.Gzip}
_STATUS: Final = "grpc-status-details-bin"


class GrpcChannel:
    """Sends requests by gRPC, on a connection that is kept, and made anew after the collector was away.

    Args:
        target: Where to.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._credentials = _credentials(target) if target.secure else None
        self._metadata = tuple(target.headers.items())
        self._channel: Any = None

    def send(self, request: bytes) -> Answer:
        """As `Channel.send`."""
        if self._channel is None:
            self._channel = self._opened()
        try:
            # No serializers: a request comes encoded, and an answer is decoded where its faults are dealt with.
            export = self._channel.unary_unary(_METHODS[self._target.signal])
            body = export(request, timeout=self._target.timeout_seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            return self._refusal(error)
        except ValueError:  # closed meanwhile
            return Answer("CANCELLED", Verdict.LATER)
        rejected, message = partial_success(self._target.signal, body, is_json=False)
        return Answer("OK", Verdict.TAKEN, rejected, self._target.hidden(message)[:MESSAGE_LIMIT])

    def close(self) -> None:
        """As `Channel.close`."""
        if self._channel is not None:
            self._channel.close()

    def _opened(self) -> Any:
        compression = _COMPRESSIONS[self._target.compression]
        if self._credentials is None:
            return grpc.insecure_channel(self._target.address, compression=compression)
        return grpc.secure_channel(self._target.address, self._credentials, compression=compression)

    def _refusal(self, error: Any) -> Answer:
        code, details = error.code().name, error.details() or ""
        if code == "UNAVAILABLE":  # a channel waits up to two minutes before it tries again
            self._channel.close()
            self._channel = None
        wait = _wait_seconds(dict(error.trailing_metadata() or ()))
        return Answer(
            code,
            verdict_on_code(code, details),
            message=self._target.hidden(details)[:MESSAGE_LIMIT],
            wait_seconds=wait,
        )


def _credentials(target: Target) -> grpc.ChannelCredentials:
    files = (target.authority_file, target.key_file, target.certificate_file)
    return grpc.ssl_channel_credentials(*(Path(file).read_bytes() if file else None for file in files))


def _wait_seconds(metadata: dict[str, Any]) -> float | None:
    """What the collector's ``RetryInfo`` asks for, if it sent one."""
    try:
        status = Status.FromString(metadata.get(_STATUS, b""))
    except (DecodeError, TypeError):
        return None
    for detail in status.details:
        info = RetryInfo()
        if detail.Unpack(info):
            return bounded_wait(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
    return None
