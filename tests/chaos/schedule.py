"""Which faults strike when: decided by a seed, before anything runs. Pure.

Each target has a sequence of its own, so that faults overlap between targets and never within one. A target's
faults come like cards from a shuffled pack: each of its kinds turns up before any comes again.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

LEASE_SECONDS: Final = 2.0
"""Of all consumers. Short, so that many leases run out in a short time."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault on one target.

    Attributes:
        at: Seconds from the start of the run.
        seconds: How long it lasts.
        fault: Its name, a key of `faults.FAULTS`.
        target: What it strikes.
        chance: For what the fault itself must choose.
    """

    at: float
    seconds: float
    fault: str
    target: str
    chance: float


@dataclass(frozen=True, slots=True)
class Pack:
    """The faults of one sort of target.

    Attributes:
        gap_seconds: Mean time between the end of one and the next.
        faults: Name → shortest and longest duration in seconds.
    """

    gap_seconds: float
    faults: Mapping[str, tuple[float, float]]


_LINE: Final = {
    "cut": (0.1, 4.0),
    "reset": (0.0, 0.0),
    "stall": (0.5, 2.5 * LEASE_SECONDS),
    "slow": (1.0, 4.0),
    "drop replies": (1.0, 4.0),
}
PACKS: Final[Mapping[str, Pack]] = {
    "consumer": Pack(9, {
        "kill": (0.1, 2.0),
        "terminate": (0.1, 1.0),
        "terminate twice": (0.1, 1.0),
        "freeze": (1.2 * LEASE_SECONDS, 3 * LEASE_SECONDS),
    }),
    "consumer worker": Pack(5, {"kill": (0.0, 0.0), "freeze": (0.1, 2 * LEASE_SECONDS)}),
    "consumer line": Pack(7, {**_LINE, "stall past the answer time": (10.5, 13.0)}),
    "producer": Pack(15, {"kill": (0.1, 2.0), "freeze": (0.5, 4.0)}),
    "producer line": Pack(8, _LINE),
    "redis": Pack(20, {"kill": (0.0, 2.5), "freeze": (0.5, 2.5 * LEASE_SECONDS), "flush scripts": (0.0, 0.0)}),
    "clock": Pack(25, {"forward": (0.0, 0.0), "back": (0.0, 0.0)}),
    "exporter": Pack(15, {"kill": (0.1, 1.0), "freeze": (1.0, 4.0), "terminate": (0.1, 0.5)}),
}  # fmt: skip


def sort_of(target: str) -> str:
    """The sort of a target: ``consumer 2 line`` is a ``consumer line``."""
    return " ".join(word for word in target.split() if not word.isdigit())


def strikes(seed: str, seconds: float, targets: Sequence[str]) -> list[Strike]:
    """All faults of a run, by the time at which they strike; the same for the same arguments."""
    planned = [
        strike for target in targets for strike in _on(target, seconds, random.Random(f"{seed}/{target}"))
    ]
    return sorted(planned, key=lambda strike: (strike.at, strike.target))


def _on(target: str, seconds: float, chance: random.Random) -> Iterator[Strike]:
    pack = PACKS[sort_of(target)]
    gap = min(pack.gap_seconds, seconds / 4)  # also a short run has a few on each target
    faults = _shuffled_for_ever(list(pack.faults), chance)
    at = chance.uniform(0.2, 1.2) * gap
    while at < seconds:
        fault = next(faults)
        lasts = min(chance.uniform(*pack.faults[fault]), max(0.0, seconds - at))
        yield Strike(at, lasts, fault, target, chance.random())
        at += lasts + 0.3 + chance.uniform(0.4, 1.6) * gap


def _shuffled_for_ever(names: list[str], chance: random.Random) -> Iterator[str]:
    while True:
        chance.shuffle(names)
        yield from names
