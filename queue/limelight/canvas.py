"""Calls that hang together: pipelines (`Task.then`), groups and chords. Pure: who waits for whom, no Redis.

What follows a task is stored with it and put on the queue in the very write that ends it, by whoever ends it; so
no callback is lost with a worker.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from .errors import ConfigurationError
from .task import Callee, Task, new_id


def call_of(call: Callee, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Task:
    """A call itself, or a call of a declared task."""
    return call if isinstance(call, Task) else call.s(*args, **(kwargs or {}))


class group:  # noqa: N801 - Huey's name
    """Calls that are enqueued together, all or none.

    Args:
        tasks: The calls; pipelines and chords may be among them, groups may not.
    """

    def __init__(self, tasks: Iterable[Task | chord]) -> None:
        self.tasks = list(tasks)

    def then(self, task: Callee, *args: Any, **kwargs: Any) -> chord:
        """Call `task` with the list of results when all have ended."""
        return chord(self.tasks, call_of(task, args, kwargs))

    def error(self, task: Callee, *args: Any, **kwargs: Any) -> group:
        """Call `task` with the failure of each member that fails."""
        for member in self.tasks:
            member.error(replace(task, id=new_id()) if isinstance(task, Task) else task, *args, **kwargs)
        return self


class chord:  # noqa: N801 - Huey's name
    """Calls, and a callback that is given the list of their results, in order, when all have ended.

    A member that failed gives its `TaskException`, one that was revoked, expired or flushed gives `SKIPPED`. A
    pipeline gives what its last stage returned, a chord what its callback returned.

    Args:
        tasks: The members.
        callback: What is called.
    """

    def __init__(self, tasks: Iterable[Task | chord], callback: Callee) -> None:
        self.tasks = list(tasks)
        self.callback = call_of(callback)

    def then(self, task: Callee, *args: Any, **kwargs: Any) -> chord:
        """Call `task` with what the callback returned."""
        self.callback.then(task, *args, **kwargs)
        return self

    def error(self, task: Callee, *args: Any, **kwargs: Any) -> chord:
        """Call `task` with the failure of the callback, if it fails."""
        self.callback.error(task, *args, **kwargs)
        return self


Work = Task | group | chord


class _Skipped:
    """What a member of a chord gives that neither succeeded nor failed."""

    def __repr__(self) -> str:
        return "SKIPPED"

    def __bool__(self) -> bool:
        return False


SKIPPED: Final = _Skipped()


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a group."""

    group_id: str
    at: int
    size: int


class Placed(NamedTuple):
    """A call, the group it is a member of, and the group whose results it is given ("" for none)."""

    task: Task
    place: Place | None = None
    gathers: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be enqueued in one write.

    Attributes:
        tasks: Put on the queue at once.
        groups: Group id, size, and the callback that is put there when all its members have ended.
    """

    tasks: list[Placed] = field(default_factory=list)
    groups: list[tuple[str, int, Placed]] = field(default_factory=list)


def plan(work: Work) -> Plan:
    """Say what is to be enqueued for a call, a group or a chord; raises ConfigurationError for what cannot be."""
    made = Plan()
    _place(work, made, None)
    _check(made)
    return made


def _place(work: Work, made: Plan, place: Place | None) -> None:
    match work:
        case Task():
            made.tasks.append(Placed(work, place))
        case group():
            if place is not None:
                raise ConfigurationError("a group cannot be a member: give it a callback with .then(…) first")
            for member in work.tasks:
                _place(member, made, None)
        case chord():
            _place_chord(work, made, place)
        case _:
            raise ConfigurationError(f"{work!r} is no task, group or chord: make a call with .s(…)")


def _place_chord(work: chord, made: Plan, place: Place | None) -> None:
    group_id, size = new_id(), len(work.tasks)
    callback = Placed(work.callback, place, group_id)
    if not size:
        work.callback.extend_data(([],))
        made.tasks.append(Placed(work.callback, place))
        return
    made.groups.append((group_id, size, callback))
    for at, member in enumerate(work.tasks):
        _place(member, made, Place(group_id, at, size))


def stages(task: Task) -> Iterator[Task]:
    """A call and those that follow its success, in order."""
    stage: Task | None = task
    while stage is not None:
        yield stage
        stage = stage.on_complete


def everything(task: Task) -> Iterator[Task]:
    """A call and all that hang on it, whatever comes."""
    yield task
    for follower in (task.on_complete, task.on_error):
        if follower is not None:
            yield from everything(follower)


def _check(made: Plan) -> None:
    """One queue, and no call twice: two tasks of one id cannot be told apart."""
    calls = [task for placed in made.tasks for task in everything(placed.task)]
    calls += [task for _, _, callback in made.groups for task in everything(callback.task)]
    queues = sorted({task.queue for task in calls})
    if len(queues) > 1:
        raise ConfigurationError(
            f"calls that hang together must be of one queue, these are of {' and '.join(map(repr, queues))}: "
            "they could not be enqueued in one write"
        )
    seen: set[str] = set()
    for task in calls:
        if task.id in seen:
            raise ConfigurationError(
                f"the call {task.name}() {task.id} is there twice: make another with .s(…)"
            )
        seen.add(task.id)
