"""Our drain under py-spy, with what Redis did meanwhile: where the time of a task goes."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from queues.contenders import THREADS
from queues.environments import command
from queues.processes import Child
from queues.scenarios.drain import LIMIT_SECONDS
from queues.stand import Stand
from report.tables import Sheet, number

_SHOWN: Final = 25


def run(count: int, workers: int, stacks: Path, say: Callable[[str], None]) -> None:
    """Drain under py-spy; prints tables, and leaves collapsed stacks (for speedscope or flamegraph.pl)."""
    stacks = stacks.resolve()
    spy = [str(command("profiler", "py-spy")), "record", "--rate", "500", "--format", "raw"]
    with Stand(replace(THREADS, workers=workers)) as stand:
        stand.producer.call("fill", count=count)
        stand.redis.config_resetstat()
        with stand.consumer([*spy, "--output", str(stacks), "--"]) as consumer:
            stand.wait_begun(count, consumer, LIMIT_SECONDS)
            stand.wait_settled(consumer)
            sheets = [_commands(stand.redis.info("commandstats"), count), _latency(stand.redis)]
            _end(consumer)
            log = consumer.last_words()
    if not stacks.exists():
        raise SystemExit(f"py-spy wrote nothing: {log}")
    for sheet in [*_functions(stacks), *sheets]:
        Console().print(sheet.rich(), "")
    say(f"collapsed stacks are in {stacks}")


def _end(consumer: Child) -> None:
    """Stop what py-spy watches; it writes what it saw and ends then."""
    for pid in consumer.pids():
        if pid != consumer.process.pid:
            os.kill(pid, signal.SIGTERM)
    consumer.process.wait(60)


def _functions(stacks: Path) -> Iterator[Sheet]:
    """Where samples were taken, imports aside: by the function itself and by all that it called."""
    itself, total = Counter[str](), Counter[str]()
    for line in stacks.read_text(encoding="utf-8").splitlines():
        stack, _, samples = line.rpartition(" ")
        if not stack or "importlib._bootstrap" in stack:
            continue
        frames = stack.split(";")
        itself[frames[-1]] += int(samples)
        for frame in set(frames):
            total[frame] += int(samples)
    everything = itself.total() or 1
    for title, counted in (("time in the function itself", itself), ("with all it calls", total)):
        lines = [[name, number(samples * 100 / everything)] for name, samples in counted.most_common(_SHOWN)]
        yield Sheet(f"py-spy: {title}", ["function", "% of samples"], lines)


def _commands(stats: Any, count: int) -> Sheet:
    """What Redis executed; commands inside a script are counted by themselves and in the script's time."""
    ordered = sorted(stats.items(), key=lambda item: -item[1]["usec"])
    lines = [
        [name.removeprefix("cmdstat_"), *map(number, (one["calls"] / count, one["usec"] / count))]
        for name, one in ordered[:_SHOWN]
    ]
    return Sheet("Redis commandstats", ["command", "calls/task", "µs/task"], lines)


def _latency(redis: Any) -> Sheet:
    """How long single commands took, where this Redis tells (7.0 and later)."""
    stats = redis.info("latencystats")
    lines = [
        [name.removeprefix("latency_percentiles_usec_"), *(f"{value}" for value in percentiles.values())]
        for name, percentiles in stats.items()
    ]
    return Sheet("Redis latency, µs", ["command", "p50", "p99", "p99.9"], lines)
