"""Which traces are recorded, decided where they begin. Pure.

The SDK's ratio sampler compares the low 64 bits of a trace id. Ours is a task's UUID, whose two top bits of those are
fixed, so that it would keep nothing up to a ratio of 0.5; the low 56 bits are random, and we go by them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

log = logging.getLogger("limelight")

_BITS: Final = 56
_DIGITS: Final = _BITS // 4
_PLAIN: Final = ("always_on", "always_off", "traceidratio")
SAMPLERS: Final = (*_PLAIN, *(f"parentbased_{name}" for name in _PLAIN))


@dataclass(frozen=True, slots=True)
class RootSampler:
    """Decides on traces that begin here. Where there is a parent, its decision holds."""

    ratio: float = 1.0

    def flags(self, trace_id: str) -> int:
        """The W3C trace flags of a root: 1 if its trace is recorded."""
        if self.ratio >= 1:
            return 1
        return int(int(trace_id[-_DIGITS:], 16) < round(self.ratio * 2**_BITS))


def root_sampler(environment: Mapping[str, str]) -> RootSampler:
    """The sampler that OpenTelemetry's variables name.

    Args:
        environment: ``OTEL_TRACES_SAMPLER`` (of `SAMPLERS`, by default parentbased_always_on), for a ratio
            ``OTEL_TRACES_SAMPLER_ARG`` (0 to 1), and ``OTEL_SDK_DISABLED``. As OpenTelemetry asks, a value that
            cannot be used is warned of, and the default taken.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return RootSampler(0.0)
    name = environment.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    if name and name not in SAMPLERS:
        log.warning(
            "OTEL_TRACES_SAMPLER=%r is not known here, all traces are recorded. Known: %s",
            name,
            ", ".join(SAMPLERS),
        )
    match name.removeprefix("parentbased_"):
        case "always_off":
            return RootSampler(0.0)
        case "traceidratio":
            return RootSampler(_ratio(environment.get("OTEL_TRACES_SAMPLER_ARG", "").strip()))
    return RootSampler()


def _ratio(text: str) -> float:
    try:
        ratio = float(text) if text else 1.0
    except ValueError:
        ratio = math.nan
    if not 0 <= ratio <= 1:
        log.warning("OTEL_TRACES_SAMPLER_ARG=%r is no number from 0 to 1, all traces are recorded", text)
        return 1.0
    return ratio
