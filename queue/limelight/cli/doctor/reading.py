"""Reads the facts. Thin: nothing here judges, and nothing here writes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from limelight.errors import RedisRefused
from limelight.event_stream import Entry, as_entry
from limelight.inspection import QueueView
from limelight.keys import QueueKeys
from limelight.storage.link import Link

from .facts import CursorFacts, QueueFacts, ServerFacts, Stray, StreamFacts, Told
from .rights import Need, Role, channel_needs, needs
from .strays import INDEXES, strays

RECENT_SECONDS: Final = 300.0
_PINGS: Final = 7
_SETTINGS: Final = ("save", "appendonly", "appendfsync", "min-replicas-to-write")
_SMALL: Final = 10_000
"""Up to so many tasks all are looked at; beyond, only where the counts do not fit together."""


def server_facts(link: Link) -> ServerFacts:
    """Look at the server that a link is to.

    Raises:
        RedisUnavailable: It cannot be reached.
        OutcomeUnknown: It does not answer.
        RedisRefused: It does not let us in.
    """
    trips = tuple(_timed(link) for _ in range(_PINGS))
    peer, encrypted = link.wire()
    ahead, doubt = _clock(link)
    info = _allowed(link, "INFO") or b""
    settings = {name: _allowed(link, "CONFIG", "GET", name) for name in _SETTINGS}
    return ServerFacts(
        address=link.server,
        peer=peer,
        encrypted=encrypted,
        user=(_allowed(link, "ACL", "WHOAMI") or b"").decode("utf-8", "replace"),
        trips=trips,
        clock_ahead=ahead,
        clock_doubt=doubt,
        info=dict(line.split(":", 1) for line in info.decode("utf-8", "replace").splitlines() if ":" in line),
        settings={name: reply[1].decode("utf-8", "replace") for name, reply in settings.items() if reply},
    )


def _timed(link: Link) -> float:
    began = time.perf_counter()
    _allowed(link, "PING")
    return time.perf_counter() - began


def _clock(link: Link) -> tuple[float | None, float]:
    """How far this machine is ahead of Redis, and how far off that may be: the quickest of some tries."""
    tries = []
    for _ in range(_PINGS):
        before = time.time()
        told = _allowed(link, "TIME")
        after = time.time()
        if told is not None:
            tries.append(((after - before) / 2, (before + after) / 2 - _moment(told)))
    doubt, ahead = min(tries, default=(0.0, None))
    return ahead, doubt


def _moment(told: Sequence[bytes]) -> float:
    """The answer to TIME in Unix seconds."""
    return int(told[0]) + int(told[1]) / 1_000_000


def _allowed(link: Link, *words: str) -> Any:
    """The answer to a read, None where we lack the right: doctor also helps those who may not ask everything."""
    try:
        return link.read(*words)
    except RedisRefused as refused:
        if refused.may_pass:
            raise
        return None


def lacking_rights(link: Link, queue: str, db: int) -> dict[Role, tuple[str, ...]] | None:
    """Per role, the rights that we lack; None if it cannot be tried. Raises as `server_facts`."""
    keys = QueueKeys(queue)
    lacking: dict[Role, tuple[str, ...]] = {}
    for role in Role:
        rules = _lacking(link, list(needs(role, keys, db)))
        if rules is None:
            return None
        lacking[role] = rules
    return lacking


def lacking_for_channel(link: Link, channel: str) -> tuple[str, ...] | None:
    """The rights that an exporter lacks to listen to a channel; None and raises as `lacking_rights`."""
    return _lacking(link, list(channel_needs(channel)))


def _lacking(link: Link, wanted: Sequence[Need]) -> tuple[str, ...] | None:
    refusals = link.rehearse([need.words for need in wanted])
    if refusals is None:
        return None
    rules = [
        need.lacking(text)
        for need, text in zip(wanted, refusals, strict=True)
        if "permission" in text.lower()
    ]
    return tuple(dict.fromkeys(rules))


def queue_facts(link: Link, view: QueueView, *, cap: int) -> QueueFacts:
    """Look at one queue behind what its view shows already. Raises as `server_facts`.

    Args:
        link: To the server that has the queue.
        view: Of the queue.
        cap: How many events its stream may hold.
    """
    keys = QueueKeys(view.name)
    told, paused, cursors, dead, *leases = link.read_all(
        ("TIME",),
        ("HGET", keys["meta"], "paused"),
        ("HGETALL", keys.cursors),
        ("ZREVRANGE", keys["dead"], 0, 0, "WITHSCORES"),
        *(("ZRANGE", keys[index], 0, 0, "WITHSCORES") for index in ("reserved", "running")),
    )
    sizes = _sizes(link, keys)
    now = _moment(told)
    return QueueFacts(
        view=view,
        now=now,
        paused=int(paused) / 1_000_000 if paused and paused.isdigit() else None,
        sizes=sizes,
        oldest_lease=min((_score(lease) for lease in leases if lease), default=None),
        newest_dead=_score(dead) if dead else None,
        stream=_stream(link, view.name, now, cap),
        cursors=_cursors(cursors),
        strays=_strays(link, view, sizes),
    )


def _sizes(link: Link, keys: QueueKeys) -> dict[str, int]:
    """All at one moment, because a script runs alone."""
    names = (*INDEXES, "ready_since", "running_since", "tasks")
    commands = [("HLEN" if name == "tasks" else "ZCARD", keys[name]) for name in names]
    return dict(zip(names, link.transaction(*commands), strict=True))


def _score(reply: Sequence[bytes]) -> float:
    """The score of the first entry, µs → seconds."""
    return float(reply[1]) / 1_000_000


def _stream(link: Link, queue: str, now: float, cap: int) -> StreamFacts:
    events = QueueKeys(queue)["events"]
    since = str(max(0, int((now - RECENT_SECONDS) * 1_000)))
    length, oldest, newest, recent = link.read_all(
        ("XLEN", events),
        ("XRANGE", events, "-", "+", "COUNT", 1),
        ("XREVRANGE", events, "+", "-", "COUNT", 1),
        ("XRANGE", events, since, "+", "COUNT", 1),
    )
    return StreamFacts(
        length=length,
        oldest=_told(queue, oldest),
        newest=_told(queue, newest),
        recent=_told(queue, recent),
        cap=cap,
    )


def _told(queue: str, entries: Sequence[Any]) -> Told | None:
    entry = as_entry(queue, entries[0]) if entries else None
    return (
        Told(entry.event.seq, int(entry.id.partition("-")[0]) / 1_000) if isinstance(entry, Entry) else None
    )


def _cursors(flat: Sequence[bytes]) -> tuple[CursorFacts, ...]:
    read = (_cursor(reader, value) for reader, value in zip(flat[::2], flat[1::2], strict=True))
    return tuple(cursor for cursor in read if cursor is not None)


def _cursor(reader: bytes, value: bytes) -> CursorFacts | None:
    """``<stream id> <seq> <ms of the save> <epoch> …``; None for anything else."""
    words = value.decode("utf-8", "replace").split(" ")
    if len(words) < 4 or not (words[1].isdigit() and words[2].isdigit()):
        return None
    return CursorFacts(
        reader=reader.decode("utf-8", "replace"),
        seq=int(words[1]),
        epoch=words[3],
        saved_at=int(words[2]) / 1_000,
    )


def _strays(link: Link, view: QueueView, sizes: Mapping[str, int]) -> tuple[Stray, ...] | None:
    fits = view.mismatch == 0 and sizes["running_since"] == sizes["running"]
    fits = fits and sizes["ready_since"] == sizes["ready"] + sizes["reserved"]
    if fits and view.records > _SMALL:
        return ()
    try:
        return strays(link, view.name)
    except RedisRefused:
        return None
