"""The kinds of value that have an order of their own: sorted sets and streams. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, Self

TRIM_UNIT: Final = 100
"""An approximate trim takes whole lots of this many entries off a stream, as Redis does with its nodes."""


class Bound(NamedTuple):
    """One end of a range of scores."""

    score: float
    exclusive: bool = False


class SortedSet:
    """Members in the order of their scores, then of their bytes."""

    def __init__(self, scores: Mapping[bytes, float] | None = None) -> None:
        self._scores: dict[bytes, float] = dict(scores or {})
        self._order: list[tuple[float, bytes]] = sorted((s, m) for m, s in self._scores.items())

    def __len__(self) -> int:
        return len(self._scores)

    def __iter__(self) -> Iterator[tuple[bytes, float]]:
        return ((member, score) for score, member in self._order)

    def score(self, member: bytes) -> float | None:
        """The member's score, None if it is not in the set."""
        return self._scores.get(member)

    def put(self, member: bytes, score: float) -> None:
        """Add a member, or move it."""
        self.discard(member)
        self._scores[member] = score
        entry = (score, member)
        self._order.insert(bisect_left(self._order, entry), entry)

    def discard(self, member: bytes) -> bool:
        """Take a member out; False if it was not in."""
        score = self._scores.pop(member, None)
        if score is None:
            return False
        del self._order[bisect_left(self._order, (score, member))]
        return True

    def rank(self, member: bytes) -> int | None:
        """How many members come before it, None if it is not in the set."""
        score = self._scores.get(member)
        return None if score is None else bisect_left(self._order, (score, member))

    def between(self, low: Bound, high: Bound) -> slice:
        """The ranks of the scores from one bound to the other."""
        return slice(self._at(low, after=low.exclusive), self._at(high, after=not high.exclusive))

    def members(self, ranks: slice, *, reverse: bool = False) -> list[tuple[bytes, float]]:
        """The members of some ranks with their scores, the highest first if reversed."""
        found = [(member, score) for score, member in self._order[ranks]]
        return found[::-1] if reverse else found

    def _at(self, bound: Bound, *, after: bool) -> int:
        """The first rank from a score on, or after it."""
        if after and bound.score == math.inf:
            return len(self._order)
        score = math.nextafter(bound.score, math.inf) if after else bound.score
        return bisect_left(self._order, (score,))


class EntryId(NamedTuple):
    """The id of a stream's entry: Unix milliseconds and a number."""

    ms: int
    number: int

    @classmethod
    def parsed(cls, text: bytes, *, number: int = 0) -> Self:
        """From ``ms-number`` or ``ms`` (then with the given number); raises ValueError."""
        ms, dash, rest = text.partition(b"-")
        return cls(int(ms), int(rest) if dash else number)

    @property
    def text(self) -> bytes:
        """As Redis writes it."""
        return b"%d-%d" % self

    @property
    def next(self) -> EntryId:
        """The smallest id after this one."""
        return EntryId(self.ms, self.number + 1)


class Stream:
    """Entries in the order of their ids.

    Attributes:
        last: The newest id that was ever given.
    """

    def __init__(self) -> None:
        self.last = EntryId(0, 0)
        self._ids: list[EntryId] = []
        self._fields: dict[EntryId, list[bytes]] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, entry_id: EntryId, fields: list[bytes]) -> None:
        """Append an entry; its id is greater than `last`."""
        self._ids.append(entry_id)
        self._fields[entry_id] = fields
        self.last = entry_id

    def discard(self, entry_id: EntryId) -> bool:
        """Take an entry out; False if there was none."""
        if self._fields.pop(entry_id, None) is None:
            return False
        del self._ids[bisect_left(self._ids, entry_id)]
        return True

    def entries(self, low: EntryId, high: EntryId) -> list[tuple[EntryId, list[bytes]]]:
        """The entries from one id to another, both included."""
        ids = self._ids[bisect_left(self._ids, low) : bisect_left(self._ids, high.next)]
        return [(one, self._fields[one]) for one in ids]

    def keep_newest(self, count: int, *, about: bool) -> int:
        """Trim to so many entries, or a lot more where `about` is said; returns how many are gone."""
        return self._trim(len(self._ids) - count, about=about)

    def keep_from(self, least: EntryId, *, about: bool) -> int:
        """Trim what is older than an id, as `keep_newest` does."""
        return self._trim(bisect_left(self._ids, least), about=about)

    def _trim(self, surplus: int, *, about: bool) -> int:
        count = max(0, surplus - surplus % TRIM_UNIT if about else surplus)
        for entry_id in self._ids[:count]:
            del self._fields[entry_id]
        del self._ids[:count]
        return count
