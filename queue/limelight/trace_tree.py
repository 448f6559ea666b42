"""Traces as trees, put together from events. Pure.

Only what the queue itself tells is in them: the application's own spans are where it sends them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from . import events as contract
from .events import Event

_ENDINGS: Final = {
    contract.EVENT_REVOKED: "revoke",
    contract.EVENT_EXPIRED: "expire",
    contract.EVENT_CANCELED: "cancel",
    contract.EVENT_DEAD: "dead-letter",
}


_WITH_LINKS: Final = frozenset({"enqueue", "process"})


@dataclass(slots=True)
class Node:
    """One span, or one to be: a run that goes on has no end yet.

    Attributes:
        operation: "enqueue", "process", or how a task ended without a run.
        event: What tells of it: the last of its run.
        start, end: Unix seconds; `end` None while it goes on.
        children: In the order in which they began.
    """

    operation: str
    event: Event
    start: float
    end: float | None
    children: list[Node] = field(default_factory=list)

    @property
    def name(self) -> str:
        """As the span is called, unless its task's code calls it otherwise."""
        return f"{self.operation} {self.event.task or contract.UNKNOWN_TASK}"

    @property
    def links(self) -> list[tuple[str, str]]:
        """Trace and span ids of what it stems from beside its parent, in other traces and in its own."""
        if self.operation not in _WITH_LINKS:
            return []
        given = [*self.event.links, *([self.event.origin] if self.event.origin else [])]
        return [(str(link.get("trace_id")), str(link.get("span_id"))) for link in given]


def trees(events: Iterable[Event]) -> dict[str, list[Node]]:
    """The roots of each trace, by its id; traces and roots in the order in which they began.

    A span whose parent no event tells of (the application's own, or one that has been trimmed) is a root.
    """
    nodes = _nodes(events)
    roots: dict[str, list[Node]] = defaultdict(list)
    for (trace_id, _), node in sorted(nodes.items(), key=lambda item: item[1].start):
        parent = nodes.get((trace_id, _parent_of(node))) or nodes.get((trace_id, node.event.within or ""))
        if parent is None or parent is node:
            roots[trace_id].append(node)
        else:
            parent.children.append(node)
    return dict(roots)


def walk(roots: Sequence[Node]) -> Iterator[tuple[int, Node]]:
    """Each node with its depth, children below their parents."""
    left = [(0, node) for node in reversed(roots)]
    while left:
        depth, node = left.pop()
        yield depth, node
        left += [(depth + 1, child) for child in reversed(node.children)]


def _nodes(events: Iterable[Event]) -> dict[tuple[str, str], Node]:
    nodes: dict[tuple[str, str], Node] = {}
    for event in events:
        node = _node(event)
        if node is None or event.trace_id is None:
            continue
        span_id = event.span_id or ""
        if node.operation not in _WITH_LINKS:
            span_id = f"{event.status} {event.id}"
        before = nodes.get((event.trace_id, span_id))
        if before is None or before.end is None or node.end is not None:
            nodes[event.trace_id, span_id] = node
    return nodes


def _node(event: Event) -> Node | None:
    if event.status == contract.EVENT_ENQUEUED:
        return Node("enqueue", event, *_times(event)) if event.span_id else None
    if event.outcome is not None and event.span_id:
        return Node("process", event, *_times(event))
    if event.status == contract.EVENT_STARTED and event.span_id:
        return Node("process", event, event.started_at or event.timestamp, None)
    if event.end is not None and event.status in _ENDINGS:
        return Node(_ENDINGS[event.status], event, event.timestamp, event.timestamp)
    return None


def _parent_of(node: Node) -> str:
    if node.operation == "dead-letter":
        return node.event.span_id or ""
    return node.event.parent_span_id or ""


def _times(event: Event) -> tuple[float, float]:
    start = _seconds(event.span_start, event.started_at or event.timestamp)
    return start, max(start, _seconds(event.span_end, event.timestamp))


def _seconds(nanoseconds: str | None, otherwise: float) -> float:
    if nanoseconds is None or not nanoseconds.isdecimal() or len(nanoseconds) > len(str(2**63)):
        return otherwise
    return int(nanoseconds) / 1e9
