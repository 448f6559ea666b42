"""The tasks that are declared on a queue in this process, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from .catch_up import CatchUp
from .errors import ConfigurationError, UnknownTask
from .schedule import Schedule
from .slo import Objective, Slo, objectives
from .task import TaskOptions

DEFAULT_GRACE_SECONDS: Final = 300.0
"""How late a run of a periodic task may succeed by default."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A declared task.

    Attributes:
        options: How it is to be treated.
        func: What runs.
        schedule: When it runs by itself; None unless it is periodic.
        catch_up: What becomes of due times that passed while nobody ran.
        objectives: What it is held to.
        grace_seconds: How late a periodic run may succeed before it counts as missed.
    """

    options: TaskOptions
    func: Callable[..., Any]
    schedule: Schedule | None = None
    catch_up: CatchUp = CatchUp.LATEST
    objectives: Mapping[str, Objective] = field(default_factory=dict)
    grace_seconds: float = DEFAULT_GRACE_SECONDS


class Registry:
    """The tasks of one queue, by name."""

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._tasks: dict[str, Registered] = {}

    def add(self, task: Registered) -> None:
        """Register; raises ConfigurationError if another function has the name."""
        name = task.options.name
        other = self._tasks.get(name)
        if other is not None and _place(other.func) != _place(task.func):
            raise ConfigurationError(
                f"queue {self._queue!r} has a task {name!r} already ({_place(other.func)}): "
                f"give {_place(task.func)} another one with name=…"
            )
        self._tasks[name] = task

    def remove(self, name: str) -> bool:
        """Forget a task; False if there was none of that name."""
        return self._tasks.pop(name, None) is not None

    def __getitem__(self, name: str) -> Registered:
        task = self._tasks.get(name)
        if task is None:
            known = ", ".join(sorted(self._tasks)) or "none"
            raise UnknownTask(
                f"no task named {name!r} is registered on queue {self._queue!r} in this process. Known: {known}. "
                "Is the module that declares it imported by the consumer?"
            )
        return task

    def __contains__(self, name: str) -> bool:
        return name in self._tasks

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._tasks))

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def periodic(self) -> Mapping[str, tuple[Registered, Schedule]]:
        """The tasks that run by themselves, as they are now: others may be declared while consumers run."""
        tasks = list(self._tasks.items())
        return {name: (task, task.schedule) for name, task in tasks if task.schedule is not None}


def held_to(name: str, slo: Slo | None, of_queue: Mapping[str, Objective]) -> Mapping[str, Objective]:
    """What a task is held to: its own objectives, and those of its queue that it does not declare anew.

    Raises ConfigurationError, naming the task and each fault.
    """
    try:
        return {**of_queue, **objectives(slo)}
    except ConfigurationError as error:
        raise ConfigurationError(f"task {name!r}: {error}") from None


def _place(func: Callable[..., Any]) -> str:
    return f"{func.__module__}.{func.__qualname__}"
