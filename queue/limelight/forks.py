"""Whether this is still the process that something was made in: asked often, so without a call to the system."""

from __future__ import annotations

import os

_generation = 0


def generation() -> int:
    """A number that differs between a process and the one that it was forked from."""
    return _generation


def _forked() -> None:
    global _generation  # noqa: PLW0603 - what a fork changes is the process, so it is known process-wide
    _generation += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
