"""What Limelight wants to reach, held against what a run measured."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from queues.contenders import (
    HUEY,
    HUEY_ONE_THREAD,
    HUEY_PROCESSES,
    ONE_THREAD,
    PROCESSES,
    THREADS,
    THREADS_UNTOLD,
    Contender,
)
from queues.figures import Case
from queues.scenarios import depth, drain, enqueue, idle, latency, lifetime, mixed
from report.record import Record, Row, best
from report.tables import Sheet, number

Measure = Callable[[Record], float | None]


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to reach.

    Attributes:
        text: What, with its unit.
        sense: On which side of the limit it must be.
        limit: How much.
        measure: What a run says of it; None if it was not measured.
    """

    text: str
    sense: Literal["at least", "at most", "under"]
    limit: float
    measure: Measure

    def met(self, value: float) -> bool:
        """Whether a value is on the right side."""
        if self.sense == "at least":
            return value >= self.limit
        return value <= self.limit if self.sense == "at most" else value < self.limit


def sheet(record: Record) -> Sheet:
    """Every target, with what was measured."""
    return Sheet("Targets", ["target", "wanted", "measured", ""], list(_lines(record)))


def _lines(record: Record) -> Iterator[list[str]]:
    for target in TARGETS:
        value = target.measure(record)
        measured = ["–", "not measured"]
        if value is not None:
            measured = [number(value), "met" if target.met(value) else "missed"]
        yield [target.text, f"{target.sense} {number(target.limit)}", *measured]


def row_of(record: Record, scenario: str, figure: str, setting: str, contender: Contender) -> Row | None:
    """One row, if it was measured."""
    found = record.find(scenario, figure, setting, lambda row: row.contender == contender.label)
    return found[0] if found else None


def median(scenario: str, figure: str, setting: str, contender: Contender) -> Measure:
    """The median of a figure."""

    def measure(record: Record) -> float | None:
        row = row_of(record, scenario, figure, setting, contender)
        return row.median if row else None

    return measure


def ratio(scenario: str, figure: str, setting: str, mine: Contender, its: Contender) -> Measure:
    """One contender's figure / another's."""

    def measure(record: Record) -> float | None:
        rows = [row_of(record, scenario, figure, setting, one) for one in (mine, its)]
        return rows[0].over(rows[1]) if rows[0] and rows[1] else None

    return measure


def over_best_peer(scenario: str, figure: str, setting: str, mine: Contender) -> Measure:
    """A contender's figure / that of the best peer, unless there was none."""

    def measure(record: Record) -> float | None:
        row = row_of(record, scenario, figure, setting, mine)
        peer = best(record.find(scenario, figure, setting, lambda one: one.peer))
        return row.over(peer) if row and peer else None

    return measure


def loss(measure: Measure) -> Measure:
    """How much is lost, in percent, where a ratio says what remains."""

    def measured(record: Record) -> float | None:
        remains = measure(record)
        return None if remains is None else (1 - remains) * 100

    return measured


def growth(scenario: str, figure: str, mine: Contender) -> Measure:
    """A figure with a million queued / the same from an empty queue."""

    def measure(record: Record) -> float | None:
        first, last = (
            _median_of(record, scenario, figure, Case(mine, queued=queued)) for queued in (1, 1_000_000)
        )
        return last / first if first and last else None

    return measure


def of_exporter(part: str, name: str) -> Measure:
    """The median of a figure of the exporter."""

    def measure(record: Record) -> float | None:
        found = record.find(f"exporter, {part}", "one process", "", lambda row: row.contender == name)
        return found[0].median if found else None

    return measure


def _median_of(record: Record, scenario: str, figure: str, case: Case) -> float | None:
    found = record.find(scenario, figure, case.setting, lambda row: row.contender == case.label)
    return found[0].median if found else None


_SINGLE: Final = {results: drain.setting(one_process=True, results=results) for results in (False, True)}
_SEVERAL: Final = {results: drain.setting(one_process=False, results=results) for results in (False, True)}

TARGETS: Final = (
    Target(
        "drain, 8 threads of one process ÷ best single-process peer",
        "at least",
        5.0,
        over_best_peer("drain", drain.RATE, _SINGLE[False], THREADS),
    ),
    Target(
        "the same with results stored",
        "at least",
        4.0,
        over_best_peer("drain", drain.RATE, _SINGLE[True], THREADS),
    ),
    Target(
        "drain, 8 processes ÷ Huey's 8 processes",
        "at least",
        2.5,
        ratio("drain", drain.RATE, _SEVERAL[False], PROCESSES, HUEY_PROCESSES),
    ),
    Target(
        "cost of events: drain with against without, %",
        "under",
        25.0,
        loss(ratio("drain", drain.RATE, _SINGLE[False], THREADS, THREADS_UNTOLD)),
    ),
    Target(
        "idle: from call to start ÷ Huey's, p50, one worker each",
        "at most",
        1.1,
        ratio("latency", latency.P50, latency.ONE_WORKER, ONE_THREAD, HUEY_ONE_THREAD),
    ),
    Target(
        "idle: the same with 8 workers each",
        "at most",
        1.1,
        ratio("latency", latency.P50, latency.SEVERAL_WORKERS, THREADS, HUEY),
    ),
    Target(
        "idle: from call to start, p99 ms, 8 workers",
        "under",
        3.0,
        median("latency", latency.P99, latency.SEVERAL_WORKERS, THREADS),
    ),
    Target(
        "idle: commands/s of 8 workers",
        "under",
        5.0,
        median("idle", idle.RATE, "", THREADS),
    ),
    Target(
        "idle: commands/s of 32 workers",
        "under",
        5.0,
        median("idle", idle.RATE, "", idle.MANY_WORKERS),
    ),
    Target(
        "enqueue one by one ÷ Huey's",
        "at least",
        0.9,
        ratio("enqueue", enqueue.RATE, "", THREADS, HUEY),
    ),
    Target(
        "enqueue in bulk, tasks/s",
        "at least",
        50_000,
        median("bulk", enqueue.RATE, "", THREADS),
    ),
    *(
        Target(
            f"mixed, {load}: started event of a long task, latest ms",
            "at most",
            50.0,
            median("mixed", mixed.TOLD, load, THREADS),
        )
        for load in (mixed.BACKLOG, mixed.BURSTS)
    ),
    *(
        Target(
            f"mixed, {load}: longest wait of a ready task beside an idle worker, ms",
            "at most",
            50.0,
            median("mixed", mixed.WAIT, load, THREADS),
        )
        for load in (mixed.BACKLOG, mixed.BURSTS)
    ),
    Target(
        "memory of a consumer: growth over a million tasks, MB",
        "under",
        5.0,
        median("lifetime", lifetime.GROWTH, "", THREADS),
    ),
    Target(
        "cost of enqueueing with 1,000,000 queued ÷ with 1",
        "at most",
        1.25,
        growth("depth", depth.ENQUEUE, THREADS),
    ),
    Target(
        "cost of reserve and settle with 1,000,000 queued ÷ with 1",
        "at most",
        1.25,
        growth("depth", depth.RUN, THREADS),
    ),
    Target(
        "exporter: events/s of one core, from a stream to updated metrics",
        "at least",
        150_000,
        of_exporter("fold", "XREAD to updated metrics, events per CPU s"),
    ),
    Target(
        "exporter: the same ÷ XREAD and decode alone",
        "at least",
        0.75,
        of_exporter("fold", "fold ÷ limit"),
    ),
    Target(
        "exporter, 10,000 series: a scrape, ms",
        "under",
        150,
        of_exporter("10,000 series", "scrape in OpenMetrics, CPU ms"),
    ),
    Target(
        "exporter, 10,000 series: pause of the fold while scraped, p99 ms",
        "under",
        20,
        of_exporter("10,000 series", "pause of the fold while scraped, p99 ms"),
    ),
    Target(
        "exporter, 10,000 series: snapshots, % of a core",
        "under",
        1,
        of_exporter("10,000 series", "snapshots, % of a core"),
    ),
    Target(
        "exporter, 10,000 series: memory, MB",
        "under",
        120,
        of_exporter("10,000 series", "memory of an exporter, MB"),
    ),
    Target(
        "exporter: back after an hour away at 1,000 tasks/s (10.8 million events), s",
        "under",
        90,
        of_exporter("away", "an hour away at 1,000 tasks/s (10.8 million events), s"),
    ),
    Target(
        "exporter, 10,000 series: growth of memory over those events, MB",
        "under",
        5,
        of_exporter("away", "growth of memory since the first piece, MB"),
    ),
    Target(
        "exporter, a million events and 20,000/s more: seconds until it is ready",
        "under",
        60,
        of_exporter("flood", "until it is ready, s"),
    ),
    Target(
        "exporter, flooded: events counted ÷ told",
        "at least",
        1,
        of_exporter("flood", "events counted ÷ told"),
    ),
    Target(
        "exporter, flooded: scrapes that were not answered",
        "at most",
        0,
        of_exporter("flood", "scrapes that were not answered"),
    ),
    Target(
        "exporter: gauges with 1,000,000 tasks ready ÷ with none",
        "at most",
        1.25,
        of_exporter("gauges", "full ÷ empty"),
    ),
)
