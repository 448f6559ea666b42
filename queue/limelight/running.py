"""The run that this thread (or async task) is executing."""

from __future__ import annotations

import contextvars

from .storage.base import Lease

current_lease: contextvars.ContextVar[Lease | None] = contextvars.ContextVar(
    "limelight_current_lease", default=None
)
"""The right to the run, by which it takes locks; None outside of a run."""
