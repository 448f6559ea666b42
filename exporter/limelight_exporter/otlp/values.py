"""Attributes as OTLP's protobuf messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue


def put_attributes(
    place: Any, values: Mapping[str, Any], most: int | None = None, length: int | None = None
) -> int:
    """Add attributes to a repeated field of them; returns how many were left out."""
    kept = values.items() if most is None or len(values) <= most else list(values.items())[:most]
    for name, value in kept:
        put_value(place.add(key=name).value, value, length)
    return len(values) - len(kept)


def put_value(place: AnyValue, value: Any, length: int | None = None) -> None:
    """Set a value; a text is cut to `length`."""
    if isinstance(value, str):
        place.string_value = value if length is None else value[:length]
    elif isinstance(value, bool):
        place.bool_value = value
    elif isinstance(value, int):
        place.int_value = value
    elif isinstance(value, float):
        place.double_value = value
    else:
        place.array_value.SetInParent()
        for item in value:
            put_value(place.array_value.values.add(), item, length)
