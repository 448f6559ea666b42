"""One queue's stream of durable events: parts of it, and its end. Reads only, by whatever sends its commands.

The stream numbers its events without a gap, so a reader knows what it missed: `Missed` says which numbers were
trimmed before they could be read, `WentBack` that Redis forgot events it had told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec

from .events import Event, decode
from .keys import QueueKeys
from .packed_event import as_json

BATCH: Final = 500
_BEGINNING: Final = "0-0"

Command: TypeAlias = Sequence[str | int]
Ask: TypeAlias = Callable[[str, Sequence[Command]], list[Any]]
"""Sends reads about keys of one slot, of which it is given one, in one trip; raises an error of ours."""
_Raw: TypeAlias = tuple[bytes, Sequence[bytes]]
"""A stream id; field and value by turns."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event as it stands on its queue's stream.

    Attributes:
        id: Stream id: ``<Unix ms by Redis' clock>-<number>``.
        event: The event.
        json: The same as UTF-8 JSON, with the keys that this version does not know too.
    """

    id: str
    event: Event
    json: bytes


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An entry of the stream that is no event; `reason` is for people."""

    queue: str
    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Missed:
    """The events numbered `first` to `last` were trimmed before they could be read."""

    queue: str
    first: int
    last: int

    @property
    def count(self) -> int:
        """How many these are."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class WentBack:
    """Redis forgot events: it stood at `before`, and now tells on behind `after` (a restart, a failover, a flush)."""

    queue: str
    before: int
    after: int


StreamItem: TypeAlias = Entry | Unreadable | Missed | WentBack


class Source:
    """One queue's items, a batch of them at hand."""

    def __init__(self, queue: str, ask: Ask) -> None:
        self.queue = queue
        self._key = QueueKeys(queue)["events"]
        self.items: deque[tuple[str, StreamItem]] = deque()
        self._ask = ask

    def fill(self) -> None:
        """Have the next batch at hand, if there is one and the last is used up."""
        raise NotImplementedError


class Pages(Source):
    """A part of one queue's stream, from one id to another, in either order."""

    def __init__(self, queue: str, ask: Ask, first: str, last: str, *, newest_first: bool) -> None:
        super().__init__(queue, ask)
        self._command = "XREVRANGE" if newest_first else "XRANGE"
        self._from, self._to = (last, first) if newest_first else (first, last)
        self._more = True

    def fill(self) -> None:
        """Read the next page."""
        if self.items or not self._more:
            return
        (entries,) = self._ask(self._key, [(self._command, self._key, self._from, self._to, "COUNT", BATCH)])
        self._more = len(entries) == BATCH
        for raw in entries:
            item = as_entry(self.queue, raw)
            self.items.append((item.id, item))
            self._from = f"({item.id}"


class Tail(Source):
    """The end of one queue's stream, from a position on.

    Every read is inclusive: its first entry must be the one at the position, with the same number. If it is
    gone, the numbers that follow tell whether entries were trimmed, or whether Redis went back.

    Args:
        queue: Whose.
        ask: Sends reads to Redis.
        start: Stream id to begin at, unless `go_to_end` is called.
    """

    def __init__(self, queue: str, ask: Ask, start: str) -> None:
        super().__init__(queue, ask)
        self._behind = True
        self._start = start
        self._id = ""
        self._seq: int | None = None
        self._epoch = ""
        self._skipped = 0

    def go_to_end(self) -> None:
        """Take up position behind the newest event."""
        told, newest = self._ask(self._key, [count_command(self.queue), _newest_of(self.queue)])
        self._seq, self._epoch = as_count(told)
        self._stand_at(newest)
        self._behind = False

    def notice(self, seq: int, epoch: str) -> None:
        """So many events were told in this life of the stream: news or not."""
        self._behind = self._behind or (seq, epoch) != (self._seq, self._epoch)

    def fill(self) -> None:
        """Read on, if there is news."""
        if self.items or not self._behind:
            return
        # The count comes first: whatever it counts was on the stream when the entries were read.
        entries = _range_of(self.queue, self._id or self._start, "+", BATCH + 1)
        told, raw = self._ask(self._key, [count_command(self.queue), entries])
        self._behind = len(raw) > BATCH
        self._take(*as_count(told), [as_entry(self.queue, entry) for entry in raw])

    def _take(self, last_seq: int, epoch: str, entries: list[Entry | Unreadable]) -> None:
        own = entries.pop(0) if entries and entries[0].id == self._id else None
        if self._is_rewritten(last_seq, epoch, own, entries):
            self._go_back(last_seq, epoch, own, entries)
        elif self._seq is None:
            self._seq = _before(entries, otherwise=last_seq)
        elif not entries:
            self._note_missed(last_seq + 1, _BEGINNING)
            self._seq = max(self._seq, last_seq - self._skipped)
        self._epoch = epoch
        for entry in entries:
            self._walk(entry)

    def _is_rewritten(
        self, last_seq: int, epoch: str, own: Entry | Unreadable | None, entries: Sequence[Entry | Unreadable]
    ) -> bool:
        if self._seq is None:
            return False
        if (self._epoch and epoch != self._epoch) or last_seq < self._seq:
            return True
        if own is not None:
            return isinstance(own, Entry) and own.event.seq != self._seq and not self._skipped
        return _before(entries, otherwise=last_seq) < self._seq

    def _go_back(
        self, last_seq: int, epoch: str, own: Entry | Unreadable | None, entries: Sequence[Entry | Unreadable]
    ) -> None:
        """Tell of it, and go on behind our position, or where even the ids went back: behind what is there."""
        before, after = self._seq or 0, _before(entries, otherwise=last_seq)
        if not entries and own is None:
            self._id, self._start = "", "-"
            if epoch == self._epoch:
                self._stand_at(self._ask(self._key, [_newest_of(self.queue)])[0])
            else:
                after, self._behind = 0, last_seq > 0
        self._seq, self._skipped = after, 0
        self.items.append((_BEGINNING, WentBack(self.queue, before, after)))

    def _walk(self, entry: Entry | Unreadable) -> None:
        self._id = entry.id
        if isinstance(entry, Unreadable):
            self._skipped += 1
        else:
            self._check_number(entry.event.seq, entry.id)
            self._seq, self._skipped = entry.event.seq, 0
        self.items.append((entry.id, entry))

    def _check_number(self, seq: int, order: str) -> None:
        if self._seq is not None and seq <= self._seq:
            self.items.append((order, WentBack(self.queue, self._seq, seq - 1)))
        else:
            self._note_missed(seq, order)

    def _note_missed(self, next_seq: int, order: str) -> None:
        """Of the numbers before `next_seq`; each unreadable entry may stand for one of them."""
        first = (self._seq or 0) + self._skipped + 1
        if first < next_seq:
            self.items.append((order, Missed(self.queue, first, next_seq - 1)))

    def _stand_at(self, newest: Sequence[_Raw]) -> None:
        """At an entry, or at the beginning of a stream that has none."""
        self._start = "-"
        for raw in newest:
            entry = as_entry(self.queue, raw)
            self._id = entry.id
            if isinstance(entry, Entry):
                self._seq = entry.event.seq


def next_item(sources: Sequence[Source], *, backwards: bool = False) -> StreamItem | None:
    """The next item of all sources by stream id; None if nothing is at hand. Raises with nothing lost."""
    for source in sources:
        source.fill()
    full = [source for source in sources if source.items]
    if not full:
        return None
    choose = max if backwards else min
    return choose(full, key=lambda source: _order(source.items[0][0])).items.popleft()[1]


def as_entry(queue: str, raw: _Raw) -> Entry | Unreadable:
    """The event of an entry as Redis answers it. The one place that knows how events stand on a stream."""
    stream_id, fields = raw[0].decode(), dict(zip(raw[1][::2], raw[1][1::2], strict=False))
    try:
        told = as_json(queue, fields)
        event = decode(told)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Unreadable(queue, stream_id, str(error))
    if event.queue != queue or event.seq < 1:
        return Unreadable(queue, stream_id, "it is no event of this queue")
    return Entry(stream_id, event, told)


def oldest_command(queue: str) -> Command:
    """Asks for the oldest entry of a queue's stream."""
    return _range_of(queue, "-", "+", 1)


def count_command(queue: str) -> Command:
    """Asks how many events a queue told; see `as_count`."""
    return ("HMGET", QueueKeys(queue)["meta"], "seq", "epoch")


def as_count(reply: Sequence[bytes | None]) -> tuple[int, str]:
    """Number of the newest event, and which life of the stream it counts in ("": none yet)."""
    seq, epoch = (value or b"" for value in reply)
    return int(seq) if seq.isdigit() else 0, epoch.decode("utf-8", "replace")


def _newest_of(queue: str) -> Command:
    return ("XREVRANGE", QueueKeys(queue)["events"], "+", "-", "COUNT", 1)


def _range_of(queue: str, first: str, last: str, count: int) -> Command:
    return ("XRANGE", QueueKeys(queue)["events"], first, last, "COUNT", count)


def _before(entries: Sequence[Entry | Unreadable], *, otherwise: int) -> int:
    """The number before that of the first event."""
    return next((entry.event.seq - 1 for entry in entries if isinstance(entry, Entry)), otherwise)


def _order(stream_id: str) -> tuple[int, int]:
    ms, _, number = stream_id.partition("-")
    return int(ms), int(number)
