"""The table of commands, and how their words are read. A command is a function of the keys and its words."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from .keyspace import Keyspace, Refusal, Reply

_SYNTAX: Final = "ERR syntax error"
_NOT_WHOLE: Final = "ERR value is not an integer or out of range"
_NOT_FLOAT: Final = "ERR value is not a valid float"


@dataclass(frozen=True, slots=True)
class Command:
    """A command: what it does, and how many words it takes after its name."""

    run: Callable[..., Reply]
    least: int
    most: float

    def check(self, name: bytes, words: Sequence[bytes]) -> None:
        """Refuse too few words, or too many."""
        if not self.least <= len(words) <= self.most:
            raise Refusal(f"ERR wrong number of arguments for '{shown(name).lower()}' command")


COMMANDS: Final[dict[bytes, Command]] = {}


def command(*names: str) -> Callable[[Callable[..., Reply]], Callable[..., Reply]]:
    """Enter a function into the table; its parameters after the first are the command's words."""

    def enter(function: Callable[..., Reply]) -> Callable[..., Reply]:
        words = list(inspect.signature(function).parameters.values())[1:]
        rest = any(word.kind is word.VAR_POSITIONAL for word in words)
        single = [word for word in words if word.kind is not word.VAR_POSITIONAL]
        least = sum(word.default is word.empty for word in single)
        for name in names:
            COMMANDS[name.encode()] = Command(function, least, math.inf if rest else len(single))
        return function

    return enter


def run(space: Keyspace, name: bytes, words: Sequence[bytes]) -> Reply:
    """Run a command of the table, its name in capitals; raises Refusal where Redis would answer with an error."""
    found = COMMANDS.get(name)
    if found is None:
        raise Refusal(
            f"ERR unknown command '{shown(name)}': a store in memory knows what Limelight needs of Redis"
        )
    found.check(name, words)
    return found.run(space, *words)


def shown(word: bytes) -> str:
    """A word as it may stand in a message."""
    return word[:80].decode("utf-8", "replace")


def whole(word: bytes) -> int:
    """A whole number, as Redis reads one."""
    try:
        number = int(word)
    except ValueError:
        raise Refusal(_NOT_WHOLE) from None
    if not -(2**63) <= number < 2**63:
        raise Refusal(_NOT_WHOLE)
    return number


def real(word: bytes, *, refusal: str = _NOT_FLOAT) -> float:
    """A number, as Redis reads one; `inf` is one, `nan` is none."""
    try:
        number = float(word)
    except ValueError:
        raise Refusal(refusal) from None
    if math.isnan(number):
        raise Refusal(refusal)
    return number


def written(number: float) -> bytes:
    """A number as Redis writes it."""
    if math.isinf(number):
        return b"inf" if number > 0 else b"-inf"
    return b"%d" % int(number) if number == int(number) and abs(number) < 1e17 else repr(number).encode()


def ranks(start: int, stop: int, length: int) -> slice:
    """The slice from one rank to another, both included; negative ones count from the end."""
    start = max(0, start + length if start < 0 else start)
    stop = stop + length if stop < 0 else stop
    return slice(start, max(start, stop + 1))


def pairs(words: Sequence[bytes], name: str) -> list[tuple[bytes, bytes]]:
    """Words two by two; refuses an odd one."""
    if not words or len(words) % 2:
        raise Refusal(f"ERR wrong number of arguments for '{name}' command")
    return list(zip(words[::2], words[1::2], strict=True))


class Options:
    """The words of a command that may or may not be there, read from the left."""

    def __init__(self, words: Iterable[bytes]) -> None:
        self._words = list(words)

    def flags(self, *names: bytes) -> set[bytes]:
        """The leading words that are among these names, in capitals."""
        found = set()
        while self._words and self._words[0].upper() in names:
            found.add(self._words.pop(0).upper())
        return found

    def flag(self, name: bytes) -> bool:
        """Whether the next word is this name; then it is read."""
        return bool(self._words) and self._words[0].upper() == name and bool(self._words.pop(0))

    def value(self, name: bytes) -> bytes | None:
        """The word after this name, None if the next word is another."""
        return self.word() if self.flag(name) else None

    def number(self, name: bytes) -> int | None:
        """`value` as a whole number."""
        word = self.value(name)
        return None if word is None else whole(word)

    def word(self) -> bytes:
        """The next word."""
        if not self._words:
            raise Refusal(_SYNTAX)
        return self._words.pop(0)

    def rest(self) -> list[bytes]:
        """All the words that are left."""
        words, self._words = self._words, []
        return words

    def __bool__(self) -> bool:
        return bool(self._words)

    def done(self) -> None:
        """Refuse what nobody has read."""
        if self._words:
            raise Refusal(_SYNTAX)
