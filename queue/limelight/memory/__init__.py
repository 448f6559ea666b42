"""A Redis inside the process, for tests and for immediate mode: no server, no network, nothing that stays."""

from .connection import MemoryConnection
from .store import MemoryStore

__all__ = ["MemoryConnection", "MemoryStore"]
