"""Rules, their tests and their runbooks belong together, and name only what the catalogue has."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from click.testing import CliRunner
from promql_names import faults
from rules.rule_files import (
    FOLDER,
    ROOT,
    RUNBOOKS,
    alert_names,
    alerts,
    cases,
    recorded_labels,
    recordings,
)

from alerting.__main__ import content
from alerting.__main__ import main as generate
from alerting.settings import Limits, Settings, written
from limelight.cli.main import limelight
from limelight.emitter import RedisEventEmitter
from limelight_exporter import thresholds

DASHBOARDS: Final = {"overview", "queue", "task", "consumers", "exporter"}
SECTIONS: Final = ("What it means", "How to confirm", "Likely causes", "What to do", "How it clears")
WANTED: Final = {
    *("ErrorEvents", "TaskSLOBurn", "TaskFailureBurnRate", "TaskAlwaysFails", "QueueAge", "QueueStalled"),
    *("NoConsumers", "ConsumersSaturated", "RetryStorm", "DeadLettersGrowing", "DeadLettersPresent"),
    *("TasksLost", "PeriodicMissed", "SchedulerStalled", "TaskRunningTooLong", "OverdueScheduled"),
    *("ConsumerGone", "QueueIndexMismatch", "PausedLong", "ExporterDown", "ExporterAbsent"),
    *("QueueUnmonitored", "EventLag", "EventsLost", "StreamRolledBack", "MalformedEvents"),
    *("SeriesOverflow", "SpanExportFailing", "SpanLag", "SnapshotStale", "CollectorFailing", "ScrapeSlow"),
    *("RedisDown", "RedisEvictionUnsafe", "RedisMemoryNearlyFull", "ClockSkew", "RetentionHalfUsed"),
}


@pytest.mark.parametrize(("path", "text"), content(Settings()).items(), ids=content(Settings()))
def test_what_is_committed_is_what_the_generator_makes(path: str, text: str) -> None:
    assert (FOLDER / path).read_text(encoding="utf-8") == text, "stale: run `make generate`"


def test_no_generated_file_is_left_over() -> None:
    found = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.yaml")}
    assert found == set(content(Settings()))


def test_every_alert_that_was_asked_for_is_there() -> None:
    assert {f"Limelight{name}" for name in WANTED} <= set(alert_names())


@pytest.mark.parametrize(
    "rule", [*recordings(), *alerts()], ids=lambda rule: rule.get("alert") or rule["record"]
)
def test_a_rule_names_only_metrics_and_labels_that_exist(rule: dict[str, Any]) -> None:
    assert faults(rule["expr"], recorded_labels()) == []


@pytest.mark.parametrize(
    "rule", [*recordings(), *alerts()], ids=lambda rule: rule.get("alert") or rule["record"]
)
def test_a_rule_keeps_clusters_namespaces_and_jobs_apart(rule: dict[str, Any]) -> None:
    clauses = re.findall(r"\b(?:by|on) \(([^)]*)\)", rule["expr"])
    assert [one for one in clauses if one and not one.startswith("cluster, namespace, job")] == []


def test_an_alert_hides_only_what_belongs_to_the_same_redis() -> None:
    file = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
    hiding = yaml.safe_load(file.read_text(encoding="utf-8"))["inhibit_rules"]
    assert [rule for rule in hiding if not {"cluster", "namespace", "job"} <= set(rule["equal"])] == []
    named = {f"Limelight{name}" for name in re.findall(r"[(|](\w+)(?=[|)])", str(hiding))}
    named |= set(re.findall(r"Limelight[A-Z]\w+", str(hiding)))
    assert named <= set(alert_names())


def test_a_site_can_have_its_own_addresses_and_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--grafana", "https://g.example/", "--runbooks", "https://d.example/r", "--jobs", "queues-.+"]
    monkeypatch.setattr("sys.argv", ["alerting", *words, "--into", str(tmp_path)])
    generate()
    made = (tmp_path / "limelight-alerts.rules.yaml").read_text(encoding="utf-8")
    assert "https://g.example/d/limelight-queue/?var-queue={{ $labels.queue | urlquery }}" in made
    assert "https://d.example/r/LimelightQueueAge/" in made
    assert 'up{job=~"queues-.+"}' in made
    assert "localhost" not in made


@pytest.mark.parametrize("rule", recordings(), ids=lambda rule: rule["record"])
def test_a_recording_is_named_by_its_labels_its_metric_and_its_operation(rule: dict[str, Any]) -> None:
    level, metric, operation = rule["record"].split(":")
    labels = recorded_labels()[rule["record"]] - {"cluster", "namespace", "job"}
    assert set(level.split("_")) == labels
    assert metric.startswith("limelight_")
    assert re.fullmatch(r"(ratio_)?rate\w+|ratio|max(1d)?|increase1d", operation)


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_says_what_where_how_much_and_what_to_do(rule: dict[str, Any]) -> None:
    notes = rule["annotations"]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert "{{" not in notes["summary"]
    assert notes["summary"].endswith(".")
    assert "{{" in notes["description"]
    dashboard = re.match(r"http://localhost:3000/d/limelight-(\w+)/", notes["dashboard_url"])
    assert dashboard is not None
    assert dashboard[1] in DASHBOARDS
    assert notes["runbook_url"] == f"http://localhost:8000/runbooks/{rule['alert']}/"


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_a_text_names_only_labels_that_the_alert_has(rule: dict[str, Any]) -> None:
    from promql_names import labels_of

    named = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    assert named <= labels_of(rule["expr"], recorded_labels()) | {"instance", "job"}


@pytest.mark.parametrize("alert", alert_names())
def test_every_alert_has_cases_in_which_it_fires_does_not_and_clears(alert: str) -> None:
    courses = [
        [{sample["labels"] for sample in point["exp_samples"]} for point in case["promql_expr_test"]]
        for case in cases()
        if case["alert"] == alert
    ]
    assert any(any(points) for points in courses), "it never fires"
    assert any(not any(points) for points in courses), "there is no near miss"
    clears = {
        sample
        for points in courses
        for before, after in itertools.pairwise(points)
        for sample in before - after
    }
    assert clears, "it never clears"


@pytest.mark.parametrize("alert", alert_names())
def test_every_alert_has_a_runbook_whose_queries_and_commands_work(alert: str) -> None:
    page = (RUNBOOKS / f"{alert}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {alert}\n")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == list(SECTIONS)
    (queries,), (commands,) = blocks(page, "promql"), blocks(page, "console")
    assert [fault for query in queries.split("\n\n") for fault in faults(query, recorded_labels())] == []
    for command in commands.splitlines():
        words = shlex.split(command)
        if words[0] == "limelight":
            understood(words[1:])


def test_no_runbook_is_about_an_alert_that_there_is_not() -> None:
    assert sorted(path.stem for path in RUNBOOKS.glob("Limelight*.md")) == alert_names()


def blocks(page: str, language: str) -> list[str]:
    return [text.strip() for text in re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)]


def understood(words: list[str]) -> None:
    """The command line takes these words; `--help` at the end keeps it from doing anything."""
    done = CliRunner().invoke(limelight, [*words, "--help"])
    assert done.exit_code == 0, done.output
    options = [word for word in words if word.startswith("-")]
    assert [option for option in options if option not in done.output] == []


def test_the_page_on_alerts_lists_them_all() -> None:
    page = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    assert [alert for alert in alert_names() if f"(runbooks/{alert}.md)" not in page] == []


def test_thresholds_come_from_the_one_table() -> None:
    limits, known = Limits(), vars(thresholds).values()
    fields = Limits.__dataclass_fields__
    assert [name for name in fields if getattr(limits, name) not in known] == []


def test_a_stream_holds_what_an_emitter_lets_it_hold() -> None:
    emitter = RedisEventEmitter()
    assert (emitter.max_events, emitter.max_age_seconds) == (
        thresholds.STREAM_EVENTS,
        thresholds.STREAM_SECONDS,
    )


@pytest.mark.parametrize(("seconds", "text"), [(86_400, "1d"), (5_400, "90m"), (10, "10s"), (0.5, "500ms")])
def test_durations_are_written_as_prometheus_has_them(seconds: float, text: str) -> None:
    assert written(seconds) == text


def test_a_drill_has_the_same_rules_with_shorter_windows() -> None:
    usual, quick = (content(settings) for settings in (Settings(), Settings(pace=1 / 30)))
    windows = re.compile(r"\b\d+(ms|s|m|h|d)\b|rate\d+\w|\* \d+")
    for name in usual:
        if name.startswith("limelight-"):
            assert windows.sub("", usual[name]) == windows.sub("", quick[name])
    assert "[10s]" in quick["limelight-alerts.rules.yaml"]
