"""Rate limits: never more than so many uses in any window, over all workers of a queue."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec, Protocol, TypeVar

from .errors import ConfigurationError, RateLimitExceeded
from .locks import held_while
from .task import as_seconds

P = ParamSpec("P")
R = TypeVar("R")


class LimitStore(Protocol):
    """What a rate limit needs of its queue's storage."""

    def use_limit(self, name: str, request: str, *, limit: int, per_seconds: float) -> float:
        """Count one use; 0 if there was room, else seconds until there is."""
        ...

    def limit_usage(self, name: str, per_seconds: float) -> int:
        """Uses within the window that ends now."""
        ...

    def reset_limit(self, name: str) -> None:
        """Forget them."""
        ...


class RateLimit:
    """A limit of a name, as a context manager or a decorator. It never waits.

    The window slides: however uses are spread, no stretch of `per` seconds sees more than `limit` of them. (Huey
    counts in fixed windows, where twice as many can meet at a border.)

    Args:
        store: Gives the queue's storage; it may be another one by the time the limit is used.
        name: One name is one limit per queue, whoever declares it.
        limit: How many uses, from 1.
        per: In how many seconds (or a timedelta).
        retry: Whether a task that finds no room runs again when there is, without using up a retry.
    """

    def __init__(
        self,
        store: Callable[[], LimitStore],
        name: str,
        limit: int,
        per: float | dt.timedelta,
        retry: bool = True,
    ) -> None:
        per_seconds = as_seconds(per)
        faults = [
            *(
                []
                if isinstance(name, str) and name.isprintable() and name
                else ["name must be printable text"]
            ),
            *(
                []
                if type(limit) is int and limit >= 1
                else [f"limit must be a whole number from 1, not {limit!r}"]
            ),
            *([] if per_seconds > 0 else [f"per must be more than 0 seconds, not {per!r}"]),
        ]
        if faults:
            raise ConfigurationError(f"rate limit {name!r}: {'; '.join(faults)}")
        self.name = name
        self._store = store
        self._limit = limit
        self._per_seconds = per_seconds
        self._retry = retry

    def acquire(self) -> None:
        """Count one use; raises RateLimitExceeded if there is no room."""
        room_in = self._store().use_limit(
            self.name, uuid.uuid4().hex, limit=self._limit, per_seconds=self._per_seconds
        )
        if room_in > 0:
            raise RateLimitExceeded(
                f"rate limit {self.name!r} of {self._limit} per {self._per_seconds:g} s is used up for {room_in:.3f} s",
                room_in,
                retry=self._retry,
            )

    def current_usage(self) -> int:
        """Uses in the window that ends now."""
        return self._store().limit_usage(self.name, self._per_seconds)

    def reset(self) -> None:
        """Forget all uses."""
        self._store().reset_limit(self.name)

    def __enter__(self) -> RateLimit:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Uses are counted, not held."""

    def __call__(self, func: Callable[P, R]) -> Callable[P, R]:
        """Count a use before the function runs."""
        return held_while(lambda: self, func)
