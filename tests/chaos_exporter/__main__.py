"""Kill exporters, Redis and workers while tasks are counted, and check every counter: `make chaos-exporter`."""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from .plants import PLANTS, VARIABLE
from .report import account, happened
from .stage import Plan, Stage
from .trial import run
from .verdict import judge


def plans_from(arguments: list[str]) -> list[Plan]:
    """What the command line asks for: a run on a Redis that forgets nothing, then a smaller one on one that does."""
    parser = argparse.ArgumentParser(prog="make chaos-exporter", description=__doc__)
    parser.add_argument("--seed", default=secrets.token_hex(4), help="decides what strikes when (random)")
    parser.add_argument("--tasks", type=int, default=50_000, help="(50000)")
    parser.add_argument(
        "--seconds", type=float, default=90, help="over which they are enqueued, at least (90)"
    )
    parser.add_argument(
        "--rollbacks", type=int, default=6, help="how often Redis goes back, in a run of a fifth of that (6)"
    )
    parser.add_argument("--plant", choices=PLANTS, help="plant this bug, to see that it is found")
    options = parser.parse_args(arguments)
    os.environ[VARIABLE] = options.plant or ""
    seed, tasks, seconds = options.seed, options.tasks, options.seconds
    trims = max(1, tasks // 20_000)
    plans = [Plan(seed=seed, tasks=tasks, seconds=seconds, deadly=max(2, tasks // 5_000), trims=trims)]
    if options.rollbacks:
        fifth = max(200, tasks // 5)
        plans.append(Plan(seed=seed, tasks=fifth, seconds=seconds / 2, deadly=2, rollbacks=options.rollbacks))
    return plans


def main() -> int:
    """Run each plan once; the exit code is 1 if anything is wrong."""
    console = Console()
    return max([carry_out(plan, console) for plan in plans_from(sys.argv[1:])])


def carry_out(plan: Plan, console: Console) -> int:
    """Run once; returns 1 if anything is wrong, and its files are kept then."""
    console.print(f"seed {plan.seed}: {plan.tasks:,} tasks, Redis goes back {plan.rollbacks} times")
    folder = Path(tempfile.mkdtemp(prefix="limelight-chaos-exporter-"))
    began = time.monotonic()

    def told(fault: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.1f} s  {fault}[/]", highlight=False)

    with contextlib.ExitStack() as keep:
        keep.callback(lambda: console.print(f"logs and the ledger: {folder}"))
        with Stage(plan, folder) as stage:
            evidence = run(stage, told)
            console.print(happened(evidence, stage.struck))
        findings = judge(evidence)
        console.print(account(findings))
        if not any(finding.problems for finding in findings):
            keep.pop_all()
            shutil.rmtree(folder)
            console.print(f"[green]seed {plan.seed}: every counter is right[/]")
            return 0
    console.print(f"[red]seed {plan.seed}: not every counter is right[/]")
    return 1


if __name__ == "__main__":
    sys.exit(main())
