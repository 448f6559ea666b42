"""The short form of `make drill`: docs/drill.md says what is struck and what must come of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from drill.alertmanager import Active
from drill.fault import Fault, expected
from drill.report import page, table, uncalled, wrong
from drill.stage import Stage
from drill.system_faults import MAIN_FAULTS, PIPELINE_FAULTS, STORAGE_FAULTS
from drill.trial import Course, Drill, run, wait_until_calm
from drill.work_faults import WORK_FAULTS
from rich.console import Console
from rules.rule_files import alert_names

CONSOLE = Console(width=150)
SHORT = (
    "a queue is paused and forgotten",
    "a periodic task fails",
    "kill -9 a consumer that runs a task",
    "one exporter of two is killed",
    "Redis is killed",
)
ALL = (*WORK_FAULTS, *MAIN_FAULTS, *STORAGE_FAULTS, *PIPELINE_FAULTS)
NOT_LIVE = {"LimelightEventLag", "LimelightGroupDisagrees", "LimelightScrapeSlow", "LimelightSnapshotStale"}


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_alerts_reach_alertmanager_and_go_when_things_are_broken_and_mended(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        assert wait_until_calm(stage, 3), (
            f"{stage.alertmanager.names()} before anything was broken: {tmp_path}"
        )
        drill = run(stage, [[fault] for fault in ALL if fault.what in SHORT], CONSOLE.print)
    CONSOLE.print(table(drill))
    assert wrong(drill) == [], f"logs: {tmp_path}"
    hidden = [one.labels for one in drill.courses if one.hidden]
    assert expected("CollectorFailing", "limelight-storage", collector="queues") in hidden, (
        "RedisDown explains it"
    )


def test_every_alert_is_struck_live_or_said_not_to_be() -> None:
    struck = {labels["alertname"] for fault in ALL for labels in fault.alerts}
    assert struck | NOT_LIVE == set(alert_names())
    assert not struck & NOT_LIVE
    assert {fault.what for fault in ALL} >= set(SHORT)


def course(fired: float | None, cleared: float | None) -> Course:
    return Course("it breaks", expected("QueueAge", queue="mail"), fired, cleared)


def test_an_alert_that_does_not_come_or_does_not_go_is_named() -> None:
    assert wrong(Drill([course(3.0, 1.0)])) == []
    assert wrong(Drill([course(None, 0.0)])) == ["it breaks: QueueAge never reached Alertmanager"]
    assert wrong(Drill([course(3.0, None)])) == ["it breaks: QueueAge did not clear"]
    assert page(Drill([course(3.2, None)])).endswith("| it breaks | QueueAge | 3 | never |\n")


def test_what_came_uncalled_is_named_and_what_was_expected_is_not() -> None:
    labels = {"alertname": "LimelightQueueAge", "job": "limelight"}
    seen = [Active(frozenset({**labels, "queue": queue}.items()), inhibited=False) for queue in ("mail", "b")]
    assert uncalled(Drill([course(1.0, 1.0)], seen=seen)) == ["QueueAge · limelight · b"]


class NoAlerts:
    seen: dict[Active, float] = {}  # noqa: RUF012

    def active(self, labels: object) -> None:
        return None


class NoStage:
    alertmanager = NoAlerts()


def test_a_fault_that_cannot_be_struck_is_a_problem_and_ends_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @contextmanager
    def broken(_: object) -> Iterator[None]:
        raise OSError("no such thing")
        yield

    monkeypatch.setattr("drill.trial.PATIENCE_SECONDS", 0.0)
    faults = [Fault(what=what, strike=broken, alerts=[expected("QueueAge")]) for what in ("one", "two")]
    drill = run(NoStage(), [faults], print)  # type: ignore[arg-type]
    assert [problem.partition(":")[0] for problem in drill.problems] == ["one", "two"]
    assert len(wrong(drill)) == 4
