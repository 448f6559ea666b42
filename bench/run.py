"""Measure Limelight and its peers in one run: `make bench`, or `make bench ARGS='queues --peers huey,taskiq'`.

Suites: `queues` (the queue against others, each in an environment of its own under .bench-venv, each measurement
on a fresh Redis) and `exporter` (its fold against reading alone, its scrapes and snapshots with 10,000 series, its
gauges with a million tasks queued, its return after an hour away, a flood). Rounds are interleaved, figures are
medians, and ratios are taken within a round, because absolute numbers of a shared machine mean little.

  make bench ARGS='queues --only drain --peers huey,taskiq --rounds 5'
  make bench ARGS='queues --size long'                    a million tasks where the usual run has 100,000
  make bench ARGS='queues --profile'                      our drain under py-spy, and what Redis did
  make bench ARGS='exporter --parts away --events 1080000'  a tenth of an hour away, scaled up
  make bench ARGS='--publish .bench-runs/RUN.json'        write a run into docs/benchmarks.md
"""

import argparse
import datetime as dt
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import track

BENCH: Final = Path(__file__).parent
sys.path.insert(0, str(BENCH))

from exporter import away, flood, fold, looking, serving  # noqa: E402 - found by the line above
from traces import export  # noqa: E402

from limelight.embedded import EmbeddedRedis  # noqa: E402
from queues import environments, plan, profile, targets  # noqa: E402
from queues.contenders import PEERS, chosen  # noqa: E402
from queues.figures import SIZES  # noqa: E402
from report import page, tables  # noqa: E402
from report.record import Record, Row  # noqa: E402

RUNS: Final = BENCH.parent / ".bench-runs"
SUITES: Final = ("queues", "exporter")
PARTS: Final = {
    "fold": "fold",
    "serving": "10,000 series",
    "looking": "gauges",
    "spans": "spans",
    "away": "away",
    "flood": "flood",
}
"""Parts of the exporter's suite, and how tables name them."""
ONCE: Final = ("away", "flood")
"""Those of which one round says it all: they take minutes."""
say: Final = Console(stderr=True).print


def main() -> None:
    """Do what was asked for; exit 1 if a measurement failed."""
    options = arguments()
    if not Path("/proc/self/stat").exists():
        sys.exit("The bench asks /proc what processes use: it runs on Linux only.")
    if options.publish:
        publish(options.publish)
        return
    try:
        environments.ensure(environments_of(options), say)
    except environments.CannotInstall as error:
        sys.exit(str(error))
    if options.profile:
        profile.run(SIZES[options.size].drained, options.workers, options.profile_file, say)
        return
    record, began = Record(about=about(options)), time.monotonic()
    try:
        if "queues" in options.suites:
            queues(options, record)
        if "exporter" in options.suites:
            exporter(options, record)
    except KeyboardInterrupt:
        say("stopped; what was measured so far is kept")
    record.about["seconds"] = round(time.monotonic() - began)
    record.save(options.out)
    show(record)
    say(f"written to {options.out}, after {record.about['seconds'] / 60:.1f} minutes")
    if record.about["failed"]:
        sys.exit(f"{len(record.about['failed'])} measurements failed")


def arguments() -> argparse.Namespace:
    """What was asked for, checked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    scenarios = ", ".join(plan.SCENARIOS)
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H%M%S")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}; both by default")
    parser.add_argument("--peers", default="all", help=f"all, none, or of {','.join(PEERS)} (all)")
    parser.add_argument("--only", default="", help=f"scenarios of queues: {scenarios}; all by default")
    parser.add_argument("--parts", default="", help=f"of exporter: {', '.join(PARTS)}; all by default")
    parser.add_argument(
        "--events", type=int, default=away.AN_HOUR, help=f"told while the exporter is away ({away.AN_HOUR})"
    )
    parser.add_argument(
        "--backlog",
        type=int,
        default=flood.BACKLOG,
        help=f"events at the start of the flood ({flood.BACKLOG})",
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (3)")
    parser.add_argument("--size", choices=SIZES, default="normal", help="how many tasks (normal)")
    parser.add_argument(
        "--out", type=Path, default=RUNS / f"{now}.json", help=f"the run file ({RUNS.name}/…)"
    )
    parser.add_argument(
        "--publish", type=Path, metavar="RUN", help="write a run file into docs/benchmarks.md"
    )
    parser.add_argument("--profile", action="store_true", help="drain ours under py-spy instead")
    parser.add_argument("--workers", type=int, default=8, help="threads of --profile (8)")
    parser.add_argument(
        "--profile-file", type=Path, default=Path("profile.txt"), help="collapsed stacks of --profile"
    )
    options = parser.parse_args()
    options.peers = PEERS if options.peers == "all" else names(parser, "peer", options.peers, PEERS)
    options.only = names(parser, "scenario", options.only, plan.SCENARIOS) or list(plan.SCENARIOS)
    options.parts = names(parser, "part", options.parts, PARTS) or list(PARTS)
    options.suites = names(parser, "suite", ",".join(options.suites), SUITES) or SUITES
    if options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return options


def names(parser: argparse.ArgumentParser, what: str, text: str, known: Any) -> Sequence[str]:
    """The names in a list with commas, all of them known; "none" is none."""
    given = [] if text == "none" else [name for name in text.split(",") if name]
    if unknown := set(given) - set(known):
        parser.error(f"no {what} named {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return given


def environments_of(options: argparse.Namespace) -> Sequence[str]:
    """Which environments the run needs."""
    if options.profile:
        return ["profiler"]
    return options.peers if "queues" in options.suites else []


def about(options: argparse.Namespace) -> dict[str, Any]:
    """The circumstances of a run."""
    with EmbeddedRedis() as server:
        version = server.version
    words = ["git", "-C", str(BENCH), "describe", "--always", "--dirty"]
    commit = subprocess.run(words, check=False, text=True, capture_output=True).stdout.strip()
    load = os.getloadavg()[0]
    if load > 0.25 * (os.cpu_count() or 1):
        say(f"[bold]The machine is busy[/] (load {load:.2f}): do not publish this run.")
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "commit": commit or "unknown",
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "redis": version,
        "peers": environments.versions(environments_of(options)),
        "rounds": options.rounds,
        "size": options.size,
        "load": load,
        "failed": [],
    }


def queues(options: argparse.Namespace, record: Record) -> None:
    """The queue against its peers; kept on disk after each measurement."""
    scenarios = [plan.SCENARIOS[name] for name in options.only]
    sizes = SIZES[options.size]
    steps = plan.steps(scenarios, chosen(options.peers), sizes, options.rounds)
    done = plan.carry_out(steps, sizes, record, say)
    for _ in track(done, "measuring", total=len(steps), console=Console(stderr=True)):
        record.save(options.out)


def exporter(options: argparse.Namespace, record: Record) -> None:
    """The exporter: figures of one kind in the same round."""
    measures: dict[str, Callable[[], dict[str, float]]] = {
        "fold": fold.measure,
        "serving": serving.measure,
        "looking": looking.measure,
        "spans": export.measure,
        "away": lambda: away.measure(options.events),
        "flood": lambda: flood.measure(options.backlog),
    }
    for number in track(range(options.rounds), "measuring the exporter", console=Console(stderr=True)):
        for part in options.parts:
            if number == 0 or part not in ONCE:
                for name, value in measures[part]().items():
                    scenario = f"exporter, {PARTS[part]}"
                    row = Row(scenario=scenario, figure="one process", setting="", contender=name)
                    record.add(number, value, row)
                record.save(options.out)


def show(record: Record) -> None:
    """Print all tables, the targets last."""
    console = Console() if sys.stdout.isatty() else Console(width=140)
    for sheet in [*tables.sheets(record), targets.sheet(record)]:
        console.print(sheet.rich(), "")


def publish(run_file: Path) -> None:
    """Keep a run file in the repository and write it into the page."""
    record = Record.load(run_file)
    if record.about["size"] == "quick":
        sys.exit(f"{run_file} is of a quick run, which shows that the bench works and nothing else")
    kept = page.KEPT / run_file.name
    if kept.resolve() != run_file.resolve():
        record.save(kept)
    page.write(kept, targets.sheet(record))
    say(f"{page.PAGE.name} has {kept.name} now")


if __name__ == "__main__":
    main()
