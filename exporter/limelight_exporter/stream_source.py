"""Reads one queue's stream, and knows what it missed: trimmed events exactly, and a Redis that went back in time.

Every read is inclusive: its first entry must be the one at the position, with the same number. If it is gone and
nothing older is left, entries were trimmed and the numbers say how many; if something older is left, or the
numbers begin anew, or the epoch is another, then Redis went back (restart without persistence, failover, FLUSHALL).
The last number that was given is read before the entries, so that none of those it counts is still to come, and once
more behind them: an entry that claims a higher one was forged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

import msgspec

from limelight.events import VERSION
from limelight.keys import QueueKeys
from limelight.storage.links import Links

BATCH: Final = 1_000
OVERSIZED_BYTES: Final = 1_000_000
_MOST_MARKS: Final = 64
_START: Final = "0-0"
_SECOND: Final = itemgetter(1)

_Entry: TypeAlias = tuple[bytes, list[bytes]]
"""A stream id; field and value by turns."""


class Numbered(Protocol):
    """What a source has to know of an event, whatever else its reader wants of it."""

    @property
    def v(self) -> int: ...  # noqa: D102
    @property
    def queue(self) -> str | None: ...  # noqa: D102
    @property
    def seq(self) -> int: ...  # noqa: D102


EventT = TypeVar("EventT", bound=Numbered)


class _Versioned(msgspec.Struct):
    v: int = 0


class _PackedVersion(msgspec.Struct, array_like=True):
    v: int = 0


_decode_version: Final[Mapping[bytes, Callable[[bytes], _Versioned | _PackedVersion]]] = {
    b"e": msgspec.json.Decoder(_Versioned).decode,
    b"m": msgspec.msgpack.Decoder(_PackedVersion).decode,
}


class Mark(msgspec.Struct, frozen=True):
    """An entry that was read: its stream id and number."""

    id: str
    seq: int


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """How far a stream has been read.

    Attributes:
        epoch: Which life of the stream the numbers count in; "-" before there is any.
        id: Stream id of the last entry read.
        seq: Number of the last event read.
        skipped: Unreadable entries since then; each may stand for one number.
        told: Events folded in all lives of the stream.
        own: Whether the entry at `id` is the event numbered `seq`; not if it was unreadable or forged.
        begun: False until the first read: what is missing before the first event is no loss.
        marks: Some entries read before, at growing distances, to find the way after Redis went back.
    """

    epoch: str = "-"
    id: str = _START
    seq: int = 0
    skipped: int = 0
    told: int = 0
    own: bool = True
    begun: bool = False
    marks: tuple[Mark, ...] = ()

    @property
    def credit(self) -> int:
        """What a state that stands here knows beyond the stream: the same all along one history.

        It grows when Redis forgets what was counted, and falls with every event that was lost; so of two states
        of one epoch the one with more credit has counted more, wherever each of them is.
        """
        return self.told - self.seq


@dataclass(slots=True)
class Batch(Generic[EventT]):
    """What one read brought.

    Attributes:
        events: In stream order.
        hours: For each event when it was told, in hours since 1970, by its stream id: they never fall.
        position: Where to read on once the events are dealt with.
        lost: Events that were trimmed before they could be read.
        rollbacks: How often Redis was found to have gone back.
        malformed: Reason → entries that were skipped for it.
        more: Whether to read again at once.
        written: Of each event the field that held it and what stood there, for those who want more of it.
    """

    position: Position
    events: list[EventT] = field(default_factory=list)
    hours: list[int] = field(default_factory=list)
    lost: int = 0
    rollbacks: int = 0
    malformed: Counter[str] = field(default_factory=Counter)
    more: bool = False
    written: list[tuple[bytes, bytes]] = field(default_factory=list)

    def by_hour(self) -> Iterator[tuple[int, list[EventT]]]:
        """The events in stream order, those of one hour together."""
        if self.hours and self.hours[0] == self.hours[-1]:
            yield self.hours[0], self.events
            return
        pairs = zip(self.hours, self.events, strict=True)
        for hour, group in groupby(pairs, key=itemgetter(0)):
            yield hour, [event for _, event in group]


class StreamSource(Generic[EventT]):
    """Reads the stream of one queue.

    Args:
        links: The way to Redis.
        queue: Name of the queue.
        decoders: By the field of an entry that holds it: makes an event of bytes, or raises msgspec's
            ``DecodeError``. An event that leaves its queue to the stream has None for one.
    """

    def __init__(self, links: Links, queue: str, decoders: Mapping[bytes, Callable[[bytes], EventT]]) -> None:
        self._links = links
        self._own = (None, queue)
        self._decoders = decoders
        keys = QueueKeys(queue)
        self._events, self._meta = keys["events"], keys["meta"]

    def tail(self) -> int:
        """Number of the newest event, 0 if there is none. Raises limelight's RedisError."""
        seq = self._links.to(self._meta).read("HGET", self._meta, "seq")
        return int(seq or 0)

    def beginning(self) -> Position:
        """Before the oldest event that is there: what comes from now on is missed if it goes. Raises RedisError."""
        batch = self.read(Position(), 1)
        before = batch.events[0].seq - 1 if batch.events else batch.position.seq
        return Position(epoch=batch.position.epoch, seq=before, begun=True)

    def read(self, position: Position, count: int = BATCH) -> Batch[EventT]:
        """Read up to `count` events behind a position.

        Raises:
            RedisError: No answer, or an error for one; nothing was read.
        """
        (last_seq, epoch), entries, given = self._fetch(position, count)
        own = entries[0] if entries and entries[0][0].decode() == position.id else None
        if position.begun and position.epoch not in {"-", epoch}:
            return self._other_epoch(position, epoch, own)
        position = msgspec.structs.replace(position, epoch=epoch)
        if position.begun and position.id != _START and self._is_rewritten(position, last_seq, own, entries):
            return self._went_back(position)
        batch: Batch[EventT] = Batch(position, more=len(entries) > count)
        self._walk(batch, entries[1:] if own else entries, last_seq, given)
        return batch

    def _fetch(self, position: Position, count: int) -> tuple[tuple[int, str], list[_Entry], int]:
        """Last number and epoch, entries, last number again. No transaction: a full Redis begins none."""
        start = position.id if position.begun and position.id != _START else "-"
        (seq, epoch), entries, (given, epoch_after) = self._links.to(self._meta).read_all(
            ("HMGET", self._meta, "seq", "epoch"),
            ("XRANGE", self._events, start, "+", "COUNT", count + 1),
            ("HMGET", self._meta, "seq", "epoch"),
        )
        before = int(seq or 0), (epoch or b"-").decode("utf-8", "replace")
        if epoch not in {None, epoch_after}:  # it began anew in between: the next read finds out
            return before, list(entries or ())[:1], before[0]
        return before, list(entries or ()), int(given or 0)

    def _other_epoch(self, position: Position, epoch: str, own: _Entry | None) -> Batch[EventT]:
        """A new life of the numbers. Where the old entries outlived it, read on: the numbers will begin anew."""
        event = self._readable(own) if own else None
        if event is not None and event.seq == position.seq:
            return Batch(msgspec.structs.replace(position, epoch=epoch), more=True)
        return Batch(Position(epoch=epoch, begun=True, told=position.told), rollbacks=1, more=True)

    def _is_rewritten(
        self, position: Position, last_seq: int, own: _Entry | None, entries: Sequence[_Entry]
    ) -> bool:
        """Whether history is another than the one we read. Trimming is not: it takes the oldest first."""
        if own is not None:
            event = self._readable(own)
            return position.own and event is not None and event.seq != position.seq
        if last_seq < position.seq:
            return True
        first = next((event for event in map(self._readable, entries) if event is not None), None)
        if first is not None and first.seq <= position.seq:
            return True
        older = ("XREVRANGE", self._events, f"({position.id}", "-", "COUNT", 1)
        return bool(self._links.to(self._events).read(*older))

    def _readable(self, entry: _Entry) -> EventT | None:
        event = self._event(entry)
        return None if isinstance(event, str) else event

    def _went_back(self, position: Position) -> Batch[EventT]:
        """Read on behind the last entry that we share with what Redis remembers; else from its beginning.

        The marks say between which two it is. What has an id up to ours was read before: a Redis that went back
        gives new entries later ids. Where it did not (two masters at a time), the newest mark must do.
        """
        newest = ("XREVRANGE", self._events, f"({position.id}", "-", "COUNT", 1)
        reads = (("XRANGE", self._events, mark.id, mark.id) for mark in position.marks)
        last, *found = self._links.to(self._events).read_all(newest, *reads)
        kept: list[Mark] = []
        gone = position.seq
        for mark, entries in zip(position.marks, found, strict=True):
            event = self._readable(entries[0]) if entries else None
            if event is None or event.seq != mark.seq:
                gone = mark.seq
                break
            kept.append(mark)
        event = self._readable(last[0]) if last else None
        if event is not None and event.seq < gone and (not kept or event.seq > kept[-1].seq):
            kept.append(Mark(last[0][0].decode(), event.seq))
        return Batch(_behind(kept, position), rollbacks=1, more=True)

    def _walk(self, batch: Batch[EventT], entries: Sequence[_Entry], last_seq: int, given: int) -> None:
        """Take the entries in, and notice every number that is missing or comes again.

        Args:
            batch: Takes what is found.
            entries: Behind its position.
            last_seq: The last number that had been given before they were read.
            given: The last that had been given afterwards.
        """
        start = batch.position
        if entries and (events := self._flawless(entries, start, given)):
            batch.events, batch.hours = events, _hours_of(entries)
            batch.written = [(fields[0], fields[1]) for _, fields in entries]
            newest = Mark(entries[-1][0].decode(), events[-1].seq)
            batch.position = Position(
                epoch=start.epoch, id=newest.id, seq=newest.seq, begun=True,
                told=start.told + len(events), marks=_marked(start.marks, newest),
            )  # fmt: skip
            return
        begun, seq, skipped, last_id, own = start.begun, start.seq, start.skipped, start.id, start.own
        for entry in entries:
            event, last_id = self._event(entry), entry[0].decode()
            own = False
            if isinstance(event, str):
                batch.malformed[event] += 1
                skipped += 1
                continue
            if _is_forged(event.seq, seq, skipped, given, begun=begun):
                batch.malformed["number"] += 1  # and stands for none: they are given out in order
                continue
            if begun and event.seq <= seq:
                batch.rollbacks += 1
            elif begun:
                batch.lost += max(0, event.seq - seq - 1 - skipped)
            own, begun, seq, skipped = True, True, event.seq, 0
            batch.events.append(event)
            batch.hours.append(hour_of(last_id))
            batch.written.append(_written(entry))
        if not entries:
            batch.lost += max(0, last_seq - seq - skipped) if begun else 0
            seq, skipped = max(seq, last_seq), 0 if last_seq > seq else skipped
        batch.position = Position(
            epoch=start.epoch, id=last_id, seq=seq, skipped=skipped, begun=True,
            told=start.told + len(batch.events), own=own,
            marks=_marked(start.marks, Mark(last_id, seq)) if batch.events else start.marks,
        )  # fmt: skip

    def _flawless(self, entries: Sequence[_Entry], start: Position, given: int) -> list[EventT]:
        """The events, if they follow on each other and nothing at all is wrong with any; else none.

        That is how it is nearly always, and found out in half the time that it takes to look at each by itself.
        """
        decoders = self._decoders
        told = [fields for _, fields in entries if len(fields) == 2 and fields[0] in decoders]
        if start.skipped or len(told) < len(entries) or max(map(len, map(_SECOND, told))) > OVERSIZED_BYTES:
            return []
        try:
            events = [decoders[field](raw) for field, raw in told]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return []
        seq = (start.seq if start.begun else events[0].seq - 1) + 1
        if [event.seq for event in events] != list(range(seq, seq + len(events))) or seq < 1:
            return []
        if events[-1].seq > given or any(
            event.v > VERSION or event.queue not in self._own for event in events
        ):
            return []
        return events

    def _event(self, entry: _Entry) -> EventT | str:
        """The event of a stream entry, or the reason why there is none."""
        field, raw = _written(entry)
        if len(raw) > OVERSIZED_BYTES:
            return "oversized"
        try:
            event = self._decoders[field](raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return "version" if _is_of_later_version(field, raw) else "undecodable"
        if event.v > VERSION:
            return "version"
        if event.queue not in self._own or event.seq < 1:
            return "foreign"
        return event


def _written(entry: _Entry) -> tuple[bytes, bytes]:
    """The entry's field of events, and what stands in it."""
    fields = entry[1]
    told = dict(zip(fields[::2], fields[1::2], strict=True))
    field = b"m" if b"m" in told else b"e"
    return field, told.get(field, b"")


def _is_forged(number: int, before: int, skipped: int, last: int, *, begun: bool) -> bool:
    """Whether a number cannot come now.

    Numbers rise up to the last that was given. If that is less than we have read, then they began anew (and what was
    told before may be left over, without a gap: trimming takes the oldest first).
    """
    if before <= last:
        return number > last or (begun and number <= before)
    return number > last and not before < number <= before + skipped + 1


def _behind(kept: Sequence[Mark], position: Position) -> Position:
    """Where to read on after Redis went back: behind the last entry that is still the same."""
    if not kept:
        return Position(epoch=position.epoch, told=position.told)
    last = kept[-1]
    return Position(
        epoch=position.epoch, id=last.id, seq=last.seq, begun=True, told=position.told, marks=tuple(kept)
    )


def hour_of(stream_id: str) -> int:
    """When an entry was written, in hours since 1970: stream ids begin with milliseconds."""
    return int(stream_id.partition("-")[0]) // 3_600_000


def _hours_of(entries: Sequence[_Entry]) -> list[int]:
    """Of each entry; ids never fall, so where the ends agree all do."""
    first, last = hour_of(entries[0][0].decode()), hour_of(entries[-1][0].decode())
    if first == last:
        return [first] * len(entries)
    return [hour_of(stream_id.decode()) for stream_id, _ in entries]


def _is_of_later_version(field: bytes, raw: bytes) -> bool:
    """Whether it is an event of a version whose keys we do not know."""
    try:
        return _decode_version[field](raw).v > VERSION
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _marked(marks: Sequence[Mark], newest: Mark) -> tuple[Mark, ...]:
    """Add a mark; of each doubling of the distance keep the oldest and the newest, so that both move on."""
    buckets: dict[int, list[Mark]] = {}
    for mark in (*(mark for mark in marks if mark.seq < newest.seq), newest):
        buckets.setdefault((newest.seq - mark.seq).bit_length(), []).append(mark)
    ends = {mark.seq: mark for bucket in buckets.values() for mark in (bucket[0], bucket[-1])}
    return tuple(ends[seq] for seq in sorted(ends))[-_MOST_MARKS:]
