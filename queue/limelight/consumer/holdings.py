"""What the workers of one consumer hold right now, and until when by their own clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from limelight.execution import Stopwatch
from limelight.storage.base import Handed, Lease


@dataclass(slots=True)
class Held:
    """One running task.

    Attributes:
        handed: As Redis handed it over.
        watch: When its code began.
        valid_until: Monotonic seconds until which the lease is ours for certain.
    """

    handed: Handed
    watch: Stopwatch
    valid_until: float


class Holdings:
    """The running tasks of a consumer. Safe for its threads."""

    def __init__(self, lease_seconds: float) -> None:
        self._lease_seconds = lease_seconds
        self._held: dict[str, Held] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def take(self, handed: Handed, sent_at: float) -> None:
        """Note a task; its lease counts from before the request was sent (monotonic seconds)."""
        with self._lock:
            self._held[handed.lease.token + handed.lease.task_id] = Held(
                handed, Stopwatch.started(), sent_at + self._lease_seconds
            )

    def drop(self, lease: Lease) -> None:
        """Forget a task: it is settled, or not ours any more."""
        with self._lock:
            self._held.pop(lease.token + lease.task_id, None)

    def all(self) -> list[Held]:
        """What is held now."""
        with self._lock:
            return list(self._held.values())

    def renewed(self, leases: Iterable[Lease], owned: set[str], sent_at: float) -> list[Held]:
        """Note which leases were prolonged; returns those that are not ours any more."""
        gone = []
        with self._lock:
            for lease in leases:
                held = self._held.get(lease.token + lease.task_id)
                if held is not None and lease.task_id in owned:
                    held.valid_until = sent_at + self._lease_seconds
                elif held is not None:
                    gone.append(held)
        return gone

    def is_ours(self, lease: Lease) -> bool:
        """Whether a lease is still ours by our own clock."""
        with self._lock:
            held = self._held.get(lease.token + lease.task_id)
            return held is not None and time.monotonic() < held.valid_until
