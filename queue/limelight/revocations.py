"""Revoking: the part of a queue that has tasks end before they run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from .results import Result, mark
from .storage.redis import RedisStorage
from .task import Task
from .task_wrapper import TaskWrapper


class Revocations:
    """A queue whose tasks can be revoked.

    Attributes:
        storage: Of the queue.
    """

    storage: RedisStorage

    def revoke(
        self,
        task: Task | Result[Any],
        revoke_until: dt.datetime | None = None,
        revoke_once: bool = False,  # noqa: ARG002 - Huey's argument; a task ends by being revoked, once
    ) -> bool:
        """Have a task end as revoked when a worker pulls it; False if it is not on the queue."""
        return self.revoke_by_id(task.id, revoke_until) == 1

    def revoke_by_id(
        self,
        id: str | Sequence[str],  # noqa: A002 - Huey's name
        revoke_until: dt.datetime | None = None,
        revoke_once: bool = False,  # noqa: ARG002 - Huey's argument; a task ends by being revoked, once
    ) -> int:
        """Have tasks end as revoked when a worker pulls them; returns how many of them are on the queue."""
        return self.storage.revoke([id] if isinstance(id, str) else list(id), mark(revoke_until))

    def revoke_all(
        self, task: TaskWrapper[Any, Any], revoke_until: dt.datetime | None = None, revoke_once: bool = False
    ) -> None:
        """Have every task of a name end as revoked, until then, or only the next one; see `TaskWrapper.revoke`."""
        task.revoke(revoke_until, revoke_once)

    def restore(self, task: Task | Result[Any]) -> bool:
        """Undo `revoke`; False if it was not revoked."""
        return self.restore_by_id(task.id) == 1

    def restore_by_id(self, id: str | Sequence[str]) -> int:  # noqa: A002
        """Undo `revoke_by_id`; returns how many were revoked."""
        return self.storage.restore([id] if isinstance(id, str) else list(id))

    def restore_all(self, task: TaskWrapper[Any, Any]) -> bool:
        """Undo `revoke_all`; False if the name was not revoked."""
        return task.restore()

    def is_revoked(self, task: str | Task | Result[Any] | TaskWrapper[Any, Any]) -> bool:
        """Whether a task (or its id, its handle, or every task of a name) would end as revoked if pulled now."""
        if isinstance(task, TaskWrapper):
            return task.is_revoked()
        marks = [f"@{task.name}"] if isinstance(task, Task) else []
        return self.storage.is_revoked([task if isinstance(task, str) else task.id, *marks])
