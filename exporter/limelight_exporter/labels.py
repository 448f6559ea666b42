"""Label values, bounded before they reach a series."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

OTHER: Final = "_other"
LENGTH_LIMIT: Final = 200


class Bounded:
    """Lets the first `limit` distinct values through and calls every later one ``_other``.

    Args:
        limit: How many distinct values may pass.
        seen: Values that have passed before, as `values` gave them.
    """

    __slots__ = ("_limit", "_seen")

    def __init__(self, limit: int, seen: Iterable[str] = ()) -> None:
        self._limit = limit
        self._seen = dict.fromkeys(seen)

    def __call__(self, value: str) -> str:
        """The value itself (cut to 200 characters), or ``_other``."""
        value = value[:LENGTH_LIMIT]
        if value not in self._seen and value != OTHER and len(self._seen) < self._limit:
            self._seen[value] = None
        return value if value in self._seen else OTHER

    @property
    def is_full(self) -> bool:
        """Whether every further value is ``_other``."""
        return len(self._seen) >= self._limit

    def __contains__(self, value: object) -> bool:
        """Whether a value has passed."""
        return value in self._seen

    def release(self, values: Iterable[str]) -> None:
        """Have values that passed give up their places."""
        for value in values:
            self._seen.pop(value, None)

    @property
    def values(self) -> list[str]:
        """What has passed, oldest first."""
        return list(self._seen)
