"""Which rights in Redis a producer, a consumer and an exporter need. Pure.

The commands are those that a script of the role runs, or that it sends itself; the keys are those that the scripts
declare. A test gives a user exactly these rights and has it do everything that its role does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from limelight.keys import REGISTRY, QueueKeys
from limelight.storage.scripts import SCRIPTS


class Role(StrEnum):
    """Who works with a queue."""

    PRODUCER = "producer"
    CONSUMER = "consumer"
    EXPORTER = "exporter"


@dataclass(frozen=True, slots=True)
class Need:
    """Something that a role must be allowed to do.

    Attributes:
        words: A command that does it, complete, so that Redis can be asked.
        touches: The key or the channel that it is about, "" for none.
    """

    words: tuple[str, ...]
    touches: str = ""

    def lacking(self, refusal: str) -> str:
        """The rule for ``ACL SETUSER`` that is missing, by what Redis says."""
        if "channel" in refusal:
            return f"&{self.touches}"
        return f"~{self.touches}" if " key" in refusal else f"+{self.name}"

    @property
    def name(self) -> str:
        """The command, as ACL rules name it."""
        return (
            "|".join(self.words[:2]).lower() if self.words[0] in _WITH_SUBCOMMANDS else self.words[0].lower()
        )


_WITH_SUBCOMMANDS: Final = frozenset({"SCRIPT"})
_PRODUCER: Final = {
    "GET": "result", "HDEL": "revoked", "HEXISTS": "tasks", "HGET": "lanes", "HINCRBY": "meta", "HMGET": "meta",
    "HSET": "tasks", "LPUSH": "wake", "LTRIM": "wake", "SUBSCRIBE": "channel", "XADD": "events", "ZADD": "ready",
    "ZSCORE": "dead",
}  # fmt: skip
_CONSUMER: Final = _PRODUCER | {
    "BLPOP": "wake", "DEL": "wake", "EXISTS": "result", "HGETALL": "consumers", "HLEN": "tasks",
    "HSETNX": "periodic_runs", "PEXPIRE": "result", "PUBLISH": "channel", "SET": "result", "XTRIM": "events",
    "ZCARD": "ready", "ZRANGE": "ready", "ZRANGEBYSCORE": "scheduled", "ZREM": "ready", "ZREMRANGEBYSCORE": "ready",
}  # fmt: skip
_EXPORTER: Final = {
    "GET": "snap", "HDEL": "cursors", "HGET": "cursors", "HGETALL": "consumers", "HLEN": "tasks", "HMGET": "meta",
    "HSET": "cursors", "INFO": "", "MULTI": "", "SET": "snap", "XRANGE": "events", "XREVRANGE": "events",
    "XTRIM": "events", "ZCARD": "ready", "ZRANGE": "ready",
}  # fmt: skip
COMMANDS: Final[Mapping[Role, Mapping[str, str]]] = {
    Role.PRODUCER: _PRODUCER,
    Role.CONSUMER: _CONSUMER,
    Role.EXPORTER: _EXPORTER,
}
"""Command → a thing of the queue that the role uses it on."""

_SCRIPTS: Final[Mapping[Role, Sequence[str]]] = {
    Role.PRODUCER: ("enqueue", "revoke"),
    Role.CONSUMER: tuple(SCRIPTS),
}
_EXPORTER_KEYS: Final = ("events", "meta", "cursors")
_REST: Final[Mapping[str, tuple[str, ...]]] = {
    "BLPOP": ("1",), "HDEL": ("f",), "HEXISTS": ("f",), "HGET": ("f",), "HINCRBY": ("f", "1"), "HMGET": ("f",),
    "HSET": ("f", "v"), "HSETNX": ("f", "v"), "LPUSH": ("v",), "LTRIM": ("0", "-1"), "PEXPIRE": ("1",),
    "PUBLISH": ("",),
    "SET": ("v",), "XADD": ("*", "e", ""), "XRANGE": ("-", "+"), "XREVRANGE": ("+", "-"), "XTRIM": ("MAXLEN", "0"),
    "ZADD": ("0", "m"), "ZRANGE": ("0", "0"), "ZRANGEBYSCORE": ("0", "0"), "ZREM": ("m",),
    "ZREMRANGEBYSCORE": ("1", "0"), "ZSCORE": ("m",),
}  # fmt: skip
"""What follows the key to make a command complete."""


def needs(role: Role, keys: QueueKeys, db: int) -> Iterator[Need]:
    """All that a role must be allowed to do with one queue, whose live channel is that of database `db`."""
    for command, thing in COMMANDS[role].items():
        if command == "MULTI":
            continue  # Redis is asked in one
        touches = _place(thing, keys, db)
        yield Need((command, *((touches,) if touches else ()), *_REST.get(command, ())), touches)
    yield Need(("TIME",))
    yield Need(("SCRIPT", "LOAD", "return 1"))
    yield Need(("EVAL", "return 1", "0"))
    yield Need(("EVALSHA", "0" * 40, "0"))
    for key in _declared(role, keys):
        yield Need(("EVALSHA", "0" * 40, "1", key), key)
    command = "ZRANGE" if role is Role.EXPORTER else "ZADD"
    yield Need((command, REGISTRY, *_REST[command]), REGISTRY)


def _declared(role: Role, keys: QueueKeys) -> list[str]:
    if role is Role.EXPORTER:
        return [*(keys[thing] for thing in _EXPORTER_KEYS), keys.snapshot("default")]
    things = {thing for name in _SCRIPTS[role] for thing in SCRIPTS[name].things}
    return [keys[thing] for thing in sorted(things)]


def _place(thing: str, keys: QueueKeys, db: int) -> str:
    special = {
        "": "",
        "channel": keys.channel(db),
        "result": keys.result("0"),
        "snap": keys.snapshot("default"),
    }
    return special[thing] if thing in special else keys[thing]
