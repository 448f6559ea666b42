"""Commands about hashes, lists and sets."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable

from .key_commands import matching
from .keyspace import OK, Keyspace, Refusal, Reply
from .table import Options, command, pairs, ranks, real, whole, written


# -- Hashes -----------------------------------------------------------------------------------------------
def _hash(space: Keyspace, key: bytes) -> dict[bytes, bytes]:
    return space.get(key, dict) or {}


@command("HSET")
def hset(space: Keyspace, key: bytes, *words: bytes) -> Reply:
    fields = dict(pairs(words, "hset"))
    value = space.made(key, dict)
    new = sum(field not in value for field in fields)
    value.update(fields)
    return new


@command("HMSET")
def hmset(space: Keyspace, key: bytes, *words: bytes) -> Reply:
    space.made(key, dict).update(pairs(words, "hmset"))
    return OK


@command("HSETNX")
def hsetnx(space: Keyspace, key: bytes, field: bytes, value: bytes) -> Reply:
    if field in _hash(space, key):
        return 0
    space.made(key, dict)[field] = value
    return 1


@command("HGET")
def hget(space: Keyspace, key: bytes, field: bytes) -> Reply:
    return _hash(space, key).get(field)


@command("HMGET")
def hmget(space: Keyspace, key: bytes, field: bytes, *fields: bytes) -> Reply:
    value = _hash(space, key)
    return [value.get(one) for one in (field, *fields)]


@command("HDEL")
def hdel(space: Keyspace, key: bytes, field: bytes, *fields: bytes) -> Reply:
    value = _hash(space, key)
    gone = sum(value.pop(one, None) is not None for one in (field, *fields))
    space.remove_if_empty(key)
    return gone


@command("HEXISTS")
def hexists(space: Keyspace, key: bytes, field: bytes) -> Reply:
    return int(field in _hash(space, key))


@command("HLEN")
def hlen(space: Keyspace, key: bytes) -> Reply:
    return len(_hash(space, key))


@command("HSTRLEN")
def hstrlen(space: Keyspace, key: bytes, field: bytes) -> Reply:
    return len(_hash(space, key).get(field, b""))


@command("HKEYS")
def hkeys(space: Keyspace, key: bytes) -> Reply:
    return list(_hash(space, key))


@command("HVALS")
def hvals(space: Keyspace, key: bytes) -> Reply:
    return list(_hash(space, key).values())


@command("HGETALL")
def hgetall(space: Keyspace, key: bytes) -> Reply:
    return _flat(_hash(space, key).items())


@command("HINCRBY")
def hincrby(space: Keyspace, key: bytes, field: bytes, by: bytes) -> Reply:
    try:
        before = whole(_hash(space, key).get(field, b"0"))
    except Refusal:
        raise Refusal("ERR hash value is not an integer") from None
    number = whole(b"%d" % (before + whole(by)))
    space.made(key, dict)[field] = b"%d" % number
    return number


@command("HINCRBYFLOAT")
def hincrbyfloat(space: Keyspace, key: bytes, field: bytes, by: bytes) -> Reply:
    before = real(_hash(space, key).get(field, b"0"), refusal="ERR hash value is not a float")
    value = written(before + real(by))
    space.made(key, dict)[field] = value
    return value


@command("HSCAN")
def hscan(space: Keyspace, key: bytes, _cursor: bytes, *words: bytes) -> Reply:
    value = _hash(space, key)
    return [b"0", _flat((field, value[field]) for field in chosen(value, words))]


def _flat(items: Iterable[tuple[bytes, bytes]]) -> list[Reply]:
    return [word for item in items for word in item]


def chosen(names: Iterable[bytes], words: Iterable[bytes]) -> list[bytes]:
    """The names that the options of a SCAN ask for; all come in one go."""
    options, found = Options(words), list(names)
    while options:
        if (pattern := options.value(b"MATCH")) is not None:
            found = matching(found, pattern)
        elif options.number(b"COUNT") is None:
            options.done()
    return found


# -- Lists ------------------------------------------------------------------------------------------------
def _list(space: Keyspace, key: bytes) -> deque[bytes]:
    found = space.get(key, deque)
    return deque() if found is None else found


@command("LPUSH")
def lpush(space: Keyspace, key: bytes, item: bytes, *items: bytes) -> Reply:
    value = space.made(key, deque)
    value.extendleft((item, *items))
    return len(value)


@command("RPUSH")
def rpush(space: Keyspace, key: bytes, item: bytes, *items: bytes) -> Reply:
    value = space.made(key, deque)
    value.extend((item, *items))
    return len(value)


def _popped(space: Keyspace, key: bytes, count: bytes | None, end: str) -> Reply:
    value = _list(space, key)
    pop: Callable[[], bytes] = getattr(value, end)
    if not value:
        return None
    found = [pop() for _ in range(min(len(value), 1 if count is None else whole(count)))]
    space.remove_if_empty(key)
    return found[0] if count is None else list(found)


@command("LPOP")
def lpop(space: Keyspace, key: bytes, count: bytes | None = None) -> Reply:
    return _popped(space, key, count, "popleft")


@command("RPOP")
def rpop(space: Keyspace, key: bytes, count: bytes | None = None) -> Reply:
    return _popped(space, key, count, "pop")


@command("LMOVE")
def lmove(space: Keyspace, source: bytes, target: bytes, here: bytes, there: bytes) -> Reply:
    if _list(space, source):
        _list(space, target)  # refused before anything is taken
    item = lpop(space, source) if here.upper() == b"LEFT" else rpop(space, source)
    if isinstance(item, bytes):
        (lpush if there.upper() == b"LEFT" else rpush)(space, target, item)
    return item


@command("LLEN")
def llen(space: Keyspace, key: bytes) -> Reply:
    return len(_list(space, key))


@command("LRANGE")
def lrange(space: Keyspace, key: bytes, start: bytes, stop: bytes) -> Reply:
    value = list(_list(space, key))
    return list(value[ranks(whole(start), whole(stop), len(value))])


@command("LINDEX")
def lindex(space: Keyspace, key: bytes, rank: bytes) -> Reply:
    value, at = _list(space, key), whole(rank)
    return value[at] if -len(value) <= at < len(value) else None


@command("LTRIM")
def ltrim(space: Keyspace, key: bytes, start: bytes, stop: bytes) -> Reply:
    value = _list(space, key)
    kept = list(value)[ranks(whole(start), whole(stop), len(value))]
    value.clear()
    value.extend(kept)
    space.remove_if_empty(key)
    return OK


@command("LREM")
def lrem(space: Keyspace, key: bytes, count: bytes, item: bytes) -> Reply:
    value, most = _list(space, key), whole(count)
    at = [rank for rank, one in enumerate(value) if one == item]
    gone = at[:most] if most > 0 else at[most:]
    for rank in reversed(gone):
        del value[rank]
    space.remove_if_empty(key)
    return len(gone)


@command("LSET")
def lset(space: Keyspace, key: bytes, rank: bytes, item: bytes) -> Reply:
    value, at = space.get(key, deque), whole(rank)
    if value is None:
        raise Refusal("ERR no such key")
    if not -len(value) <= at < len(value):
        raise Refusal("ERR index out of range")
    value[at] = item
    return OK


# -- Sets -------------------------------------------------------------------------------------------------
def _set(space: Keyspace, key: bytes) -> set[bytes]:
    return space.get(key, set) or set()


@command("SADD")
def sadd(space: Keyspace, key: bytes, member: bytes, *members: bytes) -> Reply:
    value = space.made(key, set)
    before = len(value)
    value.update((member, *members))
    return len(value) - before


@command("SREM")
def srem(space: Keyspace, key: bytes, member: bytes, *members: bytes) -> Reply:
    value = _set(space, key)
    before = len(value)
    value.difference_update((member, *members))
    space.remove_if_empty(key)
    return before - len(value)


@command("SMEMBERS")
def smembers(space: Keyspace, key: bytes) -> Reply:
    return [*sorted(_set(space, key))]


@command("SISMEMBER")
def sismember(space: Keyspace, key: bytes, member: bytes) -> Reply:
    return int(member in _set(space, key))


@command("SMISMEMBER")
def smismember(space: Keyspace, key: bytes, member: bytes, *members: bytes) -> Reply:
    value = _set(space, key)
    return [int(one in value) for one in (member, *members)]


@command("SCARD")
def scard(space: Keyspace, key: bytes) -> Reply:
    return len(_set(space, key))


@command("SRANDMEMBER")
def srandmember(space: Keyspace, key: bytes, count: bytes | None = None) -> Reply:
    value = sorted(_set(space, key))
    if count is None:
        return random.choice(value) if value else None
    wanted = whole(count)
    return list(
        random.sample(value, min(wanted, len(value))) if wanted >= 0 else random.choices(value, k=-wanted)
    )


@command("SPOP")
def spop(space: Keyspace, key: bytes, count: bytes | None = None) -> Reply:
    found = srandmember(space, key, count)
    gone = found if isinstance(found, list) else [found]
    _set(space, key).difference_update(member for member in gone if isinstance(member, bytes))
    space.remove_if_empty(key)
    return found


@command("SUNION")
def sunion(space: Keyspace, key: bytes, *keys: bytes) -> Reply:
    return [*sorted(_set(space, key).union(*(_set(space, other) for other in keys)))]


@command("SINTER")
def sinter(space: Keyspace, key: bytes, *keys: bytes) -> Reply:
    return [*sorted(_set(space, key).intersection(*(_set(space, other) for other in keys)))]


@command("SDIFF")
def sdiff(space: Keyspace, key: bytes, *keys: bytes) -> Reply:
    return [*sorted(_set(space, key).difference(*(_set(space, other) for other in keys)))]


@command("SSCAN")
def sscan(space: Keyspace, key: bytes, _cursor: bytes, *words: bytes) -> Reply:
    return [b"0", list(chosen(sorted(_set(space, key)), words))]
