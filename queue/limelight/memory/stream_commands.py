"""Commands about streams."""

from __future__ import annotations

from typing import Final

from .keyspace import Keyspace, Refusal, Reply
from .table import Options, command, whole
from .values import EntryId, Stream

_BAD_ID: Final = "ERR Invalid stream ID specified as stream command argument"
_NOT_NEWER: Final = "ERR The ID specified in XADD is equal or smaller than the target stream top item"
_LAST_NUMBER: Final = 2**64 - 1


def _stream(space: Keyspace, key: bytes) -> Stream:
    found = space.get(key, Stream)
    return Stream() if found is None else found


@command("XADD")
def xadd(space: Keyspace, key: bytes, *words: bytes) -> Reply:
    options = Options(words)
    no_new = options.flag(b"NOMKSTREAM")
    trim = _trim(options)
    given, fields = options.word(), options.rest()
    if not fields or len(fields) % 2:
        raise Refusal("ERR wrong number of arguments for 'xadd' command")
    if given != b"*" and _id(given.removesuffix(b"-*")) == (0, 0) and not given.endswith(b"-*"):
        raise Refusal("ERR The ID specified in XADD must be greater than 0-0")
    if no_new and space.value(key) is None:
        return None
    entry_id = _new_id(given, _stream(space, key).last, space.now_ms)
    stream = space.made(key, Stream)
    stream.add(entry_id, fields)
    if trim is not None:
        trim.apply(stream)
    return entry_id.text


def _new_id(given: bytes, last: EntryId, now_ms: int) -> EntryId:
    if given == b"*":
        return max(EntryId(now_ms, 0), last.next)
    ms, _, number = given.partition(b"-")
    if number == b"*":
        same = _id(ms).ms == last.ms
        entry_id = EntryId(_id(ms).ms, last.number + 1 if same else 0)
    else:
        entry_id = _id(given)
    if entry_id <= last:
        raise Refusal(_NOT_NEWER)
    return entry_id


class _Trim:
    """What MAXLEN or MINID ask for."""

    def __init__(self, *, newest: int | None, least: EntryId | None, about: bool) -> None:
        self._newest, self._least, self._about = newest, least, about

    def apply(self, stream: Stream) -> int:
        """Do it; returns how many entries are gone."""
        if self._newest is not None:
            return stream.keep_newest(self._newest, about=self._about)
        return stream.keep_from(self._least or EntryId(0, 0), about=self._about)


def _trim(options: Options) -> _Trim | None:
    for name in (b"MAXLEN", b"MINID"):
        if options.flag(name):
            about = bool(options.flags(b"~", b"=") & {b"~"})
            limit = options.word()
            options.number(b"LIMIT")
            if name == b"MAXLEN":
                return _Trim(newest=whole(limit), least=None, about=about)
            return _Trim(newest=None, least=_id(limit), about=about)
    return None


@command("XTRIM")
def xtrim(space: Keyspace, key: bytes, *words: bytes) -> Reply:
    options = Options(words)
    trim = _trim(options)
    options.done()
    if trim is None:
        raise Refusal("ERR syntax error")
    stream = space.get(key, Stream)
    return 0 if stream is None else trim.apply(stream)


@command("XLEN")
def xlen(space: Keyspace, key: bytes) -> Reply:
    return len(_stream(space, key))


@command("XDEL")
def xdel(space: Keyspace, key: bytes, entry_id: bytes, *ids: bytes) -> Reply:
    stream = space.get(key, Stream)
    if stream is None:
        return 0
    wanted = [_id(one) for one in (entry_id, *ids)]
    return sum(stream.discard(one) for one in wanted)


@command("XRANGE")
def xrange(space: Keyspace, key: bytes, low: bytes, high: bytes, *words: bytes) -> Reply:
    return _entries(space, key, low, high, words, step=1)


@command("XREVRANGE")
def xrevrange(space: Keyspace, key: bytes, high: bytes, low: bytes, *words: bytes) -> Reply:
    return _entries(space, key, low, high, words, step=-1)


def _entries(
    space: Keyspace, key: bytes, low: bytes, high: bytes, words: tuple[bytes, ...], *, step: int
) -> list[Reply]:
    options = Options(words)
    count = options.number(b"COUNT")
    options.done()
    found = _stream(space, key).entries(_low(low), _high(high))[::step]
    return _listed(found if count is None or count < 0 else found[:count])


def _listed(entries: list[tuple[EntryId, list[bytes]]]) -> list[Reply]:
    return [[entry_id.text, list(fields)] for entry_id, fields in entries]


def _low(word: bytes) -> EntryId:
    if word == b"-":
        return EntryId(0, 0)
    return _id(word[1:]).next if word.startswith(b"(") else _id(word)


def _high(word: bytes) -> EntryId:
    if word == b"+":
        return EntryId(_LAST_NUMBER, _LAST_NUMBER)
    if word.startswith(b"("):
        before = _id(word[1:], number=_LAST_NUMBER)
        return EntryId(before.ms, before.number - 1)
    return _id(word, number=_LAST_NUMBER)


def _id(word: bytes, *, number: int = 0) -> EntryId:
    try:
        return EntryId.parsed(word, number=number)
    except ValueError:
        raise Refusal(_BAD_ID) from None


@command("XREAD")
def xread(space: Keyspace, *words: bytes) -> Reply:
    """What came after an id, per stream; None if nothing did. Waiting (BLOCK) is the session's."""
    options = Options(words)
    count = None
    while not options.flag(b"STREAMS"):
        if (asked := options.number(b"COUNT")) is not None:
            count = asked
        elif options.number(b"BLOCK") is None:
            options.done()
            raise Refusal("ERR syntax error")
    names = options.rest()
    half = len(names) // 2
    if not names or len(names) % 2:
        raise Refusal(
            "ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified."
        )
    found: list[Reply] = []
    for key, after in zip(names[:half], names[half:], strict=True):
        entries = _stream(space, key).entries(_after(space, key, after), _high(b"+"))
        if entries:
            found.append([key, _listed(entries[: count or None])])
    return found or None


def _after(space: Keyspace, key: bytes, word: bytes) -> EntryId:
    return (_stream(space, key).last if word == b"$" else _id(word)).next


@command("XINFO")
def xinfo(space: Keyspace, what: bytes, key: bytes) -> Reply:
    """STREAM alone: there are no groups."""
    stream = space.get(key, Stream)
    if stream is None:
        raise Refusal("ERR no such key")
    if what.upper() != b"STREAM":
        return []
    entries = _listed(stream.entries(EntryId(0, 0), stream.last))
    ends = (entries[0], entries[-1]) if entries else (None, None)
    facts: list[Reply] = [b"length", len(stream), b"last-generated-id", stream.last.text, b"groups", 0]
    return [*facts, b"first-entry", ends[0], b"last-entry", ends[1]]
