"""Which runs of traces that are not sampled are exported all the same."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from limelight.events import FAILED_OUTCOMES

_SLOW: Final = re.compile(r"slow:(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0}


@dataclass(frozen=True, slots=True)
class TraceKeep:
    """What is worth a span although its trace is not sampled; what is sampled always goes out.

    Attributes:
        errors: Runs that failed.
        lost: Runs whose worker died.
        slow_seconds: Runs that took so long or longer, None for none.
    """

    errors: bool = False
    lost: bool = False
    slow_seconds: float | None = None

    def reason(self, outcome: str | None, duration: float | None) -> str | None:
        """Why a run is kept: ``errors``, ``lost`` or ``slow``; None if it is not, or is no run that closed."""
        if outcome is None:
            return None
        if self.lost and outcome == "lost":
            return "lost"
        if self.errors and outcome in FAILED_OUTCOMES:
            return "errors"
        slow = self.slow_seconds is not None and duration is not None and duration >= self.slow_seconds
        return "slow" if slow else None


NOTHING: Final = TraceKeep()


def parsed(text: str) -> TraceKeep:
    """Read ``errors,slow:5s,lost``; raises ValueError with the word that is wrong."""
    errors = lost = False
    slow: float | None = None
    for word in filter(None, map(str.strip, text.split(","))):
        if match := _SLOW.fullmatch(word):
            slow = float(match[1]) * _SECONDS[match[2]]
        elif word == "errors":
            errors = True
        elif word == "lost":
            lost = True
        else:
            raise ValueError(word)
    return TraceKeep(errors, lost, slow)
