"""Rules with a bug planted: a threshold that is off, a guard or a waiting time that is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import promql_parser as promql

_COMPARISONS: Final = {">", ">=", "<", "<="}
_GUARDS: Final = {"and", "or", "unless"}
_FACTORS: Final = (0.4, 2.5)
_TINY: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Mutant:
    """A rule with one bug, and what the bug is."""

    rule: Mapping[str, Any]
    bug: str


def mutants(rule: Mapping[str, Any]) -> Iterator[Mutant]:
    """Every bug of these kinds that an alerting rule can have."""
    for key in ("for", "keep_firing_for"):
        if key in rule:
            yield Mutant({name: value for name, value in rule.items() if name != key}, f"without `{key}`")
    for number in range(_count(rule["expr"])):
        for changed, bug in _changed(rule["expr"], number):
            yield Mutant({**rule, "expr": changed}, bug)


def _count(expr: str) -> int:
    found: list[promql.Expr] = []
    promql.walk(promql.parse(expr), lambda part: found.append(part) if _is_candidate(part) else None)
    return len(found)


def _is_candidate(part: promql.Expr) -> bool:
    return isinstance(part, promql.BinaryExpr) and (
        str(part.op) in _GUARDS or (str(part.op) in _COMPARISONS and _number(part.rhs) is not None)
    )


def _number(part: promql.Expr) -> float | None:
    return part.val if isinstance(part, promql.NumberLiteral) else None


def _changed(expr: str, number: int) -> Iterator[tuple[str, str]]:
    """The expression with its n-th candidate changed, in each way."""
    for factor in (*_FACTORS, None):
        surgeon = _Surgeon(number, factor)
        changed = promql.transform(promql.parse(expr), post_visit=surgeon.change)
        if surgeon.bug:
            yield changed.prettify(), surgeon.bug


class _Surgeon:
    """Changes the n-th candidate that it meets, and says how.

    Args:
        number: Which.
        factor: What a threshold is multiplied by; None takes a guard away instead.
    """

    def __init__(self, number: int, factor: float | None) -> None:
        self.bug = ""
        self._left = number
        self._factor = factor

    def change(self, part: promql.Expr) -> promql.Expr | None:
        """The part's replacement, None to keep it."""
        if not isinstance(part, promql.BinaryExpr) or not _is_candidate(part):
            return None
        self._left -= 1
        if self._left != -1:
            return None
        return self._without_guard(part) if self._factor is None else self._off(part, self._factor)

    def _without_guard(self, part: promql.BinaryExpr) -> promql.Expr | None:
        if str(part.op) not in _GUARDS:
            return None
        self.bug = f"without `{part.op} {part.rhs.prettify()}`"
        return part.lhs

    def _off(self, part: promql.BinaryExpr, factor: float) -> promql.Expr | None:
        threshold = _number(part.rhs)
        if threshold is None or abs(threshold) < _TINY:
            return None
        self.bug = f"`{part.op} {threshold * factor:g}` for `{part.op} {threshold:g}`"
        return promql.parse(f"({part.lhs.prettify()}) {part.op} {threshold * factor:g}")
