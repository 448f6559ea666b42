"""Measure Limelight against what it stands on, in one run: `make bench`, or `make bench ARGS='queue --rounds 5'`.

Every figure is a median over rounds that are interleaved, and stands beside a limit measured in the same
round, because absolute numbers of a shared machine mean little.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))

from exporter.fold import measure as measure_fold
from queues.throughput import measure as measure_queue

SUITES: Mapping[str, Callable[[], dict[str, float]]] = {"queue": measure_queue, "fold": measure_fold}


def medians(rounds: list[dict[str, float]]) -> dict[str, tuple[float, float, float]]:
    """Minimum, median and maximum of each figure."""
    return {
        name: (
            min(one[name] for one in rounds),
            statistics.median(one[name] for one in rounds),
            max(one[name] for one in rounds),
        )
        for name in rounds[0]
    }


def table(suite: str, figures: Mapping[str, tuple[float, float, float]]) -> Table:
    """The figures of a suite as people read them."""
    shown = Table(title=suite, title_justify="left")
    shown.add_column("figure")
    for column in ("min", "median", "max"):
        shown.add_column(column, justify="right")
    for name, values in figures.items():
        shown.add_row(name, *(f"{value:,.3g}" if value < 100 else f"{value:,.0f}" for value in values))
    return shown


def main() -> None:
    """Run the suites that were asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}; all by default")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (3)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    options = parser.parse_args()
    if unknown := set(options.suites) - set(SUITES):
        parser.error(f"no suite named {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}")
    chosen = options.suites or list(SUITES)
    progress = Console(stderr=True)
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in chosen}
    rounds = [(name, one) for one in range(options.rounds) for name in chosen]
    for name, _ in track(rounds, "measuring", console=progress):
        measured[name].append(SUITES[name]())
    results = {name: medians(rounds) for name, rounds in measured.items()}
    if options.json:
        print(json.dumps(results))
        return
    for name, figures in results.items():
        Console().print(table(name, figures))


if __name__ == "__main__":
    main()
