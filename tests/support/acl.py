"""The users that docs/redis.md describes, as the page has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import redis

__all__ = ["PASSWORD", "ROLES", "also_needed", "denied", "users"]

PASSWORD: Final = "change-me"
_PAGE: Final = (Path(__file__).parents[2] / "docs" / "redis.md").read_text(encoding="utf-8")
ROLES: Final = {
    name: rules.split() for name, rules in re.findall(r"^user limelight-(\S+) (.+)$", _PAGE, re.MULTILINE)
}
"""Role → the rules of its line."""


def also_needed(where: str) -> list[list[str]]:
    """The rights that the page's table adds somewhere, per code span."""
    (row,) = re.findall(rf"^\| ({re.escape(where)} \| .+) \|$", _PAGE, re.MULTILINE)
    return [rights.split() for rights in re.findall(r"`(\+[^`]+)`", row)]


@contextmanager
def users(client: redis.Redis, *roles: str, also: tuple[str, ...] = ()) -> Iterator[None]:
    """These roles are users of a server until the block ends."""
    client.execute_command("ACL", "LOG", "RESET")
    for role in roles:
        client.execute_command("ACL", "SETUSER", f"limelight-{role}", *ROLES[role], *also)
    try:
        yield
    finally:
        client.execute_command("ACL", "DELUSER", *(f"limelight-{role}" for role in roles))


def denied(client: redis.Redis) -> list[str]:
    """What was denied to whom since `users`, but for redis-py's introduction of itself."""
    entries: list[Any] = client.execute_command("ACL", "LOG", 128)
    told = [
        entry if isinstance(entry, dict) else dict(zip(entry[::2], entry[1::2], strict=True))
        for entry in entries
    ]
    words = [f"{_text(one[b'username'])}: {_text(one[b'reason'])} {_text(one[b'object'])}" for one in told]
    return [word for word in words if "client" not in word]


def _text(value: bytes) -> str:
    return value.decode()
