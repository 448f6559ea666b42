"""What an exporter with 10,000 series costs: a scrape, the fold meanwhile, a snapshot, memory."""

import functools
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from limelight_exporter.exposition import Exposition, Renderer
from limelight_exporter.fold import MetricEvent
from limelight_exporter.metric_state import QueueState
from limelight_exporter.queue_fold import SAVE_SECONDS
from limelight_exporter.snapshot_format import Snapshot, pack
from limelight_exporter.stream_source import Position
from limelight_exporter.trace_keep import NOTHING

SERIES = 10_000
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def measure() -> dict[str, float]:
    """One round."""
    state, count = state_of(SERIES)
    renderer = Renderer()
    text = {
        accept: milliseconds(functools.partial(scrape, state, renderer, accept))
        for accept in (OPENMETRICS, "")
    }
    scraped = pauses(state, lambda: scrape(state, renderer, OPENMETRICS))
    alone = pauses(state, lambda: time.sleep(0.01))
    saving = milliseconds(lambda: pack(Snapshot(Position(), state.save())))
    return {
        "series": count,
        "scrape in OpenMetrics, CPU ms": text[OPENMETRICS],
        "scrape in Prometheus' text, CPU ms": text[""],
        "part of it in which the fold waits, CPU ms": milliseconds(
            lambda: state.collect(Exposition(), current=True)
        ),
        "pause of the fold while scraped, p99 ms": scraped.p99,
        "pause of the fold while scraped, longest ms": scraped.longest,
        "pause while nobody scrapes, p99 ms": alone.p99,
        "pause while nobody scrapes, longest ms": alone.longest,
        "snapshot, CPU ms": saving,
        "snapshots, % of a core": saving / 1_000 / SAVE_SECONDS * 100,
        "memory of an exporter, MB": memory(),
    }


def state_of(series: int) -> tuple[QueueState, int]:
    """A state that serves so many series, and how many they are exactly."""
    state, tasks = QueueState("bench", exemplars=NOTHING), 0
    while (count := served(state)) < series:
        tasks += 10
        state.fold([event("consumer-started", tasks=[f"task{n}" for n in range(tasks)])])
        state.fold([one for n in range(tasks) for one in life(f"task{n}")])
    return state, count


def life(task: str) -> list[MetricEvent]:
    """The events of one task."""
    ids = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331", "trace_flags": 1}
    return [
        event("started", task=task, wait=0.2, **ids),
        event("finished", task=task, outcome="success", end="success", duration=1.5, ran_seconds=1.5, **ids),
    ]


def event(status: str, **keys: object) -> MetricEvent:
    return MetricEvent(status=status, queue="bench", seq=1, timestamp=time.time(), **keys)  # type: ignore[arg-type]


def served(state: QueueState) -> int:
    """Series as Prometheus counts them: lines."""
    return sum(not line.startswith(b"#") for line in scrape(state, Renderer(), "").splitlines())


def scrape(state: QueueState, renderer: Renderer, accept: str) -> bytes:
    exposition = Exposition()
    state.collect(exposition, current=True)
    return renderer.render(exposition, accept)[0]


def milliseconds(work: Callable[[], object], repeat: int = 10) -> float:
    """CPU time of this thread, the mean of some."""
    began = time.thread_time()
    for _ in range(repeat):
        work()
    return (time.thread_time() - began) / repeat * 1_000


class Pauses(NamedTuple):
    """Wall time of small folds, in ms."""

    p99: float
    longest: float


def pauses(state: QueueState, beside: Callable[[], object]) -> Pauses:
    """How long small folds take while another thread does something else all the time.

    On a machine with other work the longest one says more of that than of us.
    """
    stop = threading.Event()

    def go_on() -> None:
        while not stop.is_set():
            beside()

    events, took = life("task1"), []
    with ThreadPoolExecutor(1) as pool:
        pool.submit(go_on)
        until = time.monotonic() + 2.0
        while (began := time.monotonic()) < until:
            state.fold(events)
            took.append((time.monotonic() - began) * 1_000)
        stop.set()
    return Pauses(statistics.quantiles(took, n=100)[-1], max(took))


def memory() -> float:
    """Resident memory, in MB, of the exporter's process with so many series, after some scrapes."""
    command = [sys.executable, "-c", _EXPORTER.format(here=str(Path(__file__).parents[1]), series=SERIES)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


_EXPORTER = """
import sys
sys.path.insert(0, {here!r})
from limelight_exporter.cli.exporter import exporter
from exporter.serving import OPENMETRICS, Renderer, scrape, state_of
state, _ = state_of({series})
for _ in range(5):
    scrape(state, Renderer(), OPENMETRICS)
pages = int(open("/proc/self/statm").read().split()[1])
print(pages * 4096 / 1e6)
"""
