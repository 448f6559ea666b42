"""The short form of `make chaos`; docs/chaos.md says what is thrown and what is checked."""

import os
import secrets
import warnings
from pathlib import Path

import pytest
from chaos.clock import faketime_library
from chaos.evidence import keep
from chaos.report import account, happened
from chaos.stage import Plan, Stage
from chaos.trial import run
from chaos.verdict import judge
from missing import missing
from rich.console import Console

CONSOLE = Console(width=150)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_task_is_accounted_for_whatever_befalls_the_processes_redis_and_its_clock(
    tmp_path: Path,
) -> None:
    note_a_clock_that_cannot_be_moved()
    seed = os.environ.get("CHAOS_SEED") or secrets.token_hex(4)
    with Stage(Plan(seed=seed, tasks=1_500, seconds=20), tmp_path) as stage:
        evidence = run(
            stage, lambda strike: CONSOLE.print(f"{strike.at:6.1f} s  {strike.target}: {strike.fault}")
        )
    keep(evidence, tmp_path)
    findings = judge(evidence)
    CONSOLE.print(happened(evidence), account(findings))
    wrong = {finding.check: finding.problems[:3] for finding in findings if finding.problems}
    assert not wrong, f"CHAOS_SEED={seed} strikes the same; logs, ledgers and events are in {tmp_path}"


def note_a_clock_that_cannot_be_moved() -> None:
    if faketime_library() is None:
        why = "libfaketime was not found, so Redis' clock is not moved: apt install faketime"
        if os.environ.get("CI") == "true":
            missing(why)
        warnings.warn(why, stacklevel=2)
