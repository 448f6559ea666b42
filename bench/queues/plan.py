"""The order of measurements: contenders take turns within a scenario, and another one begins each round."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import redis.exceptions

from limelight.errors import LimelightError
from queues.adapter import NotThere
from queues.contenders import Contender
from queues.figures import Case, Scenario, Sizes
from queues.processes import Failed
from queues.scenarios.depth import DEPTH
from queues.scenarios.drain import DRAIN
from queues.scenarios.enqueue import BULK, ENQUEUE
from queues.scenarios.events import EVENTS
from queues.scenarios.idle import IDLE
from queues.scenarios.latency import LATENCY
from queues.scenarios.lifetime import LIFETIME
from queues.scenarios.mixed import MIXED
from report.record import Record, Row

SCENARIOS: Final = {
    one.name: one for one in (DRAIN, LATENCY, ENQUEUE, BULK, MIXED, IDLE, EVENTS, LIFETIME, DEPTH)
}


@dataclass(frozen=True, slots=True)
class Step:
    """One measurement of one round (from 0)."""

    number: int
    scenario: Scenario
    case: Case

    @property
    def label(self) -> str:
        """Its name while it runs."""
        setting = f" ({self.case.setting})" if self.case.setting else ""
        return f"round {self.number + 1}, {self.scenario.name}: {self.case.label}{setting}"


def steps(
    scenarios: Iterable[Scenario], contenders: Sequence[Contender], sizes: Sizes, rounds: int
) -> list[Step]:
    """All measurements, round by round."""
    return [
        Step(number, scenario, case)
        for number in range(rounds)
        for scenario in scenarios
        if number == 0 or not scenario.once
        for case in _turned(scenario.cases(contenders, sizes), number)
    ]


def carry_out(
    plan: Iterable[Step], sizes: Sizes, record: Record, say: Callable[[str], None]
) -> Iterator[Step]:
    """Measure into the record, yielding each step when it is done. What fails is said, noted and passed by."""
    absent: set[tuple[str, Case]] = set()
    for step in plan:
        key = (step.scenario.name, step.case)
        if key not in absent:
            try:
                for figure in step.scenario.measure(step.case, sizes):
                    record.add(step.number, figure.value, _row(step, figure.name, figure.better))
            except NotThere as error:
                absent.add(key)
                record.add(step.number, None, _row(step, missing=str(error)))
            except (Failed, LimelightError, redis.exceptions.RedisError) as error:
                say(f"{step.label}: {error}")
                record.about["failed"].append(f"{step.label}: {error}")
                record.add(step.number, None, _row(step, missing="failed"))
        yield step


def _row(step: Step, figure: str = "", better: str = "", missing: str = "") -> Row:
    return Row(
        scenario=step.scenario.name,
        figure=figure or step.scenario.figure,
        setting=step.case.setting,
        contender=step.case.label,
        better=better,
        peer=step.case.contender.is_peer,
        missing=missing,
    )


def _turned(cases: Sequence[Case], number: int) -> Sequence[Case]:
    """The cases in an order that another one begins each round."""
    at = number % max(1, len(cases))
    return [*cases[at:], *cases[:at]]
