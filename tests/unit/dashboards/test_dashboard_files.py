"""The dashboards' files: fresh, of Grafana's form, by the linter's rules, and about metrics that exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from typing import Any, Final
from urllib.parse import unquote

import promql_parser as promql
import pytest
import yaml
from dashboards import NAMES, ROOT, Asked, annotations, asked, dashboard, panels
from jsonschema import Draft7Validator
from promql_labels import UnknownName, labels_of, parts

from boards import panel as words
from boards.promql import FAILED
from limelight import events
from limelight_exporter import catalog, thresholds

SCHEMA: Final = json.loads((ROOT / "schema" / "grafana-11.6.schema.json").read_text(encoding="utf-8"))
UNITS: Final = {"s", "ops", "short", "percentunit", "bytes", "bool_yes_no"}
"""Of those that Grafana knows: the ones we use."""
FIXED_WINDOWS: Final = {"Fastest burn": "1h", "Burn of error budgets": "1h", "Objectives": "1h"}
"""A burn rate is defined over its window, whatever the range: the alerts use the same."""
WHATEVER_IS_CHOSEN: Final = {
    "Alerts firing": "alerts about absence carry labels of their own",
    "Firing alerts": "likewise",
}
LINES: Final = re.compile(r"vector\((\$slo_wait|\$queue_age|\$failure_budget|[0-9.]+)\)")

everywhere = pytest.mark.parametrize("name", NAMES)


def in_grafanas_form(kind: str, part: Any) -> list[str]:
    validator = Draft7Validator({**SCHEMA, "$ref": f"#/definitions/{kind}"})
    return [f"{list(error.absolute_path)}: {error.message}" for error in validator.iter_errors(part)]


def queries(name: str) -> list[Asked]:
    return [*asked(name), *annotations(name)]


def test_the_files_are_what_the_generator_makes() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_five_boards_each_at_its_own_address() -> None:
    assert [f"limelight-{name}" for name in ("consumers", "exporter", "overview", "queue", "task")] == NAMES
    assert [dashboard(name)["uid"] for name in NAMES] == NAMES


@everywhere
def test_a_board_and_each_panel_are_of_grafanas_form(name: str) -> None:
    board = dashboard(name)
    assert not in_grafanas_form("Board", board)
    for panel in [*board["panels"], *panels(board)]:
        kind = "".join(part.capitalize() for part in panel["type"].split("-"))
        assert not in_grafanas_form(kind, panel), panel["title"]


def test_a_misspelt_option_is_not_of_grafanas_form() -> None:
    panel = {"type": "stat", "options": {"grafMode": "area"}}
    assert "grafMode" in "".join(in_grafanas_form("Stat", panel))


@everywhere
def test_a_board_can_be_imported_provisioned_and_mounted_as_it_is(name: str) -> None:
    board = dashboard(name)
    assert not {"__inputs", "__requires"} & board.keys()
    assert board.get("id") is None
    assert not board["editable"]
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["label"] == "Data source"
    assert variables["datasource"]["query"] == "prometheus"
    assert "current" not in variables["datasource"], "Grafana picks its own default"
    for chosen in ("job", "queue", "task"):
        if variable := variables.get(chosen):
            assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".+")
            assert variable["refresh"] == 2
    assert {"job", "queue"} <= variables.keys()


@everywhere
def test_every_variable_that_is_used_can_be_chosen(name: str) -> None:
    text = json.dumps(dashboard(name))
    used = {word for word in re.findall(r"\$\{?([a-z_]+)", text) if not word.startswith("__")}
    assert used <= {variable["name"] for variable in dashboard(name)["templating"]["list"]}


@everywhere
def test_every_panel_says_what_it_shows_in_a_unit_that_grafana_knows(name: str) -> None:
    for panel in panels(dashboard(name)):
        assert panel["title"]
        assert len(panel["description"]) > 10, panel["title"]
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["unit"] in UNITS, panel["title"]
        assert defaults["noValue"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for override in panel["fieldConfig"]["overrides"]:
            units = [one["value"] for one in override["properties"] if one["id"] == "unit"]
            assert set(units) <= UNITS


@everywhere
def test_panels_and_their_queries_can_be_told_apart(name: str) -> None:
    board = dashboard(name)
    every = [*panels(board), *(panel for panel in board["panels"] if panel["type"] == "row")]
    ids = [panel["id"] for panel in every]
    assert min(ids) > 0
    assert len(set(ids)) == len(ids)
    titles = Counter(panel["title"] for panel in panels(board))
    assert titles.most_common(1)[0][1] == 1, titles.most_common(1)
    for panel in panels(board):
        references = [target["refId"] for target in panel["targets"]]
        assert references
        assert all(references)
        assert len(set(references)) == len(references)
        assert sum(bool(target.get("exemplar")) for target in panel["targets"]) <= 1


@everywhere
def test_panels_do_not_overlap_and_fit_the_grid(name: str) -> None:
    board = dashboard(name)
    collapsed = [row["panels"] for row in board["panels"] if row["type"] == "row" and row["panels"]]
    for group in (board["panels"], *collapsed):
        for panel in group:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= words.WIDTH, panel["title"]
        for one, other in combinations(group, 2):
            assert apart(one["gridPos"], other["gridPos"]), (one["title"], other["title"])


def apart(one: dict[str, int], other: dict[str, int]) -> bool:
    return (
        one["x"] + one["w"] <= other["x"]
        or other["x"] + other["w"] <= one["x"]
        or one["y"] + one["h"] <= other["y"]
        or other["y"] + other["h"] <= one["y"]
    )


@everywhere
def test_every_query_asks_for_what_is_chosen(name: str) -> None:
    for query in queries(name):
        if query.panel in WHATEVER_IS_CHOSEN or LINES.fullmatch(query.expr):
            continue
        found = [
            part for part in parts(query.parsed(job="one job")) if isinstance(part, promql.VectorSelector)
        ]
        assert found, str(query)
        for selector in found:
            values = [matcher.value for matcher in selector.matchers.matchers if matcher.name == "job"]
            assert values == ["one job"], f"{query}: {selector}"


@everywhere
def test_rates_go_by_grafanas_interval(name: str) -> None:
    for query in queries(name):
        for window in re.findall(r"\}\[([^\]]*)\]", query.expr):
            assert window in {"$__rate_interval", "$__range", FIXED_WINDOWS.get(query.panel)}, str(query)


@everywhere
def test_counters_are_only_asked_for_their_increase(name: str) -> None:
    for query in queries(name):
        for part in parts(query.parsed()):
            if isinstance(part, promql.Call) and part.func.name in ("rate", "increase", "irate"):
                assert part.func.name != "irate", str(query)
                assert is_counter(part.args[0].vector_selector.name), f"{query}: {part}"
        plain = list(outside_of_calls(query.parsed()))
        assert not any(is_counter(selector.name) for selector in plain), str(query)


def is_counter(name: str) -> bool:
    return name.endswith(("_total", "_bucket", "_sum", "_count"))


def outside_of_calls(expr: Any) -> Iterator[promql.VectorSelector]:
    ranged = [str(part.vector_selector) for part in parts(expr) if isinstance(part, promql.MatrixSelector)]
    for part in parts(expr):
        if isinstance(part, promql.VectorSelector):
            if str(part) in ranged:
                ranged.remove(str(part))
            else:
                yield part


@everywhere
def test_every_metric_and_label_is_in_the_catalogue(name: str) -> None:
    for query in queries(name):
        labels_of(query.parsed())


@everywhere
def test_every_word_of_a_legend_is_a_label_of_the_answer(name: str) -> None:
    for query in asked(name):
        labels = labels_of(query.parsed()) or frozenset()
        assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= labels, str(query)


@pytest.mark.parametrize(
    "expr",
    [
        "limelight_no_such_metric",
        'limelight_queue_tasks{status="ready"}',
        "sum by (task) (limelight_queue_tasks)",
        "limelight_queue_tasks / limelight_queue_paused",
        "limelight_queue_tasks_bucket",
        "sum by (queue) (limelight_queue_paused) + on (task) limelight_queue_paused",
    ],
)
def test_what_nobody_serves_is_noticed(expr: str) -> None:
    with pytest.raises(UnknownName):
        labels_of(promql.parse(expr))


def test_a_metric_of_the_catalogue_is_on_a_board_unless_there_is_a_reason() -> None:
    text = "".join(query.expr for name in NAMES for query in queries(name))
    unseen = {metric for metric in catalog.CATALOG if metric not in text}
    assert unseen == {
        catalog.SOURCE_INFO,  # says why some panels of a Huey queue are empty; documented
        catalog.WEB_CONFIG_TAKEN,  # absent without a web configuration; an alert's business
    }


@everywhere
def test_two_exporters_are_never_added_up(name: str) -> None:
    """Whatever is summed has one sample for each series of a queue, however many exporters serve it."""
    for query in queries(name):
        for inner in sums(query.parsed()):
            once = "without (instance, pod)" in str(inner.expr)
            assert once or about_an_exporter(str(inner)), f"{query}: {inner}"


def sums(expr: Any) -> list[promql.AggregateExpr]:
    return [part for part in parts(expr) if isinstance(part, promql.AggregateExpr) and str(part.op) == "sum"]


def about_an_exporter(text: str) -> bool:
    """Numbers that each exporter has of its own, which do add up."""
    own = (
        "up{",
        catalog.SPANS_EXPORTED,
        catalog.SPANS_DROPPED,
        catalog.SPAN_FAILURES,
        catalog.PUSHES,
        catalog.SPAN_LEADER,
        catalog.RECONNECTS,
        catalog.SNAPSHOT_FAILURES,
        catalog.READERS_FORGOTTEN,
        catalog.SUBSCRIPTION_BREAKS,
    )
    return any(name in text for name in own)


@everywhere
def test_links_lead_to_boards_that_exist(name: str) -> None:
    board = dashboard(name)
    targets = re.findall(r"/d/([a-z-]+)/", json.dumps(board))
    assert set(targets) <= set(NAMES)
    (others, traces, runbooks) = board["links"]
    assert others["tags"] == ["limelight"]
    assert (others["includeVars"], others["keepTime"], others["asDropdown"]) == (True, True, True)
    assert board["tags"] == ["limelight"]
    assert json.loads(decoded(traces["url"]))["traces"]["datasource"] == "${traces}"
    assert runbooks["url"].startswith("${runbooks}")


def decoded(url: str) -> str:
    return unquote(url.partition("panes=")[2])


def test_every_link_carries_the_data_source_the_job_and_the_range() -> None:
    text = "".join(json.dumps(dashboard(name)) for name in NAMES)
    found = re.findall(r'"url": "(/d/[^"]*)"', text)
    assert found
    for url in found:
        assert url.endswith("&${datasource:queryparam}&${job:queryparam}&${__url_time_range}")


def test_limits_come_from_the_table_of_thresholds() -> None:
    board = {panel["title"]: panel for panel in panels(dashboard("limelight-overview"))}
    steps = [
        step["value"] for step in board["Oldest ready task"]["fieldConfig"]["defaults"]["thresholds"]["steps"]
    ]
    assert steps == [None, thresholds.QUEUE_AGE_SECONDS / 2, thresholds.QUEUE_AGE_SECONDS]
    variables = {one["name"]: one for one in dashboard("limelight-overview")["templating"]["list"]}
    assert variables["slo_wait"]["current"]["value"] == f"{thresholds.WAIT_SECONDS:g}"
    assert variables["queue_age"]["current"]["value"] == f"{thresholds.QUEUE_AGE_SECONDS:g}"
    assert variables["failure_budget"]["current"]["value"] == f"{thresholds.FAILURE_BUDGET:g}"


def test_the_wait_limit_can_only_be_a_bound_of_a_bucket() -> None:
    for name in NAMES:
        for variable in dashboard(name)["templating"]["list"]:
            if variable["name"] == "slo_wait":
                assert {float(one) for one in variable["query"].split(",")} <= set(catalog.BUCKETS)


def test_outcomes_that_count_as_failed_are_outcomes() -> None:
    assert set(FAILED.split("|")) <= set(events.ENDS)


@everywhere
def test_a_board_has_no_more_panels_in_sight_than_one_can_read(name: str) -> None:
    shown = [panel for panel in dashboard(name)["panels"] if panel["type"] != "row"]
    assert len(shown) <= 27
    assert len(list(panels(dashboard(name)))) <= 32


def test_provisioning_gives_exemplars_a_way_to_jaeger() -> None:
    text = (ROOT / "provisioning" / "datasources" / "limelight.yaml").read_text(encoding="utf-8")
    sources = {source["type"]: source for source in yaml.safe_load(text)["datasources"]}
    assert sources.keys() == {"prometheus", "jaeger", "alertmanager"}
    (way,) = sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert way["datasourceUid"] == sources["jaeger"]["uid"]
    assert way["name"] == "trace_id"
    assert sources["prometheus"]["isDefault"]
    for query in sources["jaeger"]["jsonData"]["tracesToMetrics"]["queries"]:
        labels_of(promql.parse(query["query"].replace("$$__tags", 'queue="mail"')))


def test_provisioned_dashboards_cannot_drift_from_the_files() -> None:
    text = (ROOT / "provisioning" / "dashboards" / "limelight.yaml").read_text(encoding="utf-8")
    (provider,) = yaml.safe_load(text)["providers"]
    assert provider["allowUiUpdates"] is False
    assert provider["disableDeletion"] is True
    assert provider["type"] == "file"
