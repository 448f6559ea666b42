"""What must be true in the end: checks over what the tasks noted, what was told, and what was served and scraped."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chaos.story import Told
from chaos.totals import EXACT, Key, totals

from .reader import Gap
from .target import HOPELESS_RETRIES, QUEUE_NAME

LOST: Final = "limelight_exporter_events_lost_total"
ROLLBACKS: Final = "limelight_exporter_stream_rollbacks_total"
_QUEUE: Final = ("queue", QUEUE_NAME)


@dataclass(frozen=True, slots=True)
class Samples:
    """Prometheus' raw samples of one series of one exporter, oldest first, and how often it thinks it was reset."""

    key: Key
    values: Sequence[float]
    resets: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a run left.

    Attributes:
        noted: What the producer and the tasks noted in their file.
        events: All that was told, also what was trimmed.
        gaps: What was trimmed before the exporters could read it.
        served: Exporter → what it served last.
        scraped: Exporter → Prometheus' samples of its counters.
        rollbacks: How often Redis went back in time, and forgot tasks and events.
        left: Tasks that had not ended when time was up.
        problems: What went wrong on the way.
    """

    noted: Sequence[Mapping[str, Any]]
    events: Sequence[Told]
    gaps: Sequence[Gap]
    served: Mapping[str, Mapping[Key, float]]
    scraped: Mapping[str, Sequence[Samples]]
    rollbacks: int = 0
    left: int = 0
    problems: Sequence[str] = ()

    @property
    def lost(self) -> set[int]:
        """The numbers of the events that no exporter could read."""
        return {number for gap in self.gaps for number in gap.lost}


def expected(evidence: Evidence) -> Counter[Key]:
    """Every exact counter, by the events that could be read."""
    lost = evidence.lost
    wanted = totals(event for event in evidence.events if event.seq not in lost)
    wanted[LOST, frozenset({_QUEUE})] += len(lost)
    wanted[ROLLBACKS, frozenset({_QUEUE})] += evidence.rollbacks
    return wanted


def by_the_tasks(evidence: Evidence) -> Counter[Key]:
    """What the tasks' own notes come to, less the events that were lost."""
    done = {(fact["ran"], fact["key"]) for fact in evidence.noted if "ran" in fact}
    wanted: Counter[Key] = Counter()
    for name, _ in done:
        for metric, labels, count in _of_one(name):
            wanted[metric, frozenset({_QUEUE, ("task", name), *labels.items()})] += count
    lost = evidence.lost
    wanted.subtract(
        {
            key: count
            for key, count in totals(event for event in evidence.events if event.seq in lost).items()
            if key in wanted
        }
    )
    return wanted


def _of_one(name: str) -> Iterator[tuple[str, dict[str, str], int]]:
    failures = HOPELESS_RETRIES + 1 if name == "hopeless" else 0
    yield "limelight_tasks_enqueued_total", {}, 1
    yield "limelight_tasks_completed_total", {"outcome": "dead" if failures else "success"}, 1
    yield "limelight_task_attempts_total", {"outcome": "error" if failures else "success"}, failures or 1
    yield "limelight_task_duration_seconds_count", {"result": "failed" if failures else "ok"}, failures or 1
    yield "limelight_task_latency_seconds_count", {}, 1
    yield "limelight_task_retries_total", {}, max(0, failures - 1)
    if failures:
        yield "limelight_task_errors_total", {"error_type": "ValueError"}, failures


# -- Checks ---------------------------------------------------------------------------------------------
def every_task_ran(evidence: Evidence) -> Iterator[str]:
    """What was enqueued ran, unless Redis forgot it, and nothing else."""
    enqueued = {(fact["enqueued"], fact["key"]) for fact in evidence.noted if "enqueued" in fact}
    ran = {(fact["ran"], fact["key"]) for fact in evidence.noted if "ran" in fact}
    forgotten = enqueued if evidence.rollbacks else set()
    if ran - enqueued or enqueued - ran - forgotten:
        yield f"{len(enqueued - ran)} tasks never ran, {len(ran - enqueued)} ran that nobody enqueued"
    if evidence.left:
        yield f"{evidence.left} tasks had not ended"


def tasks_files(evidence: Evidence) -> Iterator[str]:
    """Counters equal what the tasks noted; where Redis forgot: no fewer runs than closed, no more than began."""
    if evidence.rollbacks:
        yield from _bounds_by_the_tasks(evidence)
        return
    wanted = by_the_tasks(evidence)
    for exporter, samples in evidence.served.items():
        yield from _differences(exporter, wanted, {key: samples.get(key, 0) for key in wanted})


def _bounds_by_the_tasks(evidence: Evidence) -> Iterator[str]:
    """A run tells that it began, notes itself, and tells how it went, unless Redis forgot it meanwhile."""
    noted = Counter(fact["ran"] for fact in evidence.noted if "ran" in fact)
    for exporter, samples in evidence.served.items():
        for name, runs in sorted(noted.items()):
            of_task = frozenset({_QUEUE, ("task", name)})
            began = samples.get(("limelight_task_wait_seconds_count", of_task), 0)
            attempts = "limelight_task_attempts_total"
            closed = sum(
                samples.get((attempts, of_task | {("outcome", how)}), 0) for how in ("success", "error")
            )
            if not closed <= runs <= began:
                yield f"{exporter}: {name} closed {closed:g} runs, noted {runs}, began {began:g}"


def counters(evidence: Evidence) -> Iterator[str]:
    """Counters equal what was told and could be read, to the last one."""
    wanted = expected(evidence)
    for exporter, samples in evidence.served.items():
        exact = {key: value for key, value in samples.items() if key[0] in EXACT}
        yield from _differences(exporter, wanted, exact)


def loss(evidence: Evidence) -> Iterator[str]:
    """What was trimmed is counted as lost, exactly; counted and lost are all that was told, also what Redis forgot."""
    told = len(evidence.events)
    for exporter, samples in evidence.served.items():
        lost = samples.get((LOST, frozenset({_QUEUE})), 0)
        if lost != len(evidence.lost):
            yield f"{exporter}: {lost:g} events told as lost, {len(evidence.lost)} were"
        counted = sum(value for (name, _), value in samples.items() if name == "limelight_events_total")
        rollbacks = samples.get((ROLLBACKS, frozenset({_QUEUE})), 0)
        if rollbacks != evidence.rollbacks:
            yield f"{exporter}: {rollbacks:g} rollbacks told, {evidence.rollbacks} were"
        if counted + lost != told:
            yield f"{exporter}: {counted:g} counted and {lost:g} lost are not the {told} that were told"


def agreement(evidence: Evidence) -> Iterator[str]:
    """Both exporters serve the same, to the last digit."""
    first, second = evidence.served.values()
    for key in sorted(first.keys() | second.keys(), key=str):
        if first.get(key) != second.get(key):
            yield f"{_shown(key)}: {first.get(key)} and {second.get(key)}"


def never_falls(evidence: Evidence) -> Iterator[str]:
    """Between no two samples a counter fell, and Prometheus saw no reset."""
    for exporter, series in evidence.scraped.items():
        for samples in series:
            values = samples.values
            falls = [(a, b) for a, b in itertools.pairwise(values) if b < a]
            if falls or samples.resets:
                yield f"{exporter}: {_shown(samples.key)} fell {falls[:3]}, {samples.resets:g} resets"


def last_minus_first(evidence: Evidence) -> Iterator[str]:
    """Prometheus' last sample less its first is what happened; what is known beforehand is first seen at zero."""
    wanted = expected(evidence)
    for exporter, series in evidence.scraped.items():
        found = {samples.key: samples for samples in series if samples.key[0] in EXACT}
        for key, count in wanted.items():
            samples = found.get(key)
            # Error types cannot be known beforehand, and consumers told that they started before the first scrape.
            born = key[0] in {"limelight_task_errors_total", "limelight_events_total"}
            first = samples.values[0] if samples and not born else 0.0
            last = samples.values[-1] if samples else 0.0
            if last - first != count:
                yield f"{exporter}: {_shown(key)} went from {first:g} to {last:g}, must rise by {count}"


def nothing_unforeseen(evidence: Evidence) -> Iterator[str]:
    """No exporter and no consumer met a fault of its own."""
    yield from evidence.problems


CHECKS: Final = {
    "tasks": every_task_ran,
    "tasks' files": tasks_files,
    "counters": counters,
    "loss": loss,
    "agreement": agreement,
    "never falls": never_falls,
    "last minus first": last_minus_first,
    "processes": nothing_unforeseen,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    rule: str
    problems: list[str]


def judge(evidence: Evidence) -> list[Finding]:
    """Let every check look."""
    return [Finding(name, check.__doc__ or "", list(check(evidence))) for name, check in CHECKS.items()]


def _differences(exporter: str, wanted: Counter[Key], found: Mapping[Key, float]) -> Iterator[str]:
    for key in sorted(wanted.keys() | found.keys(), key=lambda key: (key[0], sorted(key[1]))):
        if found.get(key, 0) != wanted[key]:
            yield f"{exporter}: {_shown(key)} is {found.get(key, 0):g}, must be {wanted[key]}"


def _shown(key: Key) -> str:
    return f"{key[0]}{dict(sorted(key[1]))}"
