"""What is measured on whom, how much of it, and what comes out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from queues.contenders import Contender

Better = Literal["more", "less", ""]


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure.

    Attributes:
        contender: On whom.
        setting: What distinguishes it from other cases of its scenario; contenders are compared within a setting.
        results: Whether return values are stored.
        queued: How many tasks wait already.
    """

    contender: Contender
    setting: str = ""
    results: bool = False
    queued: int = 0

    @property
    def label(self) -> str:
        """Its name in tables, within its setting."""
        return f"{self.contender.label}{f', {self.queued:,} queued' if self.queued else ''}"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number.

    Attributes:
        name: What was measured, with its unit.
        value: The number.
        better: Whether more or less of it is better.
    """

    name: str
    value: float
    better: Better = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured.

    Attributes:
        drained: Tasks of a drain.
        enqueued: Tasks enqueued one by one.
        bulk: Tasks enqueued in bulk.
        samples: Tasks sent one at a time to an idle consumer.
        pause_seconds: Shortest and longest pause between those.
        idle_seconds: How long an idle consumer is watched.
        mixed: Tasks of a mixed load.
        lifetime: Tasks over which the consumer's memory is watched.
        depths: How many tasks are queued when the cost of one more is measured.
    """

    drained: int
    enqueued: int
    bulk: int
    samples: int
    pause_seconds: tuple[float, float]
    idle_seconds: float
    mixed: int
    lifetime: int
    depths: Sequence[int]


SIZES: Final = {
    "quick": Sizes(
        drained=200,
        enqueued=100,
        bulk=200,
        samples=20,
        pause_seconds=(0.001, 0.005),
        idle_seconds=1.0,
        mixed=60,
        lifetime=1_000,
        depths=(1, 50, 100),
    ),
    "normal": Sizes(
        drained=20_000,
        enqueued=5_000,
        bulk=50_000,
        samples=300,
        pause_seconds=(0.005, 0.05),
        idle_seconds=20.0,
        mixed=2_000,
        lifetime=100_000,
        depths=(1, 10_000, 100_000),
    ),
    "long": Sizes(
        drained=20_000,
        enqueued=5_000,
        bulk=50_000,
        samples=300,
        pause_seconds=(0.005, 0.05),
        idle_seconds=20.0,
        mixed=2_000,
        lifetime=1_000_000,
        depths=(1, 10_000, 100_000, 1_000_000),
    ),
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """A way to measure.

    Attributes:
        name: Its name on the command line and in tables.
        figure: The first of the figures it yields.
        cases: Which of the chosen contenders it is for, and how.
        measure: Measures one case; raises NotThere or Failed.
        once: Whether one round says it all, because it takes long or does not vary.
    """

    name: str
    figure: str
    cases: Callable[[Sequence[Contender], Sizes], list[Case]]
    measure: Callable[[Case, Sizes], list[Figure]]
    once: bool = False
