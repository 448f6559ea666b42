"""Which labels a PromQL expression's series have, by the catalogue; whatever cannot be is refused.

Every metric must be in the catalogue (or be Prometheus' own), every label that is matched, grouped by or joined on must
be one of its labels, and two vectors that are matched without `on` must have the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import promql_parser as promql

from limelight_exporter.catalog import CATALOG

SCRAPED: Final = frozenset({"job", "instance"})
PER_REPLICA: Final = frozenset({"instance", "pod"})
OUTSIDE: Final = {
    "up": SCRAPED,
    "scrape_duration_seconds": SCRAPED,
    "scrape_samples_scraped": SCRAPED,
    "process_cpu_seconds_total": SCRAPED,
    "process_resident_memory_bytes": SCRAPED,
    "process_open_fds": SCRAPED,
    "process_max_fds": SCRAPED,
    "ALERTS": SCRAPED | {"alertname", "alertstate", "severity", "queue", "task"},
}
"""Metrics of Prometheus itself, and of any process that prometheus-client serves."""
SET_OPERATORS: Final = ("or", "and", "unless")
COMPARISONS: Final = ("==", "!=", ">", "<", ">=", "<=")

Labels = frozenset[str]


class UnknownName(AssertionError):
    """An expression asks for what nobody serves."""


def labels_of(expr: promql.Expr) -> Labels | None:
    """The labels of a vector's series; None for a number.

    Raises:
        UnknownName: A metric or a label is not in the catalogue, or two sides cannot match.
    """
    match expr:
        case promql.NumberLiteral() | promql.StringLiteral():
            return None
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return labels_of(expr.expr)
        case promql.MatrixSelector():
            return _selected(expr.vector_selector)
        case promql.VectorSelector():
            return _selected(expr)
        case promql.AggregateExpr():
            return _aggregated(expr)
        case promql.BinaryExpr():
            return _matched(expr)
        case promql.Call():
            return _called(expr)
    raise UnknownName(f"{type(expr).__name__} is not understood")


def parts(expr: promql.Expr) -> Iterator[promql.Expr]:
    """An expression and all that it is made of."""
    yield expr
    inner = [getattr(expr, side, None) for side in ("lhs", "rhs", "expr", "vector_selector")]
    for part in [*inner, *getattr(expr, "args", [])]:
        if part is not None:
            yield from parts(part)


def metric_labels(name: str) -> Labels:
    """The labels of a metric's series, as a scrape gives them."""
    if name in OUTSIDE:
        return OUTSIDE[name]
    if metric := CATALOG.get(name):
        return SCRAPED | set(metric.labels)
    base, _, part = name.rpartition("_")
    metric = CATALOG.get(base)
    if metric is None or metric.kind != "histogram" or part not in ("bucket", "sum", "count"):
        raise UnknownName(f"{name} is not in the catalogue")
    return SCRAPED | set(metric.labels) | ({"le"} if part == "bucket" else set())


def _selected(selector: promql.VectorSelector) -> Labels:
    name = selector.name or ""
    labels = metric_labels(name)
    _known([matcher.name for matcher in selector.matchers.matchers], labels, name)
    return labels


def _aggregated(expr: promql.AggregateExpr) -> Labels:
    labels = labels_of(expr.expr) or frozenset()
    if expr.modifier is None:
        return frozenset()
    named = frozenset(expr.modifier.labels)
    if expr.modifier.type == promql.AggModifierType.Without:
        _known(named - PER_REPLICA, labels, str(expr))
        return labels - named
    _known(named, labels, str(expr))
    return named


def _matched(expr: promql.BinaryExpr) -> Labels | None:
    left, right = labels_of(expr.lhs), labels_of(expr.rhs)
    if left is None or right is None:
        return left if right is None else right
    operator, modifier = str(expr.op), expr.modifier
    matching = modifier.matching if modifier else None
    if matching is not None:
        named = frozenset(matching.labels)
        _known(named, left, f"the left of {expr}")
        _known(named, right, f"the right of {expr}")
    elif operator != "or" and left != right:
        raise UnknownName(f"{sorted(left)} and {sorted(right)} never match in {expr}")
    if operator == "or":
        return left | right
    joins_many = modifier is not None and modifier.card != promql.VectorMatchCardinality.OneToOne
    if operator in (*SET_OPERATORS, *COMPARISONS) or joins_many or matching is None:
        return left
    return frozenset(matching.labels)


def _called(expr: promql.Call) -> Labels | None:
    name = expr.func.name
    arguments = [labels_of(argument) for argument in expr.args]
    if name == "vector":
        return frozenset()
    labels = next((found for found in arguments if found is not None), None)
    if labels is None:
        return None
    if name == "label_replace":
        return labels | {str(expr.args[1].val)}
    if name == "histogram_quantile":
        _known(["le"], labels, str(expr))
        return labels - {"le"}
    return labels


def _known(names: Iterable[str], labels: Labels, where: str) -> None:
    if missing := sorted(set(names) - labels):
        raise UnknownName(f"no label {', '.join(missing)} in {where}; there are {', '.join(sorted(labels))}")
