"""Reading what became of a task."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Generic, Protocol, TypeVar

from . import wire
from .errors import ResultTimeout, TaskException
from .task import as_timestamp

R = TypeVar("R")

_FIRST_LOOK_SECONDS = {True: 0.25, False: 0.002}  # by whether we are told of the end


class ResultStore(Protocol):
    """What a result needs of its queue's storage."""

    def result(self, task_id: str) -> tuple[bytes | None, bool]:
        """The stored result, None if there is none; and whether one may still come."""
        ...

    def end_of(self, task_id: str) -> AbstractContextManager[tuple[threading.Event, bool]]:
        """An event that is set when the task has ended, and whether it can be relied on."""
        ...

    def revoke(self, marked: Sequence[str], mark: str) -> int:
        """Mark tasks as revoked."""
        ...

    def restore(self, marked: Sequence[str]) -> int:
        """Take the mark away."""
        ...

    def is_revoked(self, marked: Sequence[str]) -> bool:
        """Whether the mark holds now."""
        ...


class Result(Generic[R]):
    """A handle on one enqueued task. Reading does not remove the result; it stays as long as the queue says.

    Attributes:
        id: The task's UUID text.
    """

    def __init__(
        self,
        store: ResultStore,
        serializer: wire.Serializer,
        task_id: str,
        enqueue_again: Callable[..., Result[Any]] | None = None,
    ) -> None:
        self.id = task_id
        self._store = store
        self._serializer = serializer
        self._enqueue_again = enqueue_again
        self._read: tuple[Any, dict[str, Any] | None] | None = None
        self._may_come = True

    def __repr__(self) -> str:
        return f"Result({self.id})"

    def __call__(self, *args: Any, **kwargs: Any) -> R | None:
        """The same as `get`."""
        return self.get(*args, **kwargs)

    def get(
        self,
        blocking: bool = False,
        timeout: float | None = None,
        backoff: float = 1.15,
        max_delay: float = 1.0,
        revoke_on_timeout: bool = False,
        preserve: bool = True,  # noqa: ARG002 - Huey's argument; ours always stays
    ) -> R | None:
        """Read the task's result.

        Whoever waits is told by Redis when the task has ended; it looks for itself now and then, too.

        Args:
            blocking: Wait for it; otherwise None stands for "not yet".
            timeout: Seconds to wait at most; None for ever.
            backoff: Each wait between two looks is longer by this factor.
            max_delay: Seconds between two looks at most.
            revoke_on_timeout: Revoke the task when it is not done in time.
            preserve: Taken for Huey's sake; reading never removes a result here.

        Raises:
            TaskException: The task ended in failure, or (when waiting) without leaving a result: it was revoked,
                its result was refused or is too old, or the queue stores none.
            ResultTimeout: It is not done within `timeout`.
        """
        read = self._look()
        if read is None and blocking:
            deadline = None if timeout is None else time.monotonic() + timeout
            try:
                read = self._awaited(deadline, backoff, max_delay)
            except ResultTimeout:
                if revoke_on_timeout:
                    self.revoke()
                raise ResultTimeout(f"task {self.id} has no result after {timeout} s") from None
        if read is None:
            return None
        value, error = read
        if error is not None:
            raise TaskException(error)
        return value  # type: ignore[no-any-return]

    def _awaited(
        self, deadline: float | None, backoff: float, max_delay: float
    ) -> tuple[Any, dict[str, Any] | None]:
        with self._store.end_of(self.id) as (ended, reliable):
            delay = _FIRST_LOOK_SECONDS[reliable]
            while (read := self._look()) is None:
                if not self._may_come:
                    raise TaskException({"error": "the task ended without a result", "task_id": self.id})
                left = delay if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    raise ResultTimeout
                ended.wait(min(delay, left))
                ended.clear()
                delay = min(max_delay, delay * backoff)
        return read

    async def aget(self, timeout: float | None = None, **options: Any) -> R | None:
        """Wait for the result without blocking the event loop; the options are those of `get`."""
        return await asyncio.to_thread(self.get, True, timeout, **options)

    def is_ready(self) -> bool:
        """Whether there is a result to read, be it a value or a failure."""
        return self._look() is not None

    def has_ended(self) -> bool:
        """Whether waiting is over: there is a result, or there will be none."""
        return self._look() is not None or not self._may_come

    def _look(self) -> tuple[Any, dict[str, Any] | None] | None:
        if self._read is None:
            data, self._may_come = self._store.result(self.id)
            if data is not None:
                self._read = wire.decode_result(data, self._serializer)
        return self._read

    def reset(self) -> None:
        """Forget what was read, to read again (Huey's way to follow a task through its retries)."""
        self._read = None

    def revoke(self, revoke_until: dt.datetime | None = None, revoke_once: bool = True) -> bool:  # noqa: ARG002
        """Have the task end as revoked when a worker pulls it; False if it is not on the queue any more.

        `revoke_once` is taken for Huey's sake: the task ends by it, so there is no second time.
        """
        return self._store.revoke([self.id], mark(revoke_until)) == 1

    def restore(self) -> bool:
        """Undo `revoke`; False if the task was not revoked."""
        return self._store.restore([self.id]) == 1

    def is_revoked(self) -> bool:
        """Whether the task would end as revoked if a worker pulled it now."""
        return self._store.is_revoked([self.id])

    def reschedule(self, **changes: Any) -> Result[R]:
        """Revoke the task and enqueue the same call anew, under another id.

        Args:
            changes: ``eta``, ``delay``, ``expires``, ``priority``, ``preserve_pipeline`` (default True: what was
                to follow this call follows the new one).

        Raises:
            TypeError: This handle was made from an id alone, so the call is not known here.
        """
        if self._enqueue_again is None:
            raise TypeError(
                f"task {self.id} was not enqueued through this handle: enqueue a new call instead"
            )
        self.revoke()
        return self._enqueue_again(**changes)


def mark(until: dt.datetime | None, *, once: bool = False) -> str:
    """A mark of revocation: "0" for good, µs of Unix time, or "once"."""
    if until is not None:
        return str(int(as_timestamp(until) * 1e6))
    return "once" if once else "0"


class ResultGroup(Sequence[Result[Any]]):
    """The results of calls that were enqueued together, in their order."""

    def __init__(self, results: Sequence[Result[Any]]) -> None:
        self._results = list(results)

    def __repr__(self) -> str:
        return f"ResultGroup({len(self)} results)"

    def __getitem__(self, at: Any) -> Any:
        return self._results[at]

    def __len__(self) -> int:
        return len(self._results)

    def __call__(self, *args: Any, **kwargs: Any) -> list[Any]:
        """The same as `get`."""
        return self.get(*args, **kwargs)

    def get(self, blocking: bool = False, timeout: float | None = None, **options: Any) -> list[Any]:
        """Read every result; see `Result.get`. `timeout` is for all of them together."""
        deadline = None if timeout is None else time.monotonic() + timeout
        return [one.get(blocking, _left(deadline), **options) for one in self._results]

    async def aget(self, timeout: float | None = None, **options: Any) -> list[Any]:
        """Wait for every result without blocking the event loop."""
        return await asyncio.to_thread(self.get, True, timeout, **options)

    def is_ready(self) -> bool:
        """Whether every result is there to read."""
        return all(one.is_ready() for one in self._results)

    def as_completed(
        self, backoff: float = 1.15, max_delay: float = 1.0, timeout: float | None = None
    ) -> Iterator[Any]:
        """The values as the tasks end, whatever their order; raises TaskException where one failed.

        Args:
            backoff: Each wait between two looks at what is left is longer by this factor.
            max_delay: Seconds between two looks at most.
            timeout: Seconds for all of them together; None for ever. Then ResultTimeout is raised.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        left, delay = list(self._results), _FIRST_LOOK_SECONDS[False]
        while left:
            ready = [one for one in left if one.has_ended()]
            for one in ready:
                yield one.get(blocking=True)
            left = [one for one in left if one not in ready]
            if ready:
                delay = _FIRST_LOOK_SECONDS[False]
            elif left:
                if deadline is not None and time.monotonic() >= deadline:
                    raise ResultTimeout(f"{len(left)} of {len(self)} tasks have no result after {timeout} s")
                time.sleep(delay)
                delay = min(max_delay, delay * backoff)

    def reset(self) -> None:
        """Forget what was read."""
        for one in self._results:
            one.reset()

    def revoke(self, **options: Any) -> int:
        """Revoke what is still on the queue; returns how many that are."""
        return sum(one.revoke(**options) for one in self._results)


class ChordResult:
    """The results of a chord.

    Attributes:
        results: What its members return.
        callback: What its callback returns.
        pipeline_results: The callback and what follows it, None if nothing does.
    """

    def __init__(
        self, results: Sequence[Result[Any]], callback: Result[Any], pipeline: ResultGroup | None
    ) -> None:
        self.results = ResultGroup(results)
        self.callback = callback
        self.pipeline_results = pipeline

    def __repr__(self) -> str:
        return f"ChordResult({len(self.results)} results, callback {self.callback.id})"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The same as `get`."""
        return self.get(*args, **kwargs)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """What the callback returned; see `Result.get`."""
        return self.callback.get(*args, **kwargs)

    async def aget(self, timeout: float | None = None, **options: Any) -> Any:
        """Wait for what the callback returns without blocking the event loop."""
        return await self.callback.aget(timeout, **options)

    def reset(self) -> None:
        """Forget what was read."""
        self.results.reset()
        self.callback.reset()


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())
