"""A Redis inside the process, for tests and for immediate mode: no server, no network, nothing that stays.

Its parts are loaded when they are first asked for, so that an application without such a queue does not pay.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .connection import MemoryConnection, in_memory
    from .store import MemoryStore

__all__ = ["MemoryConnection", "MemoryStore", "in_memory"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.connection"), name)
