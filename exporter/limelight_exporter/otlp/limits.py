"""How much of a span is sent, by the standard ``OTEL_*_LIMIT`` variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from limelight.errors import ConfigurationError


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
    """By the variables. Raises ConfigurationError where one is no number."""

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
