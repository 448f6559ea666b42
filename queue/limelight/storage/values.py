"""An application's own values, kept beside its queue: each a key of its own with a time to live."""

from __future__ import annotations

from typing import Any, cast

from limelight.keys import QueueKeys
from limelight.storage.links import ThreadLinks


class Values:
    """Named byte strings in Redis. A change is sent once: OutcomeUnknown says that its answer was lost.

    Args:
        links: Connections, one per thread.
        keys: The queue's keys.
    """

    def __init__(self, links: ThreadLinks, keys: QueueKeys) -> None:
        self._links = links
        self._keys = keys

    def put(self, name: str, data: bytes, ttl_ms: int) -> None:
        """Store, over whatever was there."""
        self._command("SET", self._keys.value(name), data, "PX", ttl_ms)

    def put_if_empty(self, name: str, data: bytes, ttl_ms: int) -> bool:
        """Store where nothing is; False if something was."""
        return self._command("SET", self._keys.value(name), data, "PX", ttl_ms, "NX") is not None

    def peek(self, name: str) -> bytes | None:
        """What is stored; None for nothing."""
        return cast(bytes | None, self._links.get().read("GET", self._keys.value(name)))

    def pop(self, name: str) -> bytes | None:
        """What is stored, and remove it."""
        return cast(bytes | None, self._command("GETDEL", self._keys.value(name)))

    def delete(self, name: str) -> bool:
        """Remove; False if nothing was there."""
        return bool(self._command("DEL", self._keys.value(name)))

    def _command(self, *words: str | bytes | int) -> Any:
        return self._links.get().command(*words)
