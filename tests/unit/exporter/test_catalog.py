from __future__ import annotations

import re

import pytest

from limelight_exporter import catalog
from limelight_exporter.catalog import BUCKETS, CATALOG, Metric, Section

METRICS = list(CATALOG.values())


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_keeps_the_naming_conventions(metric: Metric) -> None:
    assert re.fullmatch(r"limelight_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.name.endswith("_info") == (metric.kind == "info")
    assert not metric.unit or metric.name.removesuffix("_total").endswith(f"_{metric.unit}")
    assert metric.help.endswith(".")
    assert len(set(metric.labels)) == len(metric.labels)
    assert "le" not in metric.labels


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_no_counter_or_histogram_has_a_label_without_bound(metric: Metric) -> None:
    if metric.kind in {"counter", "histogram"}:
        bounded = {
            "queue",
            "task",
            "event",
            "outcome",
            "error_type",
            "result",
            "phase",
            "reason",
            "metric",
            "code",
            "objective",
        }
        assert set(metric.labels) <= bounded


def test_what_comes_from_events_belongs_to_a_queue() -> None:
    for metric in METRICS:
        if metric.section is Section.EVENTS or metric.name in catalog.KEPT_PER_QUEUE:
            assert metric.labels[0] == "queue"


def test_buckets_rise() -> None:
    assert list(BUCKETS) == sorted(set(BUCKETS))


def test_every_name_in_the_file_is_in_the_table() -> None:
    named = {value for name, value in vars(catalog).items() if name.isupper() and isinstance(value, str)}
    assert named == CATALOG.keys()
