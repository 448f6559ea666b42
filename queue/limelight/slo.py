"""Service level objectives: what a task is held to, checked where it is declared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .errors import ConfigurationError

TIMED: Final = ("wait", "duration", "latency")
"""What is held to a time: ready → started, a run, first runnable → ended."""
SUCCESS: Final = "success"
_LONGEST_SECONDS: Final = 10 * 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective.

    Attributes:
        target: Share of evaluations that must be good, more than 0 and less than 1.
        threshold_seconds: The most that is good; None for ``success``.
    """

    target: float
    threshold_seconds: float | None = None


Slo = Mapping[str, "float | tuple[float, float]"]
"""As declared: ``{"wait": (5, 0.99), "duration": …, "latency": (60, 0.99), "success": 0.999}``."""


def objectives(slo: Slo | None) -> dict[str, Objective]:
    """Check a declaration.

    Raises:
        ConfigurationError: Names every fault, and what would be right.
    """
    if slo is None:
        return {}
    if not isinstance(slo, Mapping):
        raise ConfigurationError(
            f'slo must be a dict like {{"wait": (5, 0.99), "success": 0.999}}, not {slo!r}'
        )
    read = {name: _objective(name, declared) for name, declared in slo.items()}
    faults = [found for found in read.values() if isinstance(found, str)]
    if faults:
        raise ConfigurationError("; ".join(faults))
    return {name: found for name, found in read.items() if isinstance(found, Objective)}


def is_sound(name: str, objective: Objective) -> bool:
    """Whether an objective that somebody else wrote down is one that `objectives` would have made."""
    threshold = objective.threshold_seconds
    if name == SUCCESS:
        return threshold is None and _is_share(objective.target)
    timed = threshold is not None and 0 < threshold <= _LONGEST_SECONDS
    return name in TIMED and timed and _is_share(objective.target)


def _objective(name: object, declared: object) -> Objective | str:
    """The objective, or what is wrong with it."""
    if name != SUCCESS and name not in TIMED:
        return f"slo knows {', '.join((*TIMED, SUCCESS))}, not {name!r}"
    match declared:
        case int() | float() as target if name == SUCCESS and _is_share(target):
            return Objective(float(target))
        case (int() | float() as threshold, int() | float() as target) if (
            name != SUCCESS and 0 < threshold <= _LONGEST_SECONDS and _is_share(target)
        ):
            return Objective(float(target), float(threshold))
    right = "a target" if name == SUCCESS else "(seconds, target)"
    return f"slo {name!r} must be {right}, with a target between 0 and 1 such as 0.99, not {declared!r}"


def _is_share(target: float) -> bool:
    return 0 < target < 1
