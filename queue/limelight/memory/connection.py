"""redis-py's connection to a memory store: a pair of sockets in the place of the network. Knows redis-py."""

from __future__ import annotations

import socket
from typing import Any

from redis.connection import AbstractConnection

from .store import MemoryStore


class MemoryConnection(AbstractConnection):
    """Everything above it, redis-py's clients and ours, works as with a server.

    Args:
        store: Where the data is.
        options: Those of redis-py's connections.
    """

    def __init__(self, *, store: MemoryStore, **options: Any) -> None:
        super().__init__(**options)
        self._store = store

    def repr_pieces(self) -> list[tuple[str, Any]]:
        """What tells this connection from others."""
        return [("store", id(self._store))]

    def _connect(self) -> socket.socket:
        sock = self._store.connect()
        sock.settimeout(self.socket_timeout)
        return sock

    def _host_error(self) -> str:
        return "memory"


def in_memory(store: MemoryStore | None = None) -> dict[str, Any]:
    """Options of redis-py with which a queue is in a store, a new one if none is given."""
    return {"connection_class": MemoryConnection, "store": MemoryStore() if store is None else store}
