"""The short form of `make chaos-exporter`; docs/chaos-exporter.md says what is thrown and what is checked."""

import os
import secrets
from pathlib import Path

import pytest
from chaos_exporter.plants import PLANTS
from chaos_exporter.report import account, happened
from chaos_exporter.stage import Plan, Stage
from chaos_exporter.trial import run
from chaos_exporter.verdict import CHECKS, judge
from rich.console import Console

CONSOLE = Console(width=150)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_every_counter_is_right_though_exporters_redis_and_workers_are_killed_and_the_stream_is_trimmed(
    tmp_path: Path,
) -> None:
    seed = os.environ.get("CHAOS_SEED") or secrets.token_hex(4)
    with Stage(Plan(seed=seed, tasks=2_000, seconds=10, deadly=2, trims=1), tmp_path) as stage:
        evidence = run(stage, CONSOLE.print)
        CONSOLE.print(happened(evidence, stage.struck))
    findings = judge(evidence)
    CONSOLE.print(account(findings))
    assert evidence.lost, "something was trimmed"
    wrong = {finding.check: finding.problems[:3] for finding in findings if finding.problems}
    assert not wrong, f"CHAOS_SEED={seed} strikes the same; logs and the ledger are in {tmp_path}"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_every_counter_is_right_though_redis_goes_back_in_time_and_exporters_are_killed_with_it(
    tmp_path: Path,
) -> None:
    seed = os.environ.get("CHAOS_SEED") or secrets.token_hex(4)
    with Stage(Plan(seed=seed, tasks=400, seconds=8, deadly=1, rollbacks=3), tmp_path) as stage:
        evidence = run(stage, CONSOLE.print)
        CONSOLE.print(happened(evidence, stage.struck))
    findings = judge(evidence)
    CONSOLE.print(account(findings))
    assert evidence.rollbacks, "Redis went back, in up to three ways"
    wrong = {finding.check: finding.problems[:3] for finding in findings if finding.problems}
    assert not wrong, f"CHAOS_SEED={seed} strikes the same; logs and the ledger are in {tmp_path}"


@pytest.mark.parametrize("name", PLANTS)
def test_every_bug_has_a_check_that_must_name_it(name: str) -> None:
    assert PLANTS[name][1] in CHECKS
