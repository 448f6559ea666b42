"""Hooks: the user's functions around each run, and at the start and end of each worker."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Generic, TypeVar

from .errors import CancelExecution, ConfigurationError
from .task import Task

log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])


class Hooks(Generic[F]):
    """The hooks of one kind, by name, in the order in which they were first registered.

    Args:
        kind: What the decorator is called, for messages.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._hooks: dict[str, F] = {}

    def __bool__(self) -> bool:
        return bool(self._hooks)

    def register(self, name: str | None = None) -> Callable[[F], F]:
        """A decorator that registers a function by a name (by default its own), in place of one that had it."""
        if callable(name):
            raise ConfigurationError(f"write @queue.{self._kind}(), with its parentheses")

        def decorate(hook: F) -> F:
            if inspect.iscoroutinefunction(hook):
                raise ConfigurationError(f"{self._kind} {_name(hook)!r} is async: hooks are plain functions")
            self._hooks = {**self._hooks, name or _name(hook): hook}
            return hook

        return decorate

    def unregister(self, name: str | F) -> bool:
        """Forget a hook, given by name or as the function; False if there was none."""
        known = name if isinstance(name, str) else _name(name)
        found = known in self._hooks
        self._hooks = {one: hook for one, hook in self._hooks.items() if one != known}
        return found

    def call(self, *args: Any, passing: type[Exception] | tuple[()] = ()) -> None:
        """Call them in order; what one raises is logged and stops no other.

        Args:
            args: For each of them.
            passing: What gets out, and stops the others.
        """
        for name, hook in self._hooks.items():
            try:
                hook(*args)
            except passing:
                raise
            except (Exception, SystemExit):  # a hook that wants to exit may not take a worker along
                log.exception("the %s hook %r raised", self._kind, name)


def _name(hook: Callable[..., Any]) -> str:
    return str(getattr(hook, "__name__", None) or repr(hook))


PreExecute = Callable[[Task], Any]
PostExecute = Callable[[Task, Any, BaseException | None], Any]
OfWorker = Callable[[], Any]


class QueueHooks:
    """All hooks of a queue.

    Attributes:
        pre_execute: Before each run, with its task; `CancelExecution` cancels it.
        post_execute: After each run, with its task, what it returned, and what it raised or None.
        on_startup: In each worker, before its first task.
        on_shutdown: In each worker, after its last.
    """

    def __init__(self) -> None:
        self.pre_execute: Final[Hooks[PreExecute]] = Hooks("pre_execute")
        self.post_execute: Final[Hooks[PostExecute]] = Hooks("post_execute")
        self.on_startup: Final[Hooks[OfWorker]] = Hooks("on_startup")
        self.on_shutdown: Final[Hooks[OfWorker]] = Hooks("on_shutdown")

    @property
    def around_runs(self) -> bool:
        """Whether any hook wants to see the task of a run."""
        return bool(self.pre_execute or self.post_execute)

    def before(self, task: Task) -> None:
        """Call the hooks before a run; raises CancelExecution if one of them does."""
        try:
            self.pre_execute.call(task, passing=CancelExecution)
        except CancelExecution as canceled:
            log.warning("a hook canceled %s %s: %s", task.name, task.id, canceled)
            raise

    def after(self, task: Task, value: Any, error: BaseException | None) -> None:
        """Call the hooks after a run."""
        self.post_execute.call(task, value, error)


@contextmanager
def around_worker(queues: Iterable[QueueHooks]) -> Iterator[None]:
    """Call the hooks of workers before and after what happens inside, those of each queue that it works for."""
    queues = list(queues)
    for hooks in queues:
        hooks.on_startup.call()
    try:
        yield
    finally:
        for hooks in queues:
            hooks.on_shutdown.call()
