"""Plain values that pure rules hand to the edges: operations on metrics, and spans."""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeAlias

import msgspec


class Measure(Enum):
    """Something that an event measured."""

    WAIT = "wait"
    DURATION = "duration"
    LATENCY = "latency"
    """The sum of the four that follow: where the time of a task that ended went."""
    WAITED = "waited_seconds"
    RAN = "ran_seconds"
    BACKED_OFF = "backed_off_seconds"
    PARKED = "parked_seconds"


class Add(msgspec.Struct, frozen=True, gc=False):
    """Raise a counter of the event's queue by `amount`.

    Attributes:
        metric: Name in the catalogue.
        labels: Label values in the catalogue's order, without the leading ``queue``.
    """

    metric: str
    labels: tuple[str, ...] = ()
    amount: int = 1


class Spend(msgspec.Struct, frozen=True, gc=False):
    """Raise a counter of seconds by what the event measured."""

    metric: str
    labels: tuple[str, ...]
    measure: Measure


class Observe(msgspec.Struct, frozen=True, gc=False):
    """Count what the event measured into a histogram of its queue."""

    metric: str
    labels: tuple[str, ...]
    measure: Measure


class Judge(msgspec.Struct, frozen=True, gc=False):
    """Count what the event measured as good, if it is within the threshold, or as bad.

    Attributes:
        labels: Without the last one, which is ``good`` or ``bad``.
        threshold_seconds: The most that is good.
    """

    metric: str
    labels: tuple[str, ...]
    measure: Measure
    threshold_seconds: float


class Declare(msgspec.Struct, frozen=True, gc=False):
    """Have a series exist, at zero if it is new, so that its first increase can be seen."""

    metric: str
    labels: tuple[str, ...] = ()


Op: TypeAlias = Add | Spend | Observe | Judge | Declare


class SpanEvent(msgspec.Struct, frozen=True):
    """Something that happened within a span; `at` is Unix nanoseconds."""

    name: str
    at: int
    attributes: dict[str, Any]


class SpanLink(msgspec.Struct, frozen=True):
    """A pointer to a span elsewhere; both ids in lower-case hex."""

    trace_id: str
    span_id: str
    attributes: dict[str, Any] = {}


class SpanRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One finished span, complete: nothing but what the event said.

    Attributes:
        kind: ``PRODUCER``, ``CONSUMER`` or ``CLIENT``.
        trace_id: 32 hex digits.
        span_id: 16 hex digits.
        parent_span_id: 16 hex digits, or None for a root.
        trace_flags: The W3C trace flags, one byte.
        start: Unix nanoseconds.
        end: Unix nanoseconds, never before `start`.
        resource: The resource attributes of the process that did the work.
        attributes: Ours first, so that a limit on their number takes from those of users.
        status: ``ERROR``, ``OK`` or ``UNSET``.
        description: Of an error.
        dropped: How many attributes, events and links were left out before it came to us.
    """

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_span_id: str | None
    trace_state: str
    trace_flags: int
    start: int
    end: int
    resource: dict[str, Any]
    attributes: dict[str, Any]
    events: tuple[SpanEvent, ...] = ()
    links: tuple[SpanLink, ...] = ()
    status: str = "UNSET"
    description: str = ""
    dropped: tuple[int, int, int] = (0, 0, 0)
