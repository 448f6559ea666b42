"""What was counted, by whom, and whether it agrees: the exporter's /metrics against the demo's own count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from limelight.cli.text import counted, number
from limelight.events import EVENT_ENQUEUED, UNKNOWN_TASK, Event
from limelight_exporter import catalog

_COUNTERS: Final = (catalog.ENQUEUED, catalog.ATTEMPTS, catalog.COMPLETED)
_UNDONE: Final = frozenset({"ready", "scheduled", "running"})
_FAILED: Final = frozenset({"error", "timeout", "lost", "result_error"})
_MOST_NAMED: Final = 5


class Key(NamedTuple):
    """One series: a counter of the catalogue with its labels; `outcome` is "" where it has none."""

    metric: str
    queue: str
    task: str
    outcome: str = ""

    def __str__(self) -> str:
        outcome = f',outcome="{self.outcome}"' if self.outcome else ""
        return f'{self.metric}{{queue="{self.queue}",task="{self.task}"{outcome}}}'


def counts_of(event: Event) -> Iterator[Key]:
    """What one event counts for, by the contract and without the exporter's fold."""
    task = event.task or UNKNOWN_TASK
    if event.status == EVENT_ENQUEUED:
        yield Key(catalog.ENQUEUED, event.queue, task)
    if event.outcome is not None:
        yield Key(catalog.ATTEMPTS, event.queue, task, event.outcome)
    if event.end is not None:
        yield Key(catalog.COMPLETED, event.queue, task, event.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What /metrics said at one moment about some queues.

    Attributes:
        counts: Per series, without zeros.
        undone: Tasks that were ready, scheduled or running.
        lost: Events the exporter knows to have missed.
        behind: Queues of which the exporter had not read all.
    """

    counts: Counter[Key] = field(default_factory=Counter)
    undone: int = 0
    lost: int = 0
    behind: tuple[str, ...] = ()

    def since(self, before: Account) -> Account:
        """What came after another account."""
        counts = Counter({key: value - before.counts[key] for key, value in self.counts.items()})
        return Account(
            counts=+counts,
            undone=self.undone - before.undone,
            lost=self.lost - before.lost,
            behind=self.behind,
        )


def read(exposition: str, queues: Collection[str]) -> Account:
    """Read what the exporter served; raises ValueError for what is no exposition."""
    counts, undone, lost, behind = Counter[Key](), 0, 0, []
    for name, labels, value in _samples(exposition):
        if (queue := labels.get("queue", "")) not in queues:
            continue
        if name in _COUNTERS and value:
            counts[Key(name, queue, labels["task"], labels.get("outcome", ""))] = int(value)
        elif name == catalog.QUEUE_TASKS and labels["state"] in _UNDONE:
            undone += int(value)
        elif name == catalog.EVENTS_LOST:
            lost += int(value)
        elif name == catalog.QUEUE_CURRENT and not value:
            behind.append(queue)
    return Account(counts=counts, undone=undone, lost=lost, behind=tuple(behind))


def _samples(exposition: str) -> Iterator[tuple[str, Mapping[str, str], float]]:
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """How the demo ended, in the exporter's numbers.

    Attributes:
        faults: What does not add up, a sentence each; empty when all is well.
    """

    completed: int
    failed: int
    dead: int
    undone: int
    lost: int
    faults: tuple[str, ...]

    def __str__(self) -> str:
        if self.lost:
            end = f"{counted(self.lost, 'event')} lost"
        else:
            end = "but the numbers do not add up" if self.faults else "nothing lost"
        return (
            f"Stopped. {counted(self.completed, 'task')} ran, {counted(self.failed, 'attempt')} failed, "
            f"{number(self.dead)} dead, {end}."
        )


def balance(served: Account, told: Counter[Key], missed: int) -> Balance:
    """Hold what the exporter served against what the demo heard itself.

    Args:
        served: From /metrics, since the demo began.
        told: The demo's own count of the events.
        missed: Events that did not reach the demo itself.
    """
    enqueued, completed = (_sum(served.counts, name) for name in (catalog.ENQUEUED, catalog.COMPLETED))
    faults = [*_unread(served, missed)]
    if not served.behind:  # else counters are left out of /metrics, and say nothing
        faults += [*_differences(served.counts, told), *_unaccounted(enqueued, completed, served.undone)]
    return Balance(
        completed=completed,
        failed=_sum(served.counts, catalog.ATTEMPTS, _FAILED),
        dead=_sum(served.counts, catalog.COMPLETED, {"dead"}),
        undone=served.undone,
        lost=served.lost,
        faults=tuple(faults),
    )


def _sum(counts: Mapping[Key, int], metric: str, outcomes: Collection[str] | None = None) -> int:
    return sum(
        value
        for key, value in counts.items()
        if key.metric == metric and (outcomes is None or key.outcome in outcomes)
    )


def _unread(served: Account, missed: int) -> Iterator[str]:
    if served.lost:
        yield f"the exporter missed {counted(served.lost, 'event')}"
    if missed:
        yield f"the demo itself missed {counted(missed, 'event')}"
    for queue in served.behind:
        yield f"the exporter had not read all events of {queue}"


def _differences(served: Mapping[Key, int], told: Mapping[Key, int]) -> Iterable[str]:
    differing = sorted(key for key in {*served, *told} if served.get(key, 0) != told.get(key, 0))
    named = [
        f"{key} is {number(served.get(key, 0))} in /metrics, {number(told.get(key, 0))} by the events"
        for key in differing[:_MOST_NAMED]
    ]
    rest = len(differing) - len(named)
    return [*named, f"and {number(rest)} more"] if rest else named


def _unaccounted(enqueued: int, completed: int, undone: int) -> Iterator[str]:
    astray = enqueued - completed - undone
    if astray:
        yield (
            f"{number(enqueued)} tasks were enqueued, but {number(completed)} completed and {number(undone)} "
            f"wait or run: {number(abs(astray))} too {'few' if astray > 0 else 'many'}"
        )
