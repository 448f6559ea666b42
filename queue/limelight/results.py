"""Reading what became of a task."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any, Generic, Protocol, TypeVar

from . import wire
from .errors import ResultTimeout, TaskException
from .task import as_timestamp

R = TypeVar("R")


class ResultStore(Protocol):
    """What a result needs of its queue's storage."""

    def result(self, task_id: str) -> tuple[bytes | None, bool]:
        """The stored result, None if there is none; and whether one may still come."""
        ...

    def revoke(self, task_ids: list[str], until: float | None = None) -> int:
        """Mark tasks as revoked."""
        ...

    def restore(self, task_ids: list[str]) -> int:
        """Take the mark away."""
        ...

    def is_revoked(self, task_id: str) -> bool:
        """Whether the mark holds now."""
        ...


class Result(Generic[R]):
    """A handle on one enqueued task. Reading does not remove the result; it stays as long as the queue says.

    Attributes:
        id: The task's UUID text.
    """

    def __init__(self, store: ResultStore, serializer: wire.Serializer, task_id: str) -> None:
        self.id = task_id
        self._store = store
        self._serializer = serializer
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
        deadline = None if timeout is None else time.monotonic() + timeout
        delay = 0.002
        while (read := self._look()) is None:
            if not blocking:
                return None
            if not self._may_come:
                raise TaskException({"error": "the task ended without a result", "task_id": self.id})
            if deadline is not None and time.monotonic() >= deadline:
                if revoke_on_timeout:
                    self.revoke()
                raise ResultTimeout(f"task {self.id} has no result after {timeout} s")
            time.sleep(delay if deadline is None else min(delay, max(0.0, deadline - time.monotonic())))
            delay = min(max_delay, delay * backoff)
        value, error = read
        if error is not None:
            raise TaskException(error)
        return value  # type: ignore[no-any-return]

    def is_ready(self) -> bool:
        """Whether there is a result to read, be it a value or a failure."""
        return self._look() is not None

    def _look(self) -> tuple[Any, dict[str, Any] | None] | None:
        if self._read is None:
            data, self._may_come = self._store.result(self.id)
            if data is not None:
                self._read = wire.decode_result(data, self._serializer)
        return self._read

    def reset(self) -> None:
        """Forget what was read, to read again (Huey's way to follow a task through its retries)."""
        self._read = None

    def revoke(self, revoke_until: dt.datetime | None = None) -> bool:
        """Have the task end as revoked when a worker pulls it; False if it is not on the queue any more."""
        until = None if revoke_until is None else as_timestamp(revoke_until)
        return self._store.revoke([self.id], until) == 1

    def restore(self) -> bool:
        """Undo `revoke`; False if the task was not revoked."""
        return self._store.restore([self.id]) == 1

    def is_revoked(self) -> bool:
        """Whether the task would end as revoked if a worker pulled it now."""
        return self._store.is_revoked(self.id)
