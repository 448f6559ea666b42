"""One thing that is broken and mended, and the alerts that must come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from .stage import Stage

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault.

    Attributes:
        what: For people.
        strike: Breaks it on entry, mends it on exit.
        alerts: Labels that each expected alert has among its own.
        may_be_missing: Whether it needs something that not every machine has; see `Stage.clock_moves`.
    """

    what: str
    strike: Callable[[Stage], AbstractContextManager[None]]
    alerts: Sequence[Labels]
    may_be_missing: bool = False


def expected(name: str, job: str = "limelight", **labels: str) -> Labels:
    """What an expected alert is known by."""
    return {"alertname": f"Limelight{name}", "job": job, **labels}
