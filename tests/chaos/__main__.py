"""Throw everything at the queue and account for every task: `make chaos`, `make chaos ARGS='--seconds 60'`."""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from .clock import faketime_library
from .evidence import keep
from .plants import PLANTS, VARIABLE, plant_from
from .report import account, happened
from .schedule import Strike
from .stage import Plan, Stage
from .trial import run
from .verdict import Finding, judge


def plan_from(arguments: list[str]) -> Plan:
    """The plan that the command line asks for, or the environment."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    get = os.environ.get
    parser.add_argument(
        "--seed", default=get("CHAOS_SEED") or secrets.token_hex(4), help="(CHAOS_SEED; random)"
    )
    parser.add_argument(
        "--tasks", type=int, default=int(get("CHAOS_TASKS", "20000")), help="(CHAOS_TASKS; 20000)"
    )
    parser.add_argument(
        "--seconds", type=float, default=float(get("CHAOS_SECONDS", "240")),
        help="how long faults strike; the whole run takes about a minute more (CHAOS_SECONDS; 240)",
    )  # fmt: skip
    parser.add_argument("--plant", choices=PLANTS, help="plant this bug, to see that it is found")
    options = parser.parse_args(arguments)
    if options.plant:
        os.environ[VARIABLE] = options.plant
    return Plan(seed=options.seed, tasks=options.tasks, seconds=options.seconds)


def tried(plan: Plan, folder: Path, console: Console) -> list[Finding]:
    """One run, with its report."""

    def told(strike: Strike) -> None:
        lasts = f" for {strike.seconds:.1f} s" if strike.seconds else ""
        console.print(f"[dim]{strike.at:6.1f} s  {strike.target}: {strike.fault}{lasts}[/]", highlight=False)

    with Stage(plan, folder) as stage:
        evidence = run(stage, told)
    keep(evidence, folder)
    findings = judge(evidence)
    console.print(happened(evidence))
    console.print(account(findings))
    return findings


def main() -> int:
    """Run once; the exit code is 1 if anything is wrong, and its files are kept then."""
    plan, console = plan_from(sys.argv[1:]), Console()
    plant_from(os.environ)
    console.print(f"seed {plan.seed}: {plan.tasks:,} tasks, faults for {plan.seconds:g} s")
    if faketime_library() is None:
        console.print("Redis' clock stays as it is: libfaketime is not installed (apt install faketime)")
    folder = Path(tempfile.mkdtemp(prefix="limelight-chaos-"))
    with contextlib.ExitStack() as keep:
        keep.callback(lambda: console.print(f"logs and ledgers: {folder}"))
        findings = tried(plan, folder, console)
        if not any(finding.problems for finding in findings):
            keep.pop_all()
            shutil.rmtree(folder)
            console.print(f"[green]seed {plan.seed}: every task is accounted for[/]")
            return 0
    console.print(f"[red]seed {plan.seed}: not everything is as it must be[/]")
    return 1


if __name__ == "__main__":
    sys.exit(main())
