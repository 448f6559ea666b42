"""What a collector said to a request, and what follows from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, Final, NamedTuple, Protocol

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from .settings import Signal

MESSAGE_LIMIT: Final = 300
LONGEST_WAIT_SECONDS: Final = 300.0
"""A collector that asks for more patience is asked again all the same."""


class Verdict(Enum):
    """What to do with what was sent."""

    TAKEN = "taken"
    """Nothing more; `Answer.rejected` of it are gone for good."""
    LATER = "later"
    """Send it again: the collector is away, busy, or not set up for us."""
    UNREADABLE = "unreadable"
    """Repeating it is in vain, because of something in it."""
    BROKEN = "broken"
    """The collector failed over it: something in it may be the reason, or not."""


class Answer(NamedTuple):
    """How a request went.

    Attributes:
        code: HTTP status, name of a gRPC status, or ``timeout``, ``unreachable``, ``tls`` where there was no answer.
        rejected: How many spans or points of a taken request were not kept.
        message: What the collector said, cut short.
        wait_seconds: How long it wants to be left alone, None if it did not say.
    """

    code: str
    verdict: Verdict
    rejected: int = 0
    message: str = ""
    wait_seconds: float | None = None


class Channel(Protocol):
    """Takes requests of one signal to a collector, one at a time."""

    def send(self, request: bytes) -> Answer:
        """Send an encoded request and wait for the answer, within the time-out; never raises for what others do."""

    def close(self) -> None:
        """Give up what is under way; `send` is not to be called any more."""


_UNREADABLE: Final = frozenset({400, 413, 422})
_AWAY: Final = frozenset({502, 503, 504})


def verdict_on_status(status: int) -> Verdict:
    """By HTTP status. A redirect is no success; 401, 403 and 404 are a wrong set-up, and nothing is dropped for it."""
    if 200 <= status < 300:
        return Verdict.TAKEN
    if status in _UNREADABLE:
        return Verdict.UNREADABLE
    return Verdict.BROKEN if status >= 500 and status not in _AWAY else Verdict.LATER


_BROKEN_CODES: Final = frozenset({"INTERNAL", "UNKNOWN", "DATA_LOSS", "OUT_OF_RANGE", "FAILED_PRECONDITION"})


def verdict_on_code(code: str, details: str) -> Verdict:
    """By gRPC status; one beyond the collector's limit of size is told from other exhaustion by its text."""
    if code == "INVALID_ARGUMENT" or (code == "RESOURCE_EXHAUSTED" and "larger than max" in details):
        return Verdict.UNREADABLE
    return Verdict.BROKEN if code in _BROKEN_CODES else Verdict.LATER


def partial_success(signal: Signal, body: bytes, *, is_json: bool) -> tuple[int, str]:
    """How many of the request were rejected, and why; none where the body cannot be read."""
    try:
        return _FROM_JSON[signal](json.loads(body)) if is_json else _FROM_PROTOBUF[signal](body)
    except (DecodeError, ValueError, TypeError, AttributeError):
        return 0, ""


def _spans(body: bytes) -> tuple[int, str]:
    said = ExportTraceServiceResponse.FromString(body).partial_success
    return said.rejected_spans, said.error_message


def _points(body: bytes) -> tuple[int, str]:
    said = ExportMetricsServiceResponse.FromString(body).partial_success
    return said.rejected_data_points, said.error_message


def _in_json(key: str) -> Callable[[Any], tuple[int, str]]:
    def read(body: Any) -> tuple[int, str]:
        said = body.get("partialSuccess", {})
        return int(said.get(key, 0)), str(said.get("errorMessage", ""))

    return read


_FROM_PROTOBUF: Final = {Signal.TRACES: _spans, Signal.METRICS: _points}
_FROM_JSON: Final = {Signal.TRACES: _in_json("rejectedSpans"), Signal.METRICS: _in_json("rejectedDataPoints")}


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds by an HTTP ``Retry-After``, which is a number of them or a date; None for neither."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            until = parsedate_to_datetime(value)
        except ValueError:
            return None
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        seconds = (until - (now or datetime.now(UTC))).total_seconds()
    return bounded_wait(seconds)


def bounded_wait(seconds: float) -> float | None:
    """A wait that makes sense; None for one that is none."""
    return min(max(0.0, seconds), LONGEST_WAIT_SECONDS) if seconds == seconds else None  # noqa: PLR0124 - NaN
