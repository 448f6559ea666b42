"""What is well with a queue's events and with those who read them. Each check is a pure function of the facts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from limelight.cli.text import counted, duration, number

from .facts import CursorFacts, QueueFacts
from .finding import Finding, Status

STALE_SECONDS: Final = 120.0
"""An exporter saves its position every few seconds, and every half minute when nothing happens."""
SHORT_SECONDS: Final = 1_800.0
_WINDOW_SECONDS: Final = 300.0
_NEARLY: Final = 0.9


def events(facts: QueueFacts) -> Finding:
    """Whether the queue tells what it does."""
    view, newest = facts.view, facts.stream.newest
    if view.seq:
        when = "" if newest is None else f", the newest {duration(max(0.0, facts.now - newest.at))} ago"
        return facts.finding("events", Status.OK, f"{counted(view.seq, 'event')} told{when}")
    if view.records or view.consumers:
        return facts.finding(
            "events",
            Status.WARN,
            "The queue tells no events",
            detail="exporter, traces and `limelight events` see nothing of it",
            fix="RedisQueue(events=True) where it is declared, if that is not meant",
        )
    return facts.finding("events", Status.OK, "Nothing was told yet")


def stream(facts: QueueFacts) -> Finding:
    """For how long the stream keeps events for an exporter that is away."""
    length, cap = facts.stream.length, facts.stream.cap
    per_minute = _per_minute(facts)
    held = f"The stream holds {number(length)} of {counted(cap, 'event')}"
    rides = cap / per_minute * 60 if per_minute else None
    if rides is None:
        return facts.finding("stream", Status.OK, f"{held}; none came in the last five minutes")
    found = f"{held}; at {per_minute:,.0f} a minute that is {duration(rides)} without an exporter"
    short = rides < SHORT_SECONDS
    return facts.finding(
        "stream",
        Status.WARN if short else Status.OK,
        found,
        fix="RedisEventEmitter(max_events=…) keeps more, at about 600 bytes each" if short else "",
    )


def _per_minute(facts: QueueFacts) -> float:
    """Events a minute over the last five, or since the oldest that is left."""
    recent, newest, oldest = facts.stream.recent, facts.stream.newest, facts.stream.oldest
    if recent is None or newest is None or oldest is None:
        return 0.0
    since = max(facts.now - _WINDOW_SECONDS, oldest.at)
    return (newest.seq - recent.seq + 1) / max(1.0, facts.now - since) * 60


def cursors(facts: QueueFacts) -> Iterator[Finding]:
    """Whether those who read the stream keep up."""
    if not facts.cursors:
        yield facts.finding(
            "cursors", Status.OK, "No exporter reads its events", detail="metrics: limelight exporter"
        )
    for cursor in facts.cursors:
        yield _cursor(facts, cursor)


def _cursor(facts: QueueFacts, cursor: CursorFacts) -> Finding:
    silent = facts.now - cursor.saved_at
    reader = f"Reader {cursor.reader}"
    fix = (
        "is that exporter running, and does it reach Redis? A reader that was given up is forgotten when it was "
        "silent for longer than events are kept"
    )
    if cursor.epoch != facts.view.epoch:
        return facts.finding(
            "cursors",
            Status.WARN,
            f"{reader} stands in an earlier life of the stream",
            detail=f"it was heard of {duration(silent)} ago; until it is forgotten, nothing is trimmed behind others",
            fix=fix,
        )
    behind = max(0, facts.view.seq - cursor.seq)
    lost = 0 if facts.stream.oldest is None else max(0, facts.stream.oldest.seq - cursor.seq - 1)
    if lost:
        return facts.finding(
            "cursors",
            Status.FAIL,
            f"{reader} lost {counted(lost, 'event')}, trimmed unread",
            detail=f"it was heard of {duration(silent)} ago",
            fix=f"{fix}; a larger max_events rides out longer",
        )
    if silent < STALE_SECONDS:
        return facts.finding("cursors", Status.OK, f"{reader} is {counted(behind, 'event')} behind")
    status = Status.FAIL if behind else Status.WARN
    return facts.finding(
        "cursors",
        status,
        f"{reader} is stale: silent for {duration(silent)}",
        detail=f"{counted(behind, 'event')} wait for it; {_until_full(facts)}",
        fix=fix,
    )


def _until_full(facts: QueueFacts) -> str:
    """When events will be lost if nothing changes."""
    per_minute, left = _per_minute(facts), facts.stream.cap - facts.stream.length
    if facts.stream.length > facts.stream.cap * _NEARLY:
        return "the stream is full, and the oldest are being lost"
    return f"the stream is full in {duration(left / per_minute * 60)}" if per_minute else "none are coming"


STREAM_CHECKS: Final[tuple[Callable[[QueueFacts], Finding], ...]] = (events, stream)
