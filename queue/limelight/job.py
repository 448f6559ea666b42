"""A task that was started for us, until it is settled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from . import wire
from .execution import Surroundings
from .lifecycle import Decision
from .notes import Notes
from .registry import Registered
from .report import Stopwatch
from .retry import STEADY, Backoff
from .storage.base import Handed, Settlement
from .storage.redis import RedisStorage
from .task import Task


class Origin(Protocol):
    """What a job needs of the queue that it is from."""

    serializer: wire.Serializer
    results: bool
    storage: RedisStorage
    surroundings: Surroundings


Q = TypeVar("Q", bound=Origin)


@dataclass(slots=True, eq=False)
class Job(Generic[Q]):
    """One task that was started for us. It is itself only: two runs of a task are two jobs.

    Attributes:
        queue: Where it is from.
        handed: As Redis handed it over.
        registered: What to run.
        worker: Name of the worker that has it, "" for nobody yet.
        good_until: Monotonic seconds until which the lease is surely ours.
        watch: When its code began, None until then.
        settlement: How it is to be settled, None until it is done.
        timeout: Seconds that it may run, None for as many as it likes; known once its message is read.
        backoff: How the delays of its retries grow and spread; likewise.
        task: What ran, as signal handlers are to see it; None until it is done, and if nobody wanted to see it.
        settled: What Redis has taken, until signal handlers were told of it; None before and after.
        number: Of its process, in the order in which that begins its tasks; 0 where nobody counts.
        notes: What is to be told of its run beside how it went.
    """

    queue: Q
    handed: Handed
    registered: Registered
    worker: str
    good_until: float
    watch: Stopwatch | None = None
    settlement: Settlement | None = None
    timeout: float | None = None
    backoff: Backoff = STEADY
    task: Task | None = None
    settled: Decision | None = None
    number: int = 0
    notes: Notes = field(default_factory=Notes)

    def __post_init__(self) -> None:
        self.timeout = self.registered.options.timeout
        self.backoff = self.registered.options.backoff

    @property
    def is_running(self) -> bool:
        """Whether its code runs now."""
        return self.watch is not None and self.settlement is None
