"""Commands that wait until there is something to answer: what they try, and for how long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from .keyspace import Keyspace, Refusal, Reply
from .member_commands import lmove, lpop, rpop
from .stream_commands import xread
from .table import real, whole
from .values import Stream
from .zset_commands import zpopmax, zpopmin


@dataclass(frozen=True, slots=True)
class Wait:
    """A command that may have to wait.

    Attributes:
        attempt: Its answer, None as long as there is none.
        seconds: How long it waits at most, None for ever.
    """

    attempt: Callable[[], Reply]
    seconds: float | None


_Pop = Callable[[Keyspace, bytes], Reply]
_POPS: Final[dict[bytes, _Pop]] = {b"BLPOP": lpop, b"BRPOP": rpop, b"BZPOPMIN": zpopmin, b"BZPOPMAX": zpopmax}


def waiting(space: Keyspace, name: bytes, words: Sequence[bytes]) -> Wait | None:
    """The wait that a command asks for; None for a command that never waits."""
    if name in _POPS and len(words) > 1:
        return Wait(lambda: _popped(space, _POPS[name], words[:-1]), _seconds(words[-1]))
    if name == b"BLMOVE" and len(words) == 5:
        return Wait(lambda: lmove(space, *words[:4]), _seconds(words[4]))
    if name == b"XREAD" and b"BLOCK" in (upper := [word.upper() for word in words]):
        ms = whole(words[upper.index(b"BLOCK") + 1])
        fixed = _from_now_on(space, words, upper.index(b"STREAMS") + 1 if b"STREAMS" in upper else len(words))
        return Wait(lambda: xread(space, *fixed), ms / 1000 or None)
    return None


def _popped(space: Keyspace, pop: _Pop, keys: Sequence[bytes]) -> Reply:
    for key in keys:
        found = pop(space, key)
        if found:
            return [key, *found] if isinstance(found, list) else [key, found]
        if found == b"":
            return [key, found]
    return None


def _seconds(word: bytes) -> float | None:
    seconds = real(word, refusal="ERR timeout is not a float or out of range")
    if seconds < 0:
        raise Refusal("ERR timeout is negative")
    return seconds or None


def _from_now_on(space: Keyspace, words: Sequence[bytes], at: int) -> list[bytes]:
    """XREAD's words with the newest id in the place of ``$``, which means the moment it was sent."""
    keys, ids = words[at : (at + len(words)) // 2], words[(at + len(words)) // 2 :]
    if len(keys) != len(ids):
        return list(words)
    streams = (space.get(key, Stream) or Stream() for key in keys)
    fixed = [stream.last.text if one == b"$" else one for one, stream in zip(ids, streams, strict=True)]
    return [*words[:at], *keys, *fixed]
