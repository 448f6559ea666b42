"""What was promised of metrics is kept (docs/compatibility.md): no name, type, unit or label changes by accident."""

from __future__ import annotations

from pathlib import Path

from limelight.events import VERSION as EVENT_VERSION
from limelight_exporter.catalog import CATALOG, Metric
from limelight_exporter.snapshot_format import VERSION as SNAPSHOT_VERSION

PROMISED = Path(__file__).with_name("metrics.tsv")
PAGE = (Path(__file__).parents[2] / "docs" / "compatibility.md").read_text(encoding="utf-8")


def line_of(metric: Metric) -> str:
    """A metric as the list has it: name, type, unit, labels in order."""
    return "\t".join((metric.name, metric.kind, metric.unit or "-", ",".join(metric.labels) or "-"))


def test_every_promised_metric_is_served_as_it_was_promised() -> None:
    promised = PROMISED.read_text(encoding="utf-8").splitlines()
    now = {line_of(metric) for metric in CATALOG.values()}
    broken = [line for line in promised if line not in now]
    assert not broken, (
        "these are promised: keep them for a minor version beside what replaces them, tell it in CHANGELOG.md, and "
        f"only then change {PROMISED.name} (a new metric gets a line there with the release that brings it)"
    )


def test_each_is_promised_once() -> None:
    names = [line.split("\t")[0] for line in PROMISED.read_text(encoding="utf-8").splitlines()]
    assert names == sorted(set(names))


def test_the_page_knows_the_versions_that_are_written_today() -> None:
    assert f"\n| {EVENT_VERSION} | reads |\n" in PAGE
    assert f"\n| version {SNAPSHOT_VERSION} | reads and writes |\n" in PAGE
