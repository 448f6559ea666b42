"""The tasks that are declared on a queue in this process, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .catch_up import CatchUp
from .errors import ConfigurationError, UnknownTask
from .schedule import Schedule
from .task import TaskOptions


@dataclass(frozen=True, slots=True)
class Registered:
    """A declared task.

    Attributes:
        options: How it is to be treated.
        func: What runs.
        schedule: When it runs by itself; None unless it is periodic.
        catch_up: What becomes of due times that passed while nobody ran.
    """

    options: TaskOptions
    func: Callable[..., Any]
    schedule: Schedule | None = None
    catch_up: CatchUp = CatchUp.LATEST


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


def _place(func: Callable[..., Any]) -> str:
    return f"{func.__module__}.{func.__qualname__}"
