"""What a collector said to the last request: the SDK's exporters only tell success from failure."""

from __future__ import annotations

import logging
from typing import Any, Final, Protocol

import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

_HTTP_POISON: Final = frozenset({"400", "413", "422"})
_GRPC_POISON: Final = frozenset({"INVALID_ARGUMENT", "TOO_LARGE"})
_log = logging.getLogger(__name__)


class Answer(Protocol):
    """What the collector said to the last request."""

    code: str
    rejected: int

    @property
    def accepted(self) -> bool:
        """Whether the request was taken, wholly or in part."""

    @property
    def poisonous(self) -> bool:
        """Whether repeating the request is in vain, because of what is in it."""

    def forget(self) -> None:
        """Get ready for the next request."""


class HttpAnswer:
    """Watches the responses of an HTTP session."""

    def __init__(self) -> None:
        self.code, self.rejected = "none", 0
        self.session = requests.Session()
        self.session.hooks["response"].append(self._seen)

    @property
    def accepted(self) -> bool:
        """A redirect is no success, whatever the exporter takes it for."""
        return self.code.startswith("2")

    @property
    def poisonous(self) -> bool:
        """Refused for what is in it; 401, 403 and 404 are a wrong set-up, and kept."""
        return self.code in _HTTP_POISON

    def forget(self) -> None:
        """Get ready for the next request."""
        self.code, self.rejected = "none", 0

    def _seen(self, response: requests.Response, *_: Any, **__: Any) -> None:
        self.code = str(response.status_code)
        if response.status_code == requests.codes.ok and response.content:
            try:
                self.rejected = _rejected(response)
            except Exception as error:
                _log.debug("the collector's answer cannot be read: %s", error)


def _rejected(response: requests.Response) -> int:
    if "json" in response.headers.get("Content-Type", ""):
        return int(response.json().get("partialSuccess", {}).get("rejectedSpans", 0))
    return int(ExportTraceServiceResponse.FromString(response.content).partial_success.rejected_spans)


class GrpcAnswer:
    """Notes how each call on a trace service stub went."""

    def __init__(self) -> None:
        self.code, self.rejected = "none", 0

    @property
    def accepted(self) -> bool:
        """Status OK; an SDK whose calls we cannot see is believed."""
        return self.code in {"OK", "none"}

    @property
    def poisonous(self) -> bool:
        """Refused for what is in it, or for its size."""
        return self.code in _GRPC_POISON

    def forget(self) -> None:
        """Get ready for the next request."""
        self.code, self.rejected = "none", 0

    def export(self, stub: Any, **call: Any) -> Any:
        """Make the call; raises as the stub does."""
        try:
            response = stub.Export(**call)
        except Exception as error:
            self.code = _grpc_code(error)
            raise
        self.code, self.rejected = "OK", int(response.partial_success.rejected_spans)
        return response


def _grpc_code(error: Any) -> str:
    """The status of a ``grpc.RpcError``; a message beyond the collector's limit is told from other exhaustion."""
    if "larger than max" in str(getattr(error, "details", str)()):
        return "TOO_LARGE"
    return str(error.code().name) if hasattr(error, "code") else type(error).__name__
