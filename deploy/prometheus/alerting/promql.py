"""The few shapes of PromQL that all rules are made of.

Two exporters of one group serve equal numbers, so every sum has a ``max by`` over all labels of the metric inside it:
nothing doubles, and a restart under another ``instance`` is no new series.
"""

from __future__ import annotations

from typing import Final

from limelight_exporter.catalog import BUILD_INFO, CATALOG, PAUSED

SCOPE: Final = ("cluster", "namespace", "job")
"""What tells one Redis from another; labels that do not exist drop out."""
QUEUE: Final = ("queue",)
TASK: Final = ("queue", "task")
OBJECTIVE: Final = ("queue", "task", "objective")


def by(*labels: str) -> str:
    """Labels of a clause, the scope first."""
    return ", ".join((*SCOPE, *labels))


def newest(metric: str, *labels: str, where: str = "", how: str = "max") -> str:
    """A gauge, once however many exporters serve it."""
    return f"{how} by ({by(*labels)}) ({metric}{matchers(where)})"


def lately(metric: str, window: str, *labels: str, where: str = "") -> str:
    """A gauge as it was last, so that a scrape without it changes nothing."""
    return f"max by ({by(*labels)}) (last_over_time({metric}{matchers(where)}[{window}]))"


def change(function: str, metric: str, window: str, *labels: str, where: str = "") -> str:
    """``rate`` or ``increase`` of a counter, summed up to the labels."""
    inner = _single(f"{function}({metric}{matchers(where)}[{window}])", metric)
    return inner if labels == _labels(metric) else f"sum by ({by(*labels)}) ({inner})"


def grown(metric: str, window: str, *labels: str, where: str = "") -> str:
    """By how much a counter grew, also if its series was born only now.

    ``increase`` needs a series at 0 first. A series that is above 0, was not there a window ago, and whose exporter
    was, has grown too.
    """
    ago = f"max by ({by(*_labels(metric))}) (last_over_time({metric}{matchers(where)}[1d] offset {window}))"
    seen = f"max by ({by()}) (last_over_time({BUILD_INFO}[1d] offset {window}))"
    born = f"{_single(f'{metric}{matchers(where)}', metric)} unless {ago}"
    return (
        f"{change('increase', metric, window, *labels, where=where)} > 0\n"
        f"or\nsum by ({by(*labels)}) ({born}) > 0\nand on ({by()}) {seen}"
    )


def paused() -> str:
    """Queues that somebody has paused."""
    return f"({newest(PAUSED, *QUEUE)} > 0)"


def matchers(where: str) -> str:
    """What a selector is narrowed to, in braces."""
    return f"{{{where}}}" if where else ""


def indented(expr: str) -> str:
    """An expression one step to the right."""
    return "\n".join(f"  {line}" for line in expr.splitlines())


def _single(expr: str, metric: str) -> str:
    return f"max by ({by(*_labels(metric))}) ({expr})"


def _labels(metric: str) -> tuple[str, ...]:
    return CATALOG[metric].labels
