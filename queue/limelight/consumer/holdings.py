"""What the workers of one consumer run right now."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from limelight.execution import Stopwatch
from limelight.storage.base import Handed, Lease


@dataclass(slots=True)
class Held:
    """One running task.

    Attributes:
        handed: As Redis handed it over.
        worker: Name of the worker that runs it.
        watch: When its code began.
    """

    handed: Handed
    worker: str
    watch: Stopwatch


class Holdings:
    """The running tasks of a consumer. Safe for its threads."""

    def __init__(self) -> None:
        self._held: dict[Lease, Held] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def take(self, handed: Handed, worker: str) -> None:
        """Note a task that begins now."""
        with self._lock:
            self._held[handed.lease] = Held(handed, worker, Stopwatch.started())

    def drop_all_of(self, worker: str) -> None:
        """Forget what a worker held, so that it is renewed no more and comes back to the queue."""
        with self._lock:
            self._held = {lease: held for lease, held in self._held.items() if held.worker != worker}

    def drop(self, lease: Lease) -> None:
        """Forget a task: it is settled, or not ours any more."""
        with self._lock:
            self._held.pop(lease, None)

    def all(self) -> list[Held]:
        """What is held now."""
        with self._lock:
            return list(self._held.values())

    def not_among(self, leases: Iterable[Lease], owned: set[str]) -> list[Held]:
        """Of the leases that were to be prolonged, those that are held here and not ours any more."""
        with self._lock:
            return [self._held[one] for one in leases if one.task_id not in owned and one in self._held]
