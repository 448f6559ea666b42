"""What a run of chaos leaves behind for the verdict: plain data, so that a test can write its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from .actors import Life
from .story import Told

_lines: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One fault as it happened, in Unix seconds of this machine."""

    target: str
    fault: str
    began: float
    ended: float


@dataclass(slots=True, kw_only=True)
class Evidence:
    """Everything that the verdict goes by.

    Attributes:
        events: All that was told, in order.
        seen: When each was read, in Unix seconds.
        mismatches: Moments at which records and states did not agree.
        noted: What producers and tasks noted in their ledgers.
        moves: When Redis' clock was moved, and to how many seconds ahead; the first is its start.
        disturbances: The faults that struck.
        lives: Actor → its processes.
        samples: The exporter's counters at the end; None: it was not asked.
        results: Task id → what its result was at the end: ``value``, ``failure`` or ``none``, and the value.
        leaks: What was found in Redis that should not be there.
        left: Tasks that had not ended when time was up.
        problems: What already went wrong on the way: a process that did not stop, a counter that fell.
    """

    events: Sequence[Told]
    seen: Sequence[float] = ()
    mismatches: Sequence[str] = ()
    noted: Sequence[Mapping[str, Any]] = ()
    moves: Sequence[tuple[float, float]] = ((0.0, 0.0),)
    disturbances: Sequence[Disturbance] = ()
    lives: Mapping[str, Sequence[Life]] = field(default_factory=dict)
    samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float] | None = None
    results: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    leaks: Sequence[str] = ()
    left: int = 0
    problems: Sequence[str] = ()


def keep(evidence: Evidence, folder: Path) -> None:
    """Write the events and the faults as they happened into a folder, beside the logs and ledgers."""
    (folder / "events.jsonl").write_bytes(_lines.encode_lines(evidence.events))
    (folder / "faults.jsonl").write_bytes(_lines.encode_lines(evidence.disturbances))
    (folder / "lives.json").write_bytes(_lines.encode(evidence.lives))
