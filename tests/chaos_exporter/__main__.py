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


def plan_from(arguments: list[str]) -> Plan:
    """The plan that the command line asks for."""
    parser = argparse.ArgumentParser(prog="make chaos-exporter", description=__doc__)
    parser.add_argument("--seed", default=secrets.token_hex(4), help="decides what strikes when (random)")
    parser.add_argument("--tasks", type=int, default=50_000, help="(50000)")
    parser.add_argument(
        "--seconds", type=float, default=90, help="over which they are enqueued, at least (90)"
    )
    parser.add_argument("--plant", choices=PLANTS, help="plant this bug, to see that it is found")
    options = parser.parse_args(arguments)
    os.environ[VARIABLE] = options.plant or ""
    deadly = max(2, options.tasks // 5_000)
    trims = max(1, options.tasks // 20_000)
    return Plan(seed=options.seed, tasks=options.tasks, seconds=options.seconds, deadly=deadly, trims=trims)


def main() -> int:
    """Run once; the exit code is 1 if anything is wrong, and its files are kept then."""
    plan, console = plan_from(sys.argv[1:]), Console()
    console.print(f"seed {plan.seed}: {plan.tasks:,} tasks")
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
