"""Whether periodic tasks ran when they were due: never twice for one due time, and never too seldom.

What is right when the clock jumps or nobody could look: due times only go up, and each runs at most once. A task
that makes up for all it missed misses none, whatever happened, jumps of the clock included. Of another the latest
due time alone is made up for, so one may be missing; but not if somebody could have fired it before the next was
due: if Redis and a consumer were left alone for `CALM_SECONDS` around it, and Redis' clock stood long enough
for that consumer to see the new time (it looks at least as often as the most frequent task is due).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from .evidence import Evidence
from .story import Told

CALM_SECONDS: Final = 15.0
_SEES_A_JUMP_AFTER_SECONDS: Final = 8.0
_CLOCK_LAG_SECONDS: Final = 2.5


@dataclass(frozen=True, slots=True)
class Period:
    """When a task is due: at each multiple of so many seconds; whether it makes up for all that it missed."""

    seconds: int
    misses_none: bool = False


PERIODS: Final[Mapping[str, Period]] = {
    "tick": Period(60),
    "tock": Period(120),
    "pulse": Period(5),
    "makeup": Period(15, misses_none=True),
}
"""The periodic tasks of `app`."""


def problems(evidence: Evidence) -> Iterator[str]:
    """What is wrong with the periodic runs."""
    for name, period in PERIODS.items():
        fired = [
            event for event in evidence.events if event.status == "scheduling-periodic" and event.task == name
        ]
        yield from _wrong(name, period, fired, evidence)
        yield from _missing(name, period, [event.due or 0.0 for event in fired], evidence)


def _wrong(name: str, period: Period, fired: Sequence[Told], evidence: Evidence) -> Iterator[str]:
    enqueued = {event.id for event in evidence.events if event.status == "enqueued" and event.task == name}
    last = 0.0
    for event in fired:
        due = event.due or 0.0
        if event.id not in enqueued:
            yield f"{name}: a run was told and never enqueued ({event.id})"
        if due <= last:
            yield f"{name}: due {_shown(due)} ran after {_shown(last)}"
        if due % period.seconds:
            yield f"{name}: {due} is no due time of it"
        if due > event.timestamp + 1.0:
            yield f"{name}: due {_shown(due)} ran early, at {_shown(event.timestamp)}"
        last = max(last, due)
    if extra := len(enqueued) - len(fired):
        yield f"{name}: {extra:+d} runs enqueued that were not told as scheduled"


def _missing(name: str, period: Period, dues: Sequence[float], evidence: Evidence) -> Iterator[str]:
    for before, after in itertools.pairwise(sorted(set(dues))):
        number = round((after - before) / period.seconds)
        for due in [before + period.seconds * step for step in range(1, number)]:
            if period.misses_none:
                yield f"{name}: due {_shown(due)} never ran, and it makes up for all"
            elif calm := _calm_at(due, period.seconds, evidence):
                yield f"{name}: due {_shown(due)} never ran, although {calm} could have fired it"


def _calm_at(due: float, period: float, evidence: Evidence) -> str:
    """Who could have fired it: a consumer that was left alone long enough around that time; "" if nobody."""
    early = due - max(0.0, CALM_SECONDS - period)
    for began, ended, ahead in _steady(evidence.moves):
        around = (max(early - ahead, began), min(due + period - ahead, ended))
        for consumer, lives in evidence.lives.items():
            for life in lives if consumer.startswith("consumer") else ():
                window = (max(around[0], life.began), min(around[1], life.ended))
                if due - ahead < window[1] and _longest_calm(window, consumer, evidence) >= CALM_SECONDS:
                    return f"{consumer} (pid {life.pid})"
    return ""


def _steady(moves: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float, float]]:
    """Times between moves of the clock: when all have seen the new time, the end, seconds that it was ahead."""
    for (began, ahead), (ended, _) in itertools.zip_longest(moves, moves[1:], fillvalue=(math.inf, 0.0)):
        settled = began + _CLOCK_LAG_SECONDS + _SEES_A_JUMP_AFTER_SECONDS if began else 0.0
        yield settled, ended, ahead


def _longest_calm(window: tuple[float, float], consumer: str, evidence: Evidence) -> float:
    """The longest time within the window in which nothing struck this consumer, its line or Redis."""
    concerned = {consumer, f"{consumer} line", "redis"}
    troubles = sorted(
        (trouble.began, trouble.ended) for trouble in evidence.disturbances if trouble.target in concerned
    )
    longest, free_from = 0.0, window[0]
    for began, ended in [*troubles, (math.inf, math.inf)]:
        longest = max(longest, min(began, window[1]) - free_from)
        free_from = max(free_from, ended)
    return longest


def _shown(due: float) -> str:
    return f"{int(due // 3600 % 24):02d}:{int(due // 60 % 60):02d}:{int(due % 60):02d}"
