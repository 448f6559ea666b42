"""Declaring tasks: the part of a queue that makes tasks of functions."""

from __future__ import annotations

import datetime as dt
import difflib
import functools
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final, ParamSpec, TypeVar, overload

from .catch_up import CatchUp, policy
from .enqueueing import Enqueueing
from .errors import ConfigurationError
from .registry import DEFAULT_GRACE_SECONDS, Registered, Registry, held_to
from .retry import LONGEST_DELAY_SECONDS
from .schedule import Schedule, is_due, validated
from .slo import Objective, Slo
from .task import Task, TaskOptions, as_seconds
from .task_wrapper import TaskWrapper

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger("limelight")

_OPTIONS: Final = sorted(TaskOptions.__dataclass_fields__.keys() - {"settings"})
_ALIKE: Final = 0.75
"""Of `difflib`: ``retrys`` and ``max_retries`` are like ``retries``, ``timezone`` is not like ``timeout``."""


class Declarations(Enqueueing):
    """A queue on which functions are declared as tasks.

    Attributes:
        registry: The tasks declared in this process.
        slo: What they are held to, unless they say otherwise.
    """

    registry: Registry
    slo: Mapping[str, Objective]

    @overload
    def task(self, retries: Callable[P, R]) -> TaskWrapper[P, R]: ...

    @overload
    def task(
        self,
        retries: int = 0,
        retry_delay: float = 0,
        retry_backoff: float = 0,
        priority: int | None = None,
        context: bool = False,
        name: str | None = None,
        expires: float | dt.timedelta | dt.datetime | None = None,
        timeout: float | None = None,
        *,
        retry_max_delay: float = LONGEST_DELAY_SECONDS,
        retry_jitter: float = 0,
        slo: Slo | None = None,
        trace_mode: str | None = None,
        trace_arguments: Sequence[str] = (),
        **settings: Any,
    ) -> Callable[[Callable[P, R]], TaskWrapper[P, R]]: ...

    def task(
        self,
        retries: int | Callable[P, R] = 0,
        retry_delay: float = 0,
        retry_backoff: float = 0,
        priority: int | None = None,
        context: bool = False,
        name: str | None = None,
        expires: float | dt.timedelta | dt.datetime | None = None,
        timeout: float | None = None,
        *,
        retry_max_delay: float = LONGEST_DELAY_SECONDS,
        retry_jitter: float = 0,
        slo: Slo | None = None,
        trace_mode: str | None = None,
        trace_arguments: Sequence[str] = (),
        **settings: Any,
    ) -> Callable[[Callable[P, R]], TaskWrapper[P, R]] | TaskWrapper[P, R]:
        """Declare a function as a task of this queue; see `TaskOptions`. Its name is by default the function's.

        `slo` is what it is held to, in place of what the queue says: ``{"wait": (5, 0.99), "duration": (1, 0.95),
        "latency": (60, 0.99), "success": 0.999}``, each a threshold in seconds and the share that must keep it.

        What is no option is kept as a setting, and can be read from `Task` and `TaskWrapper`.
        """
        if callable(retries):  # @queue.task, without parentheses
            return self.task()(retries)
        tries = retries

        def declare(func: Callable[P, R]) -> TaskWrapper[P, R]:
            function = func.func if isinstance(func, TaskWrapper) else func
            options = TaskOptions(
                name=name or function.__name__,
                retries=tries,
                retry_delay=retry_delay,
                retry_backoff=retry_backoff,
                priority=priority or 0,
                expires=expires,
                timeout=timeout,
                retry_max_delay=retry_max_delay,
                retry_jitter=retry_jitter,
                context=context,
                trace_mode=trace_mode,
                trace_arguments=trace_arguments,
                settings=settings,
            )
            _check_arguments(options, function)
            self.registry.add(Registered(options, function, objectives=held_to(options.name, slo, self.slo)))
            if settings:
                _warn_of_misspelt(options.name, settings)
            return TaskWrapper(self, function, options)

        return declare

    def context_task(
        self, obj: AbstractContextManager[Any], as_argument: bool = False, **options: Any
    ) -> Callable[[Callable[..., R]], TaskWrapper[..., R]]:
        """Declare a function as a task whose every run happens inside ``with obj``.

        Args:
            obj: A context manager that can be entered again and again, by several threads at once.
            as_argument: Whether what it gives comes as the function's first argument.
            options: Whatever `task` takes.
        """

        def declare(func: Callable[..., R]) -> TaskWrapper[..., R]:
            @functools.wraps(func)
            def inside(*args: Any, **kwargs: Any) -> R:
                with obj as given:
                    return func(given, *args, **kwargs) if as_argument else func(*args, **kwargs)

            if as_argument:
                inside.__signature__ = _without_first(inspect.signature(func))  # type: ignore[attr-defined]
            wrapper: TaskWrapper[..., R] = self.task(**options)(inside)
            return wrapper

        return declare

    def periodic_task(
        self,
        validate_datetime: Schedule | Callable[[dt.datetime], bool],
        retries: int = 0,
        retry_delay: float = 0,
        retry_backoff: float = 0,
        priority: int | None = None,
        context: bool = False,
        name: str | None = None,
        *,
        catch_up: str = CatchUp.LATEST,
        grace: float | dt.timedelta = DEFAULT_GRACE_SECONDS,
        **options: Any,
    ) -> Callable[[Callable[[], R]], TaskWrapper[[], R]]:
        """Declare a function that runs by itself whenever `validate_datetime` is due.

        However many consumers run, each due time runs it once. Its return value is not stored.

        Args:
            validate_datetime: A `crontab`, ``every(seconds)``, or a function that takes an aware UTC minute and
                says whether it is due.
            retries: As for `task`, and likewise the next five.
            retry_delay: Seconds before the first retry.
            retry_backoff: Multiplier of each further delay.
            priority: Higher runs first.
            context: Whether the function gets its `Task`, whose `due` says which due time it runs for.
            name: By default the function's.
            catch_up: What becomes of due times that passed while no consumer ran: "latest" runs once for the
                latest of them, "all" once for each (the newest 1,000, oldest first), "none" not at all, unless
                it is at most 60 seconds late.
            grace: Seconds (or a timedelta) after a due time by which a run of it must have succeeded; metrics
                tell, alerts go by it.
            options: Whatever else `task` takes.
        """
        schedule, missed, grace_seconds = validated(validate_datetime), policy(catch_up), as_seconds(grace)

        def declare(func: Callable[[], R]) -> TaskWrapper[[], R]:
            wrapper = self.task(retries, retry_delay, retry_backoff, priority, context, name, **options)(func)
            plain = self.registry[wrapper.options.name]
            self.registry.add(replace(plain, schedule=schedule, catch_up=missed, grace_seconds=grace_seconds))
            return wrapper

        return declare

    def read_periodic(self, timestamp: dt.datetime) -> list[Task]:
        """Calls of the periodic tasks that are due in the minute of a time, none of them enqueued."""
        periodic = self.registry.periodic.values()
        return [Task(options=task.options) for task, schedule in periodic if is_due(schedule, timestamp)]


def _check_arguments(options: TaskOptions, function: Callable[..., Any]) -> None:
    if not options.trace_arguments:
        return
    parameters = inspect.signature(function).parameters
    unknown = [name for name in options.trace_arguments if name not in parameters]
    if unknown:
        raise ConfigurationError(
            f"task {options.name!r}: trace_arguments names {', '.join(map(repr, unknown))}, "
            f"its function has {', '.join(map(repr, parameters)) or 'no parameters'}"
        )


def _without_first(signature: inspect.Signature) -> inspect.Signature:
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _warn_of_misspelt(task: str, settings: Iterable[str]) -> None:
    """Huey takes any setting, so what is misspelt is no error; but it would never do what it was written for."""
    for setting in settings:
        alike = [option for option in _OPTIONS if len(setting) > 3 and option.startswith(setting)]
        alike = alike or difflib.get_close_matches(setting, _OPTIONS, n=1, cutoff=_ALIKE)
        if alike:
            log.warning(
                "task %r: %r is no option and is kept as a setting; is %s meant?",
                task,
                setting,
                " or ".join(map(repr, alike)),
            )
