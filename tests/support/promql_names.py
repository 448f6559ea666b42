"""Holds PromQL against the catalogue: are there such metrics, with such labels, with such values?

A query that names a metric or a label that does not exist is no error to Prometheus: it returns nothing, for ever. So
queries of rules and dashboards are read here as Prometheus reads them, and the labels of every part are followed
upwards: to `by`, `on` and the two sides of an operator.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import promql_parser as promql

from limelight import events
from limelight_exporter import catalog
from limelight_exporter.catalog import CATALOG

Labels = frozenset[str]

TARGET: Final = frozenset({"cluster", "namespace", "job", "instance", "pod"})
"""Labels that a scrape adds, or the configuration of Prometheus."""
ALERT: Final = frozenset({"alertname", "alertstate", "severity"})
OUTSIDE: Final[Mapping[str, Labels]] = {
    "up": TARGET,
    "scrape_duration_seconds": TARGET,
    "scrape_samples_scraped": TARGET,
    "process_cpu_seconds_total": TARGET,
    "process_resident_memory_bytes": TARGET,
    "process_open_fds": TARGET,
    "process_max_fds": TARGET,
    "ALERTS": TARGET | ALERT | {"queue", "task"},
}
"""Series that are not ours: those that Prometheus makes itself, and those of any process."""
VALUES: Final[Mapping[tuple[str, str], Iterable[str]]] = {
    (catalog.EVENTS, "event"): events.STATUSES,
    (catalog.CONSUMER_ERRORS, "event"): events.CONSUMER_ERRORS,
    (catalog.ATTEMPTS, "outcome"): events.OUTCOMES,
    (catalog.COMPLETED, "outcome"): events.ENDS,
    (catalog.DURATION, "result"): catalog.RESULTS,
    (catalog.TIME, "phase"): catalog.PHASES,
    (catalog.MALFORMED, "reason"): catalog.MALFORMED_REASONS,
    (catalog.SLO_EVALUATIONS, "result"): catalog.VERDICTS,
    (catalog.SLO_EVALUATIONS, "objective"): ("wait", "duration", "latency", "success"),
    (catalog.SLO_TARGET, "objective"): ("wait", "duration", "latency", "success"),
    (catalog.SLO_THRESHOLD, "objective"): ("wait", "duration", "latency"),
    (catalog.QUEUE_TASKS, "state"): ("ready", "scheduled", "running", "dead"),
    (catalog.WORKERS, "state"): ("busy", "idle"),
}
"""(metric, label) → all values that it can have, where they are known."""
_SETS: Final = {"and", "or", "unless"}
_KEEPS_LABELS: Final = {"topk", "bottomk"}


def faults(query: str, recorded: Mapping[str, Labels] | None = None) -> list[str]:
    """What is wrong with a query, one sentence each; none if every metric, label and value exists.

    Args:
        query: PromQL. Grafana's variables may stand in strings; a range must be a duration.
        recorded: Recording rule → labels of its series (`labels_of` its expression).
    """
    found: list[str] = []
    _labels(promql.parse(query), recorded or {}, found)
    return found


def labels_of(query: str, recorded: Mapping[str, Labels] | None = None) -> Labels:
    """The labels that the result of a query can have."""
    return _labels(promql.parse(query), recorded or {}, [])


def names(query: str) -> set[str]:
    """The metrics that a query names."""
    return {
        selector.name or ""
        for selector in _parts(promql.parse(query))
        if isinstance(selector, promql.VectorSelector)
    }


def labels_of_metric(name: str, recorded: Mapping[str, Labels] | None = None) -> Labels | None:
    """The labels of a series with this name; None if there is no such series."""
    if name in (known := {**OUTSIDE, **(recorded or {})}):
        return known[name]
    metric = CATALOG.get(name)
    if metric is not None and metric.kind != "histogram":
        return TARGET | set(metric.labels)
    base, _, part = name.rpartition("_")
    metric = CATALOG.get(base)
    if metric is None or metric.kind != "histogram" or part not in {"bucket", "sum", "count"}:
        return None
    return TARGET | set(metric.labels) | ({"le"} if part == "bucket" else set())


def _parts(part: promql.Expr) -> Iterator[promql.Expr]:
    found: list[promql.Expr] = []
    promql.walk(part, found.append)
    return iter(found)


def _labels(part: promql.Expr, recorded: Mapping[str, Labels], found: list[str]) -> Labels:
    match part:
        case promql.VectorSelector():
            return _of_selector(part, recorded, found)
        case promql.MatrixSelector():
            return _of_selector(part.vector_selector, recorded, found)
        case promql.AggregateExpr():
            return _of_aggregate(part, recorded, found)
        case promql.BinaryExpr():
            return _of_binary(part, recorded, found)
        case promql.Call():
            return _of_call(part, recorded, found)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return _labels(part.expr, recorded, found)
    return frozenset()


def _of_selector(selector: promql.VectorSelector, recorded: Mapping[str, Labels], found: list[str]) -> Labels:
    name = selector.name or ""
    labels = labels_of_metric(name, recorded)
    if labels is None:
        found.append(f"there is no metric {name or selector.prettify()}")
        return frozenset()
    for matcher in selector.matchers.matchers:
        if matcher.name not in labels and name != "ALERTS":
            found.append(f"{name} has no label {matcher.name}")
        possible = VALUES.get((_family(name), matcher.name))
        if possible is not None:
            found += [
                f"{name} never has {matcher.name}={value!r}"
                for value in _words(matcher.value)
                if value not in possible
            ]
    return labels


def _family(name: str) -> str:
    return name if name in CATALOG else name.rpartition("_")[0]


def _words(value: str) -> list[str]:
    """The alternatives of a matcher that is a list of plain words; none of any other."""
    plain = value.replace("|", "").replace("-", "").replace("_", "")
    return value.split("|") if plain.isalnum() else []


def _of_aggregate(
    aggregate: promql.AggregateExpr, recorded: Mapping[str, Labels], found: list[str]
) -> Labels:
    inner = _labels(aggregate.expr, recorded, found)
    modifier = aggregate.modifier
    if str(aggregate.op) in _KEEPS_LABELS:
        return inner
    if modifier is None:
        return frozenset()
    named = frozenset(modifier.labels)
    if modifier.type == promql.AggModifierType.Without:
        return inner - named
    found += [
        f"aggregated by {label}, which {aggregate.expr.prettify()} has not"
        for label in sorted(named - inner - TARGET)
    ]
    return named & (inner | TARGET)


def _of_binary(binary: promql.BinaryExpr, recorded: Mapping[str, Labels], found: list[str]) -> Labels:
    left, right = (_labels(side, recorded, found) for side in (binary.lhs, binary.rhs))
    if _is_scalar(binary.lhs) or _is_scalar(binary.rhs):
        return left | right
    modifier = binary.modifier
    matching = modifier.matching if modifier else None
    operator = str(binary.op)
    if matching is None:
        if operator != "or" and left != right:
            found.append(
                f"the sides of `{operator}` never match: {_shown(left)} and {_shown(right)} "
                f"in {binary.prettify()}"
            )
    else:
        named = frozenset(matching.labels)
        found += [
            f"matched by {label}, which one side of `{operator}` has not: {binary.prettify()}"
            for label in sorted(named - (left & right) - TARGET)
        ]
    if operator == "or":
        return left | right
    if operator in _SETS or matching is None:
        return left
    many_left = modifier is not None and modifier.card == promql.VectorMatchCardinality.ManyToOne
    many_right = modifier is not None and modifier.card == promql.VectorMatchCardinality.OneToMany
    brought = frozenset((modifier.group_labels or []) if modifier else [])
    if many_left:
        return left | brought
    return right | brought if many_right else frozenset(matching.labels)


def _is_scalar(part: promql.Expr) -> bool:
    match part:
        case promql.NumberLiteral():
            return True
        case promql.ParenExpr() | promql.UnaryExpr():
            return _is_scalar(part.expr)
        case promql.BinaryExpr():
            return _is_scalar(part.lhs) and _is_scalar(part.rhs)
        case promql.Call():
            return str(part.func.name) in {"time", "scalar", "pi"}
    return False


def _of_call(call: promql.Call, recorded: Mapping[str, Labels], found: list[str]) -> Labels:
    inner = [_labels(argument, recorded, found) for argument in call.args]
    vectors = frozenset().union(*inner) if inner else frozenset()
    match call.func.name:
        case "histogram_quantile":
            if "le" not in vectors:
                found.append(f"no le is left in {call.prettify()}")
            return vectors - {"le"}
        case "label_replace" | "label_join":
            return vectors | {str(getattr(call.args[1], "val", ""))}
        case "scalar" | "time":
            return frozenset()
    return vectors


def _shown(labels: Labels) -> str:
    return "{" + ", ".join(sorted(labels - TARGET)) + "}"
