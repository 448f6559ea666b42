"""A rule with a bug in it fails its tests: each threshold, guard and waiting time has a case that needs it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import promql_parser as promql
import pytest
import yaml
from promql_names import names
from rules.mutants import Mutant, mutants
from rules.promtool import failures
from rules.rule_files import FOLDER, alert_names, alerts, recordings

ALWAYS: Final = ("EventLag", "NoConsumers", "QueueAge", "RedisDown")
"""Those that are tried each time; `MUTANTS=all` tries every alert, which takes minutes."""
CHOSEN: Final = (
    alert_names() if os.environ.get("MUTANTS") == "all" else [f"Limelight{name}" for name in ALWAYS]
)


def written(folder: Path, mutant: Mutant, number: int) -> Iterator[Path]:
    """The mutant beside its namesakes, with what they read, and the cases that are about them; one file a step."""
    name = mutant.rule["alert"]
    original = alerts()
    rules = [
        mutant.rule if at == number else rule for at, rule in enumerate(original) if rule["alert"] == name
    ]
    needed = [rule for rule in recordings() if rule["record"] in read_by(rules)]
    groups = [{"name": "recording", "rules": needed}, {"name": "alerts", "rules": rules}]
    folder.mkdir()
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    for path in sorted((FOLDER / "tests").glob("*.test.yaml")):
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        cases = [case for case in document["tests"] if case["name"].startswith(f"{name}:")]
        if cases:
            tests = folder / path.name
            order = {"rule_files": ["rules.yaml"], "group_eval_order": ["recording", "alerts"]}
            tests.write_text(yaml.safe_dump({**document, **order, "tests": cases}))
            yield tests


def read_by(rules: Sequence[Any]) -> set[str]:
    """All recordings that the rules read, those behind them included."""
    known = {rule["record"]: rule["expr"] for rule in recordings()}
    found: set[str] = set()
    left = {name for rule in rules for name in names(rule["expr"])}
    while left:
        name = left.pop()
        if name in known and name not in found:
            found.add(name)
            left |= names(known[name])
    return found


def survivors(tmp_path: Path, alert: str) -> list[str]:
    """The bugs of an alert that no test finds."""
    bugs = {
        tmp_path / f"{number}-{at}": (mutant, number)
        for number, rule in enumerate(alerts())
        if rule["alert"] == alert
        for at, mutant in enumerate(mutants(rule))
    }
    files = [file for folder, (mutant, number) in bugs.items() for file in written(folder, mutant, number)]
    found = {file.parent for file, _ in failures(files)}
    return [
        f"{mutant.rule['labels']['severity']}: {mutant.bug}"
        for folder, (mutant, _) in bugs.items()
        if folder not in found
    ]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("alert", CHOSEN)
def test_every_bug_in_a_rule_is_found(tmp_path: Path, alert: str) -> None:
    assert not survivors(tmp_path, alert)


def test_a_rule_without_a_bug_passes_on_the_same_way(tmp_path: Path) -> None:
    number, rule = next((at, one) for at, one in enumerate(alerts()) if one["alert"] == "LimelightQueueAge")
    unchanged = Mutant({**rule, "expr": promql.parse(rule["expr"]).prettify()}, "none")
    assert list(failures(list(written(tmp_path / "none", unchanged, number)))) == []
