"""How a consumer is to work: its settings, refused at the door with every reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from limelight.errors import ConfigurationError
from limelight.memory_queue import MemoryQueue
from limelight.task_queue import RedisQueue

KINDS = ("thread", "process", "async")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Settings of a consumer.

    Attributes:
        workers: How many tasks run at once.
        kind: What runs them: ``thread``, ``process`` or ``async``.
        weights: Of queues by name: how often each is asked compared with the others; 1 where none is given.
        lease_seconds: A worker that is not heard of for this long is given up, and its tasks run elsewhere.
        shutdown_timeout: Seconds that a stop waits for running tasks before it hands them back.
        scheduler_interval: Longest time in seconds between two looks at the schedule.
        periodic: Whether periodic tasks are enqueued from here.
        max_tasks: After so many tasks a worker is replaced; 0: never.
        health_check_interval: Seconds between two looks whether a thread of ours died.
        prepare: Called first in each worker process, to set up its logging, say; it must be picklable.
    """

    workers: int = 1
    kind: str = "thread"
    weights: Mapping[str, int] = field(default_factory=dict)
    lease_seconds: float = 30.0
    shutdown_timeout: float = 25.0
    scheduler_interval: float = 1.0
    periodic: bool = True
    max_tasks: int = 0
    health_check_interval: float = 10.0
    prepare: Callable[[], None] | None = None

    def check(self, queues: Sequence[RedisQueue]) -> None:
        """Raise ConfigurationError, naming each fault, unless these queues can be consumed so."""
        names = [queue.name for queue in queues]
        rules = {
            "give at least one queue": bool(queues),
            f"workers must be 1 or more, not {self.workers}": self.workers >= 1,
            f"kind must be one of {', '.join(KINDS)}, not {self.kind!r}": self.kind in KINDS,
            f"lease_seconds must be 1 or more, not {self.lease_seconds}": self.lease_seconds >= 1,
            f"shutdown_timeout must be 0 or more, not {self.shutdown_timeout}": self.shutdown_timeout >= 0,
            f"scheduler_interval must be more than 0, not {self.scheduler_interval}": self.scheduler_interval
            > 0,
            f"max_tasks must be 0 or more, not {self.max_tasks}": self.max_tasks >= 0,
            "max_tasks replaces threads and processes, not an event loop": not (
                self.max_tasks and self.kind == "async"
            ),
            f"health_check_interval must be more than 0, not {self.health_check_interval}": (
                self.health_check_interval > 0
            ),
        }
        for queue in queues:
            forked_memory = self.kind == "process" and isinstance(queue, MemoryQueue)
            rules[f"queue {queue.name!r} is in memory, which processes cannot share"] = not forked_memory
            rules[
                f"queue {queue.name!r} is immediate: its tasks run where they are enqueued"
            ] = not queue.immediate
        for name in dict.fromkeys(names):
            rules[f"queue {name!r} is given twice"] = names.count(name) == 1
        for name, weight in self.weights.items():
            rules[f"a weight is given for {name!r}, which is none of {', '.join(names)}"] = name in names
            rules[f"the weight of {name!r} must be 1 or more, not {weight}"] = weight >= 1
        faults = [fault for fault, holds in rules.items() if not holds]
        if faults:
            raise ConfigurationError("cannot start: " + "; ".join(faults))
