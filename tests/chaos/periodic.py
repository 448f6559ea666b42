"""Whether periodic tasks ran when they were due: never twice for one due time, and never too seldom.

What is right when the clock jumps or nobody could look: each due time runs at most once and due times only go
up. A minute of Redis' clock must have its run if somebody could have fired it: for `CALM_SECONDS` within that
minute Redis and at least one consumer were left alone, and Redis' clock had not been moved for more than a
minute (a consumer looks once a minute, so it needs that long to find the new beginning of minutes; one that
starts looks at once). Of several minutes that passed while nobody could look, the latest alone is made up for.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from .evidence import Evidence
from .story import Told

PERIODS: Final[Mapping[str, int]] = {"tick": 1, "tock": 2}
"""Periodic task → every how many minutes it is due."""
CALM_SECONDS: Final = 15.0
_ALIGNED_AFTER_SECONDS: Final = 62.0
_CLOCK_LAG_SECONDS: Final = 2.5
_MINUTE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Fired:
    """One run of a periodic task that was put on the queue; `due`: None where two were read at once."""

    event: Told
    due: float | None


def problems(evidence: Evidence) -> Iterator[str]:
    """What is wrong with the periodic runs."""
    for name, every in PERIODS.items():
        runs = list(fired(evidence, name))
        yield from _wrong(name, every, runs, evidence)
        yield from _missing(name, every, runs, evidence)


def fired(evidence: Evidence, name: str) -> Iterator[Fired]:
    """The runs of one periodic task, each with the due time that Redis remembered after it."""
    events = [
        event for event in evidence.events if event.status == "scheduling-periodic" and event.task == name
    ]
    upto = [look.upto for look in evidence.looks]
    for event, following in itertools.zip_longest(events, events[1:]):
        at = bisect.bisect_left(upto, event.seq)
        alone = at < len(upto) and (following is None or following.seq > upto[at])
        yield Fired(event, evidence.looks[at].due.get(name) if alone else None)


def _wrong(name: str, every: int, runs: Sequence[Fired], evidence: Evidence) -> Iterator[str]:
    enqueued = {event.id for event in evidence.events if event.status == "enqueued" and event.task == name}
    last = 0.0
    for run in runs:
        if run.event.id not in enqueued:
            yield f"{name}: a run was told and never enqueued ({run.event.id})"
        if run.due is None:
            continue
        if run.due <= last:
            yield f"{name}: due {_shown(run.due)} ran again after {_shown(last)}"
        if run.due % (every * _MINUTE):
            yield f"{name}: {run.due} is no due time of it"
        if run.due > run.event.timestamp + 1.0:
            yield f"{name}: due {_shown(run.due)} ran early, at {_shown(run.event.timestamp)}"
        last = max(last, run.due)
    if extra := len(enqueued) - len(runs):
        yield f"{name}: {extra:+d} runs enqueued that were not told as scheduled"
    if (
        repeated := len(runs)
        - len({run.due for run in runs if run.due})
        - sum(run.due is None for run in runs)
    ):
        yield f"{name}: {repeated} due times ran twice"


def _missing(name: str, every: int, runs: Sequence[Fired], evidence: Evidence) -> Iterator[str]:
    dues = {run.due for run in runs}
    if len(runs) < 2 or None in dues:
        return
    known = sorted(due for due in dues if due is not None)
    for number in range(int(known[0] // _MINUTE), int(known[-1] // _MINUTE) + 1):
        due = number * _MINUTE
        if number % every == 0 and due not in dues and (calm := _calm_at(due, evidence)):
            yield f"{name}: due {_shown(due)} never ran, although {calm} could have fired it"


def _calm_at(due: float, evidence: Evidence) -> str:
    """Who could have fired it: a consumer that was left alone long enough within the minute; "" if nobody."""
    for began, ended, ahead in _steady(evidence.moves):
        minute = (max(due - ahead, began), min(due + _MINUTE - ahead, ended))
        for consumer, lives in evidence.lives.items():
            for life in lives if consumer.startswith("consumer") else ():
                aligned = minute[0] if began == 0.0 else max(minute[0], began + _ALIGNED_AFTER_SECONDS)
                since = life.began if life.began > began else aligned
                window = (max(minute[0], since), min(minute[1], life.ended))
                if _longest_calm(window, consumer, evidence) >= CALM_SECONDS:
                    return f"{consumer} (pid {life.pid})"
    return ""


def _steady(moves: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float, float]]:
    """Times between moves of the clock: beginning, end, seconds that it was ahead."""
    for (began, ahead), (ended, _) in itertools.zip_longest(moves, moves[1:], fillvalue=(math.inf, 0.0)):
        yield (began + _CLOCK_LAG_SECONDS if began else 0.0), ended, ahead


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
