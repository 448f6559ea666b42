"""Commands about sorted sets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from .keyspace import Keyspace, Refusal, Reply
from .member_commands import chosen
from .table import Options, command, ranks, real, whole, written
from .values import Bound, SortedSet

_BAD_BOUND: Final = "ERR min or max is not a float"


def _zset(space: Keyspace, key: bytes) -> SortedSet:
    return space.get(key, SortedSet) or SortedSet()


# -- Adding and taking out --------------------------------------------------------------------------------
@command("ZADD")
def zadd(space: Keyspace, key: bytes, *words: bytes) -> Reply:
    options = Options(words)
    flags = options.flags(b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR")
    added = changed = 0
    score: float | None = None
    for member, given in _entries(options.rest(), flags):
        old = _zset(space, key).score(member)
        score = _new_score(old, given, flags)
        if score is not None and score != old:
            space.made(key, SortedSet).put(member, score)
            added, changed = added + (old is None), changed + 1
    if b"INCR" in flags:
        return None if score is None else written(score)
    return changed if b"CH" in flags else added


def _entries(words: Sequence[bytes], flags: set[bytes]) -> list[tuple[bytes, float]]:
    if not words or len(words) % 2:
        raise Refusal("ERR syntax error")
    if (b"NX" in flags and flags & {b"XX", b"GT", b"LT"}) or flags >= {b"GT", b"LT"}:
        raise Refusal("ERR XX and NX, GT, LT, and/or NX options at the same time are not compatible")
    if b"INCR" in flags and len(words) != 2:
        raise Refusal("ERR INCR option supports a single increment-element pair")
    return [(member, real(score)) for score, member in zip(words[::2], words[1::2], strict=True)]


def _new_score(old: float | None, score: float, flags: set[bytes]) -> float | None:
    """The score after a ZADD, None where its flags forbid a change."""
    if (old is None and b"XX" in flags) or (old is not None and b"NX" in flags):
        return None
    if old is None:
        return score
    score = old + score if b"INCR" in flags else score
    if (b"GT" in flags and score <= old) or (b"LT" in flags and score >= old):
        return None
    return score


@command("ZINCRBY")
def zincrby(space: Keyspace, key: bytes, by: bytes, member: bytes) -> Reply:
    return zadd(space, key, b"INCR", by, member)


@command("ZREM")
def zrem(space: Keyspace, key: bytes, member: bytes, *members: bytes) -> Reply:
    value = _zset(space, key)
    gone = sum(value.discard(one) for one in (member, *members))
    space.remove_if_empty(key)
    return gone


def _without(space: Keyspace, key: bytes, found: Iterable[tuple[bytes, float]]) -> list[tuple[bytes, float]]:
    """Take members out; returns them."""
    value, gone = _zset(space, key), list(found)
    for member, _ in gone:
        value.discard(member)
    space.remove_if_empty(key)
    return gone


@command("ZPOPMIN")
def zpopmin(space: Keyspace, key: bytes, count: bytes = b"1") -> Reply:
    return _listed(_without(space, key, _zset(space, key).members(slice(0, whole(count)))), scores=True)


@command("ZPOPMAX")
def zpopmax(space: Keyspace, key: bytes, count: bytes = b"1") -> Reply:
    value = _zset(space, key)
    found = value.members(slice(max(0, len(value) - whole(count)), len(value)), reverse=True)
    return _listed(_without(space, key, found), scores=True)


@command("ZREMRANGEBYRANK")
def zremrangebyrank(space: Keyspace, key: bytes, start: bytes, stop: bytes) -> Reply:
    value = _zset(space, key)
    return len(_without(space, key, value.members(ranks(whole(start), whole(stop), len(value)))))


@command("ZREMRANGEBYSCORE")
def zremrangebyscore(space: Keyspace, key: bytes, low: bytes, high: bytes) -> Reply:
    bounds = _bound(low), _bound(high)
    value = _zset(space, key)
    return len(_without(space, key, value.members(value.between(*bounds))))


# -- Reading ----------------------------------------------------------------------------------------------
@command("ZCARD")
def zcard(space: Keyspace, key: bytes) -> Reply:
    return len(_zset(space, key))


@command("ZSCORE")
def zscore(space: Keyspace, key: bytes, member: bytes) -> Reply:
    score = _zset(space, key).score(member)
    return None if score is None else written(score)


@command("ZMSCORE")
def zmscore(space: Keyspace, key: bytes, member: bytes, *members: bytes) -> Reply:
    return [zscore(space, key, one) for one in (member, *members)]


@command("ZRANK")
def zrank(space: Keyspace, key: bytes, member: bytes) -> Reply:
    return _zset(space, key).rank(member)


@command("ZREVRANK")
def zrevrank(space: Keyspace, key: bytes, member: bytes) -> Reply:
    value = _zset(space, key)
    rank = value.rank(member)
    return None if rank is None else len(value) - 1 - rank


@command("ZCOUNT")
def zcount(space: Keyspace, key: bytes, low: bytes, high: bytes) -> Reply:
    bounds = _bound(low), _bound(high)
    value = _zset(space, key)
    return len(value.members(value.between(*bounds)))


@command("ZRANGE")
def zrange(space: Keyspace, key: bytes, start: bytes, stop: bytes, *words: bytes) -> Reply:
    options, flags = Options(words), set[bytes]()
    limit: tuple[int, int] | None = None
    while options:
        found = options.flags(b"BYSCORE", b"REV", b"WITHSCORES")
        flags |= found
        if options.flag(b"LIMIT"):
            limit = (whole(options.word()), whole(options.word()))
        elif not found:
            options.done()
    reverse = b"REV" in flags
    if b"BYSCORE" in flags:
        low, high = map(_bound, (stop, start) if reverse else (start, stop))
        value = _zset(space, key)
        members = value.members(value.between(low, high), reverse=reverse)
    elif limit is not None:
        raise Refusal("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
    else:
        value = _zset(space, key)
        at, count = ranks(whole(start), whole(stop), len(value)), len(value)
        mirrored = slice(max(0, count - at.stop), max(0, count - at.start))
        members = value.members(mirrored if reverse else at, reverse=reverse)
    return _listed(_limited(members, limit), scores=b"WITHSCORES" in flags)


@command("ZREVRANGE")
def zrevrange(space: Keyspace, key: bytes, start: bytes, stop: bytes, *words: bytes) -> Reply:
    return zrange(space, key, start, stop, b"REV", *words)


@command("ZRANGEBYSCORE")
def zrangebyscore(space: Keyspace, key: bytes, low: bytes, high: bytes, *words: bytes) -> Reply:
    return zrange(space, key, low, high, b"BYSCORE", *words)


@command("ZREVRANGEBYSCORE")
def zrevrangebyscore(space: Keyspace, key: bytes, high: bytes, low: bytes, *words: bytes) -> Reply:
    return zrange(space, key, high, low, b"BYSCORE", b"REV", *words)


@command("ZSCAN")
def zscan(space: Keyspace, key: bytes, _cursor: bytes, *words: bytes) -> Reply:
    value = _zset(space, key)
    wanted = set(chosen((member for member, _ in value), words))
    return [b"0", _listed([entry for entry in value if entry[0] in wanted], scores=True)]


def _bound(word: bytes) -> Bound:
    exclusive = word.startswith(b"(")
    return Bound(real(word[1:] if exclusive else word, refusal=_BAD_BOUND), exclusive)


def _limited(members: list[tuple[bytes, float]], limit: tuple[int, int] | None) -> list[tuple[bytes, float]]:
    if limit is None:
        return members
    offset, count = limit
    if offset < 0:
        return []
    return members[offset:] if count < 0 else members[offset : offset + count]


def _listed(members: Iterable[tuple[bytes, float]], *, scores: bool) -> list[Reply]:
    if not scores:
        return [member for member, _ in members]
    return [word for member, score in members for word in (member, written(score))]
