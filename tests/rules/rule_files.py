"""The rule files and their tests as they are committed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml
from promql_names import Labels, labels_of

from alerting.document import ALERTS, RECORDING

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "deploy" / "prometheus"
RUNBOOKS: Final = ROOT / "docs" / "runbooks"

Rule = dict[str, Any]


def groups(name: str) -> list[dict[str, Any]]:
    """The groups of a rule file."""
    found: list[dict[str, Any]] = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))["groups"]
    return found


def recordings() -> list[Rule]:
    """All recording rules, each after those that it reads."""
    return [rule for group in groups(RECORDING) for rule in group["rules"]]


def alerts() -> list[Rule]:
    """All alerting rules."""
    return [rule for group in groups(ALERTS) for rule in group["rules"]]


def alert_names() -> list[str]:
    """The names of all alerts."""
    return sorted({rule["alert"] for rule in alerts()})


def recorded_labels() -> dict[str, Labels]:
    """Recording → the labels of its series."""
    known: dict[str, Labels] = {}
    for rule in recordings():
        known[rule["record"]] = labels_of(rule["expr"], known)
    return known


def cases() -> list[dict[str, Any]]:
    """All cases of all test files, each with the ``alert`` that it is about."""
    return [
        {**case, "alert": case["name"].partition(":")[0]}
        for path in sorted((FOLDER / "tests").glob("*.test.yaml"))
        for case in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
    ]
