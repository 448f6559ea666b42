"""Locks: a task that needs one and finds it taken ends as `locked`, or is tried again."""

from __future__ import annotations

import functools
import inspect
import threading
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, ParamSpec, Protocol, TypeVar

from .errors import ConfigurationError, RunLost, TaskLocked
from .running import current_lease
from .storage.base import Lease

P = ParamSpec("P")
R = TypeVar("R")

OUTSIDE_SECONDS: Final = 3_600.0
"""How long a lock lasts that is taken outside of a run without saying: nobody can tell when its owner dies."""


class LockStore(Protocol):
    """What a lock needs of its queue's storage."""

    def lock(self, name: str, request: str, *, holder: Lease | None, seconds: float | None) -> bool | None:
        """Take it: True; False if somebody holds it; None if the holder's run is over."""
        ...

    def unlock(self, names: list[str], request: str = "") -> int:
        """Free what a request took, or ("") whoever holds them."""
        ...

    def locks(self) -> list[str]:
        """What is held now."""
        ...


class TaskLock:
    """A lock of a name, as a context manager or a decorator. It never waits.

    Taken in a task it belongs to that run: it is freed where the run ends, and if the worker dies, when the
    run is given up. A run that lost its lease cannot take it any more.

    Args:
        store: Gives the queue's storage; it may be another one by the time the lock is taken.
        name: Any text without line breaks or spaces around it; one name is one lock per queue.
        ttl: Seconds that it lasts at most; None: as long as the run, or an hour outside of one.
    """

    def __init__(self, store: Callable[[], LockStore], name: str, ttl: float | None = None) -> None:
        if not isinstance(name, str) or not 0 < len(name) <= 200 or not name.isprintable():
            raise ConfigurationError(f"lock name {name!r} must be 1 to 200 printable characters")
        if ttl is not None and not ttl > 0:
            raise ConfigurationError(f"lock {name!r}: ttl must be more than 0 seconds, not {ttl!r}")
        self.name = name
        self._store = store
        self._ttl = ttl
        self._requests: dict[Lease | int, str] = {}

    def acquire(self) -> None:
        """Take it; raises TaskLocked if somebody holds it, RunLost if this run is over."""
        holder, request = current_lease.get(), uuid.uuid4().hex
        seconds = OUTSIDE_SECONDS if self._ttl is None and holder is None else self._ttl
        taken = self._store().lock(self.name, request, holder=holder, seconds=seconds)
        if taken is None:
            raise RunLost(f"lock {self.name!r} was not taken: the lease of this run ran out")
        if not taken:
            raise TaskLocked(f"lock {self.name!r} is held by somebody else")
        self._requests[_owner()] = request

    def release(self) -> bool:
        """Free it; False if it was not held by us (any more)."""
        request = self._requests.pop(_owner(), None)
        return request is not None and self._store().unlock([self.name], request) == 1

    def clear(self) -> bool:
        """Free it, whoever holds it; False if nobody did."""
        return self._store().unlock([self.name]) == 1

    def locked(self) -> bool:
        """Whether somebody holds it now."""
        return self.name in self._store().locks()

    def __enter__(self) -> TaskLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def __call__(self, func: Callable[P, R]) -> Callable[P, R]:
        """Hold it while the function runs."""
        return held_while(lambda: self, func)


def _owner() -> Lease | int:
    """Who takes locks here: the run, else the thread."""
    return current_lease.get() or threading.get_ident()


def held_while(guard: Callable[[], Any], func: Callable[P, R]) -> Callable[P, R]:
    """The function, run inside ``with guard():``; a coroutine function stays one."""
    if inspect.iscoroutinefunction(func):

        @functools.wraps(func)
        async def hold_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            with guard():
                return await func(*args, **kwargs)

        return hold_async  # type: ignore[return-value]

    @functools.wraps(func)
    def hold(*args: P.args, **kwargs: P.kwargs) -> R:
        with guard():
            return func(*args, **kwargs)

    return hold
