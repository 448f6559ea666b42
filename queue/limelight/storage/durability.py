"""What must have happened to a task before its enqueue returns: in memory, at a replica, on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from limelight.errors import ConfigurationError, RedisRefused

from .link import Link, Words

Durability: TypeAlias = Literal["memory", "replica", "disk"]

_REPLICA_MS: Final = 1_000
_DISK_MS: Final = 4_000
"""How long a confirmation is waited for; with ``appendfsync everysec`` Redis writes to disk once a second."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A question that Redis answers when what this connection wrote before is safe, or when time is up.

    Attributes:
        words: The question.
        is_given: Whether an answer says yes.
        missing: What a no means.
    """

    words: Words
    is_given: Callable[[Any], bool]
    missing: str

    def check(self, link: Link) -> None:
        """Raise ConfigurationError where Redis can never give it; may raise as `Link.command`."""
        if self is not CONFIRMATIONS["disk"]:
            return
        try:
            link.command(*self.words)
        except RedisRefused as error:
            if error.may_pass or "lacks a right" in str(error):
                raise
            raise ConfigurationError(
                f'durability="disk" needs Redis 7.2 or Valkey, with appendonly yes ({error}). '
                'Elsewhere set appendfsync always, and take durability="memory"'
            ) from error


CONFIRMATIONS: Final[Mapping[Durability, Confirmation | None]] = {
    "memory": None,
    "replica": Confirmation(
        ("WAIT", 1, _REPLICA_MS), lambda count: int(count) >= 1, "no replica has confirmed it"
    ),
    "disk": Confirmation(
        ("WAITAOF", 1, 0, _DISK_MS),
        lambda counts: int(counts[0]) >= 1,
        "Redis has not confirmed that it is on disk",
    ),
}
