"""Break each thing for real and see that the right alert reaches Alertmanager, and goes: `make drill`."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from .fault import Fault
from .report import page, table, uncalled, wrong
from .stage import Stage
from .system_faults import MAIN_FAULTS, PIPELINE_FAULTS, STORAGE_FAULTS
from .trial import run, wait_until_calm
from .work_faults import WORK_FAULTS

PAGE: Final = Path(__file__).parents[2] / "docs" / "drill.md"
BEGIN: Final = "<!-- written by `make drill ARGS=--write` -->\n"
_CALM_SECONDS: Final = 5.0


def all_tracks(stage: Stage) -> list[Sequence[Fault]]:
    """Every fault that can be struck here; those that share a Redis or an exporter one after another."""
    shared = (STORAGE_FAULTS, PIPELINE_FAULTS)
    possible = [
        [fault for fault in track if stage.clock_moves or not fault.may_be_missing] for track in shared
    ]
    return [*([fault] for fault in (*WORK_FAULTS, *MAIN_FAULTS)), *possible]


def write(text: str) -> None:
    """Put the account into the page."""
    before, _, _ = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{text}", encoding="utf-8")


def main() -> int:
    """Run once; the exit code is 1 if an alert did not come or did not go, and the logs are kept then."""
    parser = argparse.ArgumentParser(prog="make drill", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the account to docs/drill.md")
    options = parser.parse_args()
    console, folder = Console(), Path(tempfile.mkdtemp(prefix="limelight-drill-"))
    began = time.monotonic()

    def told(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.1f} s[/]  {line}", highlight=False)

    with contextlib.ExitStack() as keep:
        keep.callback(lambda: console.print(f"logs: {folder}"))
        told("everything starts")
        with Stage(folder) as stage:
            if not stage.clock_moves:
                told("libfaketime was not found, so no clock is moved: apt install faketime")
            if not wait_until_calm(stage, _CALM_SECONDS):
                console.print(
                    f"[red]something fires before anything is broken: {stage.alertmanager.names()}[/]"
                )
                return 1
            drill = run(stage, all_tracks(stage), told)
        console.print(table(drill))
        if options.write:
            write(page(drill))
        if beside := uncalled(drill):
            console.print(f"[dim]came too: {'; '.join(beside)}[/]", highlight=False)
        for problem in wrong(drill):
            console.print(f"[red]{problem}[/]")
        if wrong(drill):
            return 1
        keep.pop_all()
        shutil.rmtree(folder)
    console.print(f"[green]{len(drill.courses)} alerts came and went, in {time.monotonic() - began:.0f} s[/]")
    return 0


if __name__ == "__main__":
    sys.exit(main())
