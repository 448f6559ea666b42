"""The dashboards' files as tests read them: their panels, and every query with its variables filled in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import promql_parser as promql

ROOT: Final = Path(__file__).parents[2] / "grafana"
FILES: Final = sorted((ROOT / "dashboards").glob("*.json"))
NAMES: Final = [path.stem for path in FILES]

PLAIN_CHOICE: Final = {
    "$__rate_interval": "10s",
    "$__range": "30s",
    "$slo_wait": "30",
    "$queue_age": "300",
    "$failure_budget": "0.01",
    "$job": ".+",
    "$queue": ".+",
    "$task": ".+",
}
"""What Grafana puts for the variables: everything chosen, a scrape a second."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A query of a panel, or of an annotation."""

    board: str
    panel: str
    name: str
    expr: str
    legend: str = ""
    is_instant: bool = False

    def __str__(self) -> str:
        return f"{self.board}, {self.panel}, {self.name}"

    def filled(self, **chosen: str) -> str:
        """The expression as Prometheus gets it."""
        choice = PLAIN_CHOICE | {f"${name}": value for name, value in chosen.items()}
        expr = self.expr
        for variable, value in choice.items():
            expr = expr.replace(variable, value)
        assert "$" not in expr, f"{self}: a variable is left in {expr}"
        return expr

    def parsed(self, **chosen: str) -> promql.Expr:
        """Its syntax tree."""
        return promql.parse(self.filled(**chosen))


@cache
def dashboard(name: str) -> dict[str, Any]:
    """A dashboard's file."""
    loaded: dict[str, Any] = json.loads((ROOT / "dashboards" / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def panels(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All panels but the rows, those of collapsed rows too."""
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def asked(name: str) -> Iterator[Asked]:
    """All queries of a dashboard's panels."""
    for panel in panels(dashboard(name)):
        for target in panel["targets"]:
            legend, instant = target.get("legendFormat", ""), bool(target.get("instant"))
            yield Asked(name, panel["title"], target["refId"], target["expr"], legend, instant)


def annotations(name: str) -> Iterator[Asked]:
    """All queries of a dashboard's annotations."""
    for annotation in dashboard(name)["annotations"]["list"]:
        yield Asked(name, annotation["name"], "annotation", annotation["expr"])
