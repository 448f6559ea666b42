"""The encoders, which need OpenTelemetry's SDK: imported when there is something to send, and not before.

The SDK reads variables as it is imported and raises over what it cannot read, in `limelight --help` as well.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, cast

from limelight.errors import ConfigurationError
from limelight_exporter.exposition import Exposition
from limelight_exporter.ops import SpanRecord

from .limits import SpanLimits


class SpanEncoding(Protocol):
    """Makes requests of spans."""

    def request(self, records: Sequence[SpanRecord]) -> bytes:
        """One request; the same records give the same bytes, in whatever process.

        Raises:
            ValueError, TypeError, OverflowError: One of them holds what protobuf cannot carry.
        """


MetricEncoding: TypeAlias = Callable[[Exposition, float, float, Mapping[str, Any]], Iterator[bytes]]
"""Makes requests of an exposition, as `metric_message.requests_of`."""


def span_encoding(limits: SpanLimits) -> SpanEncoding:
    """An encoder of spans. Raises ConfigurationError for a variable that the SDK refuses."""
    return cast(SpanEncoding, _imported("span_message").SpanEncoder(limits))


def metric_encoding() -> MetricEncoding:
    """The encoder of metrics. Raises ConfigurationError for a variable that the SDK refuses."""
    return cast(MetricEncoding, _imported("metric_message").requests_of)


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(f"{__package__}.{module}")
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
