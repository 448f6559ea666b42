"""The run that this thread (or async task) is executing."""

from __future__ import annotations

import contextvars
from collections.abc import Callable

from .storage.base import Lease
from .task import Task

current_lease: contextvars.ContextVar[Lease | None] = contextvars.ContextVar(
    "limelight_current_lease", default=None
)
"""The right to the run, by which it takes locks; None outside of a run."""

current_call: contextvars.ContextVar[Callable[[], Task] | None] = contextvars.ContextVar(
    "limelight_current_call", default=None
)
"""Makes the `Task` of the run; None outside of a run."""


def current_task() -> Task | None:
    """The task that is running here, as ``context=True`` would give it to its function; None outside of a run.

    It is that of the thread or async task that asks: a thread that a task's code starts runs none.
    """
    make = current_call.get()
    return None if make is None else make()
