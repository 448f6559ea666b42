"""The keys of a memory store: values by name, with their ends of life. Used by one thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias, TypeVar

from .values import SortedSet, Stream

Value: TypeAlias = "bytes | dict[bytes, bytes] | deque[bytes] | set[bytes] | SortedSet | Stream"
Reply: TypeAlias = "int | bytes | Refusal | list[Reply] | None"
T = TypeVar("T", bytes, dict[bytes, bytes], deque[bytes], set[bytes], SortedSet, Stream)

NAMES: Final[dict[type, bytes]] = {
    bytes: b"string",
    dict: b"hash",
    deque: b"list",
    set: b"set",
    SortedSet: b"zset",
    Stream: b"stream",
}
"""What Redis calls the kinds of value."""


class Status(bytes):
    """A reply that is a status, such as OK."""

    __slots__ = ()


OK: Final = Status(b"OK")


class Refusal(Exception):
    """An error as Redis answers with: a code in capitals, then a text."""


class Keyspace:
    """Values by name. A key whose time is over is gone for whoever looks.

    Args:
        now_us: Tells the time in Unix microseconds.
    """

    def __init__(self, now_us: Callable[[], int]) -> None:
        self.now_us = now_us
        self._values: dict[bytes, Value] = {}
        self._ends: dict[bytes, int] = {}

    @property
    def now_ms(self) -> int:
        """Unix milliseconds."""
        return self.now_us() // 1000

    def __iter__(self) -> Iterator[bytes]:
        return (key for key in list(self._values) if self.value(key) is not None)

    def value(self, key: bytes) -> Value | None:
        """What the key holds, None if there is none."""
        end = self._ends.get(key)
        if end is not None and end <= self.now_ms:
            self.remove(key)
        return self._values.get(key)

    def get(self, key: bytes, kind: type[T]) -> T | None:
        """What the key holds, None if there is none; a Refusal if it is of another kind."""
        value = self.value(key)
        if value is None:
            return None
        if not isinstance(value, kind):
            raise Refusal("WRONGTYPE Operation against a key holding the wrong kind of value")
        return value

    def made(self, key: bytes, kind: type[T]) -> T:
        """What the key holds, a new empty value if there is none."""
        value = self.get(key, kind)
        if value is None:
            value = kind()
            self._values[key] = value
        return value

    def put(self, key: bytes, value: Value) -> None:
        """Have the key hold this; it lives as long as before."""
        self._values[key] = value

    def remove(self, key: bytes) -> bool:
        """Forget a key; False if there was none."""
        self._ends.pop(key, None)
        return self._values.pop(key, None) is not None

    def remove_if_empty(self, key: bytes) -> None:
        """Forget a key that holds nothing any more; streams stay, as in Redis."""
        value = self._values.get(key)
        if value is not None and not isinstance(value, bytes | Stream) and not len(value):
            self.remove(key)

    def end(self, key: bytes) -> int | None:
        """The Unix milliseconds at which the key ends, None if it stays."""
        return self._ends.get(key)

    def set_end(self, key: bytes, ms: int | None) -> None:
        """Have the key end at these Unix milliseconds, or stay."""
        if ms is None:
            self._ends.pop(key, None)
        else:
            self._ends[key] = ms

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
        self._ends.clear()
