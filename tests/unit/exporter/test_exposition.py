from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from limelight_exporter.catalog import BUCKETS, CATALOG, Metric
from limelight_exporter.exposition import Exposition, Renderer

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
FORMATS = {OPENMETRICS: read_openmetrics, "text/plain": read_text}


def read(exposition: Exposition, accept: str) -> dict[str, Any]:
    body, _ = Renderer().render(exposition, accept)
    return {family.name: family for family in FORMATS[accept](body.decode())}


def one_sample(metric: Metric) -> Exposition:
    exposition = Exposition()
    labels = [f"any {name}" for name in metric.labels]
    if metric.kind == "histogram":
        exposition.add_histogram(metric.name, labels, range(len(BUCKETS) + 1), 1.5)
    else:
        exposition.add(metric.name, labels, 1)
    return exposition


@pytest.mark.parametrize("accept", FORMATS)
@pytest.mark.parametrize("metric", CATALOG.values(), ids=lambda metric: metric.name)
def test_prometheus_own_library_reads_every_family_as_it_is_meant(metric: Metric, accept: str) -> None:
    families = read(one_sample(metric), accept)
    name = metric.name.removesuffix("_total" if metric.kind == "counter" else "")
    if metric.kind == "info" and accept == OPENMETRICS:
        name = name.removesuffix("_info")
    family = families[name]
    assert family.documentation == metric.help
    assert family.type == ("gauge" if metric.kind == "info" and accept != OPENMETRICS else metric.kind)
    assert family.unit == (metric.unit if accept == OPENMETRICS else "")
    assert all(set(sample.labels) - {"le"} == set(metric.labels) for sample in family.samples)


@pytest.mark.parametrize("accept", FORMATS)
@settings(deadline=None)
@given(
    labels=st.tuples(*[st.text(st.characters(blacklist_categories=["Cs", "Cc"]) | st.just("\n"))] * 2),
    value=st.floats() | st.integers(0, 2**53),
)
def test_labels_and_numbers_come_back_as_they_were(
    accept: str, labels: tuple[str, str], value: float
) -> None:
    exposition = Exposition()
    exposition.add("limelight_queue_tasks", labels, value)
    (sample,) = read(exposition, accept)["limelight_queue_tasks"].samples
    assert tuple(sample.labels.values()) == labels
    assert sample.value == value or (math.isnan(sample.value) and math.isnan(value))


def test_the_families_come_in_the_order_of_the_catalogue() -> None:
    exposition = Exposition()
    for metric in reversed(CATALOG.values()):
        if metric.kind != "histogram":
            exposition.add(metric.name, ["x"] * len(metric.labels), 1)
    body, _ = Renderer().render(exposition, "text/plain")
    told = [line.split()[2] for line in body.decode().splitlines() if line.startswith("# TYPE limelight")]
    assert told == [name for name, metric in CATALOG.items() if metric.kind != "histogram"]
