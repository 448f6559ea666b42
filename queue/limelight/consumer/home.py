"""Where a queue is declared, so that another process can find it."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass

from limelight.errors import ConfigurationError
from limelight.task_queue import RedisQueue


@dataclass(frozen=True, slots=True)
class Home:
    """A queue's place.

    Attributes:
        module: That has the queue.
        name: Of the variable.
        modules: That declare its tasks.
        tasks: Their names.
    """

    module: str
    name: str
    modules: tuple[str, ...]
    tasks: tuple[str, ...]

    @classmethod
    def of(cls, queue: RedisQueue) -> Home:
        """Find a queue among the imported modules; raises ConfigurationError if none has it."""
        tasks = tuple(queue.registry)
        modules = tuple(sorted({queue.registry[name].func.__module__ for name in tasks}))
        # A name in __main__ may be there only where it is run, so it is the last to be taken.
        likely = [name for name in modules if name != "__main__"]
        for module_name in [*likely, *(name for name in sys.modules if name != "__main__"), "__main__"]:
            for name, value in list(vars(sys.modules.get(module_name, object)).items()):
                if value is queue:
                    return cls(module_name, name, modules, tasks)
        raise ConfigurationError(
            f"queue {queue.name!r} is no variable of any module, so worker processes cannot find it: "
            "declare it and its tasks at the top of a module, or use kind='thread'"
        )

    def queue(self) -> RedisQueue:
        """Import it, in the other process; raises ConfigurationError unless all its tasks came along."""
        for module in (self.module, *self.modules):
            importlib.import_module(module)
        queue: RedisQueue | None = getattr(sys.modules[self.module], self.name, None)
        if queue is None:
            raise ConfigurationError(
                f"importing {self.module} makes no variable {self.name}, which is to be a queue: "
                "worker processes see only what is declared at the top of a module"
            )
        missing = set(self.tasks) - set(queue.registry)
        if missing:
            raise ConfigurationError(
                f"importing {', '.join(self.modules)} declares no task {', '.join(sorted(missing))} of queue "
                f"{queue.name!r}: worker processes see only tasks that are declared at the top of a module"
            )
        return queue
