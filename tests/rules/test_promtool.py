"""The committed rules and their cases, as Prometheus' own tools see them."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from missing import needed
from rules.promtool import failures, promtool
from rules.rule_files import FOLDER, ROOT


def test_the_rules_and_the_configuration_are_sound() -> None:
    done = promtool("check", "config", "prometheus.yml", cwd=FOLDER)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rules found" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_alert_fires_stays_quiet_and_clears_as_its_cases_say() -> None:
    assert list(failures(sorted((FOLDER / "tests").glob("*.test.yaml")))) == []


def amtool(*words: str) -> str:
    binary = needed(shutil.which("amtool"), "amtool", "apt install prometheus-alertmanager")
    file = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
    done = subprocess.run(
        [binary, *(word.format(file=file) for word in words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_alertmanager_takes_its_configuration() -> None:
    assert "SUCCESS" in amtool("check-config", "{file}")


@pytest.mark.parametrize(("severity", "receiver"), [("critical", "page"), ("warning", "ticket")])
def test_what_is_critical_pages_and_a_warning_does_not(severity: str, receiver: str) -> None:
    routed = amtool("config", "routes", "test", "--config.file={file}", f"severity={severity}")
    assert routed.strip() == receiver
