"""Whose turn it is among several. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Rota(Generic[T]):
    """Smooth weighted round robin: of weights 3 and 1 the turns go a a b a, not a a a b.

    Who is not among the candidates is passed over and gets no turns in arrears.

    Args:
        weights: Each one's share of the turns, 1 or more.
    """

    def __init__(self, weights: Mapping[T, int]) -> None:
        self._weights = dict(weights)
        self._credit = dict.fromkeys(weights, 0)

    def next(self, candidates: Sequence[T]) -> T | None:
        """Whose turn it is of those that may have one; None if there is none."""
        if len(candidates) < 2:
            return candidates[0] if candidates else None
        for one in candidates:
            self._credit[one] += self._weights[one]
        chosen = max(candidates, key=self._credit.__getitem__)
        self._credit[chosen] -= sum(self._weights[one] for one in candidates)
        return chosen
