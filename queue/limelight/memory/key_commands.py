"""Commands about keys and strings, and about the server; like all here, as Redis 6.2 has them."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

from .keyspace import NAMES, OK, Keyspace, Refusal, Reply, Status
from .table import Options, command, pairs, real, whole, written

_INFO = (
    b"# Server\r\nredis_version:7.0.0\r\nredis_mode:standalone\r\n"
    b"# Memory\r\nused_memory:0\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n"
)


# -- Keys -------------------------------------------------------------------------------------------------
@command("DEL", "UNLINK")
def delete(space: Keyspace, *keys: bytes) -> Reply:
    return sum(space.value(key) is not None and space.remove(key) for key in keys)


@command("EXISTS")
def exists(space: Keyspace, *keys: bytes) -> Reply:
    return sum(space.value(key) is not None for key in keys)


@command("TYPE")
def kind_of(space: Keyspace, key: bytes) -> Reply:
    value = space.value(key)
    return Status(b"none" if value is None else NAMES[type(value)])


@command("KEYS")
def keys_like(space: Keyspace, pattern: bytes) -> Reply:
    return list(matching(space, pattern))


@command("SCAN")
def scan(space: Keyspace, _cursor: bytes, *words: bytes) -> Reply:
    """All keys in one go: this store is small."""
    options = Options(words)
    found: Iterable[bytes] = list(space)
    while options:
        if (pattern := options.value(b"MATCH")) is not None:
            found = matching(found, pattern)
        elif (kind := options.value(b"TYPE")) is not None:
            found = [key for key in found if kind_of(space, key) == kind.lower()]
        elif options.number(b"COUNT") is None:
            options.done()
    return [b"0", list(found)]


def matching(names: Iterable[bytes], pattern: bytes) -> list[bytes]:
    """The names that a pattern of Redis' finds."""
    shape = pattern.decode("latin-1")
    return [name for name in names if fnmatch.fnmatchcase(name.decode("latin-1"), shape)]


@command("RENAME")
def rename(space: Keyspace, key: bytes, name: bytes) -> Reply:
    value, end = space.value(key), space.end(key)
    if value is None:
        raise Refusal("ERR no such key")
    space.remove(key)
    space.put(name, value)
    space.set_end(name, end)
    return OK


@command("FLUSHALL", "FLUSHDB")
def flush(space: Keyspace, *_how: bytes) -> Reply:
    space.clear()
    return OK


@command("DBSIZE")
def size(space: Keyspace) -> Reply:
    return sum(1 for _ in space)


def _expire(space: Keyspace, key: bytes, ms: int) -> int:
    if space.value(key) is None:
        return 0
    space.set_end(key, ms)
    return 1


@command("EXPIRE")
def expire(space: Keyspace, key: bytes, seconds: bytes) -> Reply:
    return _expire(space, key, space.now_ms + whole(seconds) * 1000)


@command("PEXPIRE")
def pexpire(space: Keyspace, key: bytes, ms: bytes) -> Reply:
    return _expire(space, key, space.now_ms + whole(ms))


@command("EXPIREAT")
def expire_at(space: Keyspace, key: bytes, seconds: bytes) -> Reply:
    return _expire(space, key, whole(seconds) * 1000)


@command("PEXPIREAT")
def pexpire_at(space: Keyspace, key: bytes, ms: bytes) -> Reply:
    return _expire(space, key, whole(ms))


@command("PTTL")
def pttl(space: Keyspace, key: bytes) -> Reply:
    if space.value(key) is None:
        return -2
    end = space.end(key)
    return -1 if end is None else end - space.now_ms


@command("TTL")
def ttl(space: Keyspace, key: bytes) -> Reply:
    left = pttl(space, key)
    return (left + 500) // 1000 if isinstance(left, int) and left > 0 else left


@command("PERSIST")
def persist(space: Keyspace, key: bytes) -> Reply:
    if space.value(key) is None or space.end(key) is None:
        return 0
    space.set_end(key, None)
    return 1


# -- Strings ----------------------------------------------------------------------------------------------
@command("GET")
def get(space: Keyspace, key: bytes) -> Reply:
    return space.get(key, bytes)


@command("MGET")
def mget(space: Keyspace, *keys: bytes) -> Reply:
    values = (space.value(key) for key in keys)
    return [value if isinstance(value, bytes) else None for value in values]


@command("SET")
def put(space: Keyspace, key: bytes, value: bytes, *words: bytes) -> Reply:
    options, flags, end = Options(words), set[bytes](), None
    while options:
        found = options.flags(b"NX", b"XX", b"GET", b"KEEPTTL")
        asked = _end(space, options)
        if asked is not None:
            end = asked
        elif not found:
            options.done()
        flags |= found
    before = space.value(key)
    old = space.get(key, bytes) if b"GET" in flags else None
    if (b"NX" in flags and before is not None) or (b"XX" in flags and before is None):
        return old
    space.put(key, value)
    if b"KEEPTTL" not in flags:
        space.set_end(key, end)
    return old if b"GET" in flags else OK


_ENDS = ((b"EX", 1000, True), (b"PX", 1, True), (b"EXAT", 1000, False), (b"PXAT", 1, False))


def _end(space: Keyspace, options: Options) -> int | None:
    """The end of life that the next words ask for, Unix ms; None if they do not."""
    for name, unit, from_now in _ENDS:
        number = options.number(name)
        if number is not None:
            if number <= 0:
                raise Refusal("ERR invalid expire time in 'set' command")
            return number * unit + (space.now_ms if from_now else 0)
    return None


@command("SETNX")
def put_if_new(space: Keyspace, key: bytes, value: bytes) -> Reply:
    return int(put(space, key, value, b"NX") is not None)


@command("SETEX")
def put_for_seconds(space: Keyspace, key: bytes, seconds: bytes, value: bytes) -> Reply:
    return put(space, key, value, b"EX", seconds)


@command("PSETEX")
def put_for_ms(space: Keyspace, key: bytes, ms: bytes, value: bytes) -> Reply:
    return put(space, key, value, b"PX", ms)


@command("GETSET")
def swap(space: Keyspace, key: bytes, value: bytes) -> Reply:
    return put(space, key, value, b"GET")


@command("MSET")
def put_many(space: Keyspace, *words: bytes) -> Reply:
    for key, value in pairs(words, "mset"):
        put(space, key, value)
    return OK


@command("GETDEL")
def take(space: Keyspace, key: bytes) -> Reply:
    value = space.get(key, bytes)
    space.remove(key)
    return value


@command("GETEX")
def get_and_expire(space: Keyspace, key: bytes, *words: bytes) -> Reply:
    value, options = space.get(key, bytes), Options(words)
    if value is not None and options.flag(b"PERSIST"):
        space.set_end(key, None)
    elif value is not None and (end := _end(space, options)) is not None:
        space.set_end(key, end)
    return value


@command("APPEND")
def append(space: Keyspace, key: bytes, more: bytes) -> Reply:
    value = space.made(key, bytes) + more
    space.put(key, value)
    return len(value)


@command("STRLEN")
def length(space: Keyspace, key: bytes) -> Reply:
    return len(space.get(key, bytes) or b"")


@command("INCRBY")
def add(space: Keyspace, key: bytes, by: bytes) -> Reply:
    before = space.get(key, bytes)
    number = whole(b"%d" % (whole(b"0" if before is None else before) + whole(by)))
    space.put(key, b"%d" % number)
    return number


@command("DECRBY")
def subtract(space: Keyspace, key: bytes, by: bytes) -> Reply:
    return add(space, key, b"%d" % -whole(by))


@command("INCR")
def add_one(space: Keyspace, key: bytes) -> Reply:
    return add(space, key, b"1")


@command("DECR")
def subtract_one(space: Keyspace, key: bytes) -> Reply:
    return add(space, key, b"-1")


@command("INCRBYFLOAT")
def add_real(space: Keyspace, key: bytes, by: bytes) -> Reply:
    before = space.get(key, bytes)
    value = written(real(b"0" if before is None else before) + real(by))
    space.put(key, value)
    return value


# -- The server -------------------------------------------------------------------------------------------
@command("PING")
def ping(_space: Keyspace, message: bytes | None = None) -> Reply:
    return Status(b"PONG") if message is None else message


@command("ECHO")
def echo(_space: Keyspace, message: bytes) -> Reply:
    return message


@command("TIME")
def time(space: Keyspace) -> Reply:
    return [b"%d" % part for part in divmod(space.now_us(), 1_000_000)]


@command("INFO")
def info(_space: Keyspace, *_sections: bytes) -> Reply:
    return _INFO


@command("CONFIG")
def config(_space: Keyspace, *_words: bytes) -> Reply:
    """There is nothing to configure."""
    return []


@command("CLIENT", "SELECT", "AUTH")
def greet(_space: Keyspace, *_words: bytes) -> Reply:
    """What a connection says of itself when it opens: taken as it comes; there is one database."""
    return OK
