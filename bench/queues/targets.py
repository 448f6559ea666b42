"""What Limelight wants to reach, held against what a run measured."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from queues.contenders import (
    HUEY_PROCESSES,
    PROCESSES,
    THREADS,
    THREADS_UNTOLD,
    Contender,
)
from queues.scenarios import drain
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
)
