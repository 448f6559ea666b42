"""Which rights in Redis each role needs, as docs/redis.md grants them. Pure.

The commands are those that a script of the role runs, or that it sends itself; the keys are those that the scripts
declare. Tests give users exactly the rights of that page, have them do everything that their roles do, and hold
the page against these tables.
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
    CALLER = "caller"
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
    "HEXISTS": "tasks", "HGET": "lanes", "HINCRBY": "meta", "HSET": "tasks", "HSETNX": "tasks", "LPUSH": "wake",
    "LTRIM": "wake", "PUBLISH": "channel", "XADD": "events", "ZADD": "ready",
}  # fmt: skip
_CALLER: Final = _PRODUCER | {
    "GET": "result", "HDEL": "revoked", "HMGET": "groups", "SUBSCRIBE": "ends", "ZSCORE": "dead",
}  # fmt: skip
_CONSUMER: Final = _CALLER | {
    "BLPOP": "wake", "DEL": "value", "EXISTS": "awaited", "GETDEL": "value", "HGETALL": "consumers", "HLEN": "tasks",
    "HSTRLEN": "tasks", "INFO": "", "PEXPIRE": "limit", "PUBSUB": "",
    "SET": "result", "XTRIM": "events", "ZCARD": "ready", "ZCOUNT": "limit",
    "ZRANGE": "ready", "ZRANGEBYSCORE": "scheduled", "ZREM": "ready",
    "ZREMRANGEBYSCORE": "limit", "ZREVRANGEBYSCORE": "dead",
}  # fmt: skip
_EXPORTER: Final = {
    "EXEC": "", "GET": "snap", "HDEL": "cursors", "HGET": "cursors", "HGETALL": "consumers", "HLEN": "tasks",
    "HMGET": "meta", "HSET": "cursors", "INFO": "", "MULTI": "", "RENAME": "snap", "SET": "snap", "XRANGE": "events",
    "XREVRANGE": "events", "XTRIM": "events", "ZCARD": "ready", "ZRANGE": "ready",
}  # fmt: skip
COMMANDS: Final[Mapping[Role, Mapping[str, str]]] = {
    Role.PRODUCER: _PRODUCER,
    Role.CALLER: _CALLER,
    Role.CONSUMER: _CONSUMER,
    Role.EXPORTER: _EXPORTER,
}
"""Command → a thing of the queue that the role uses it on."""

_SCRIPTS: Final[Mapping[Role, Sequence[str]]] = {
    Role.PRODUCER: ("enqueue",),
    Role.CALLER: ("enqueue", "revoke", "await"),
    Role.CONSUMER: tuple(SCRIPTS),
}
_EXPORTER_KEYS: Final = ("events", "meta", "cursors")
_LOOKED_AT: Final[Mapping[str, Sequence[str]]] = {
    "HLEN": ("locked",),
    "ZCARD": ("reserved", "delayed", "scheduled", "running", "dead"),
    "ZRANGE": ("ready_since", "running_since"),
}
"""What else the exporter's gauges read, by command."""
_UNTRIED: Final = frozenset({"MULTI", "EXEC"})
"""Redis is asked between these two."""
_REST: Final[Mapping[str, tuple[str, ...]]] = {
    "BLPOP": ("1",), "HDEL": ("f",), "HEXISTS": ("f",), "HGET": ("f",), "HINCRBY": ("f", "1"), "HMGET": ("f",),
    "HSET": ("f", "v"), "HSETNX": ("f", "v"), "HSTRLEN": ("f",), "LPUSH": ("v",), "LTRIM": ("0", "-1"),
    "PEXPIRE": ("1",), "PUBLISH": ("",), "PUBSUB": ("NUMPAT",), "SET": ("v",), "XADD": ("*", "e", ""),
    "XRANGE": ("-", "+"), "XREVRANGE": ("+", "-"), "XTRIM": ("MAXLEN", "0"),
    "ZADD": ("0", "m"), "ZCOUNT": ("0", "0"), "ZRANGE": ("0", "0"), "ZRANGEBYSCORE": ("0", "0"), "ZREM": ("m",),
    "ZREMRANGEBYSCORE": ("1", "0"), "ZREVRANGEBYSCORE": ("0", "0"), "ZSCORE": ("m",),
}  # fmt: skip
"""What follows the key to make a command complete."""


def needs(role: Role, keys: QueueKeys, db: int) -> Iterator[Need]:
    """All that a role must be allowed to do with one queue, whose live channel is that of database `db`."""
    for command, thing in COMMANDS[role].items():
        if command in _UNTRIED:
            continue
        touches = _place(thing, keys, db)
        rest = (touches,) if command == "RENAME" else _REST.get(command, ())
        yield Need((command, *((touches,) if touches else ()), *rest), touches)
    yield Need(("TIME",))
    yield Need(("SCRIPT", "LOAD", "return 1"))
    yield Need(("EVALSHA", "0" * 40, "0"))
    for key in _declared(role, keys):
        yield Need(("EVALSHA", "0" * 40, "1", key), key)
    if role is Role.EXPORTER:
        for command, things in _LOOKED_AT.items():
            yield from (
                Need((command, keys[thing], *_REST.get(command, ())), keys[thing]) for thing in things
            )
    command = "ZRANGE" if role is Role.EXPORTER else "ZADD"
    yield Need((command, REGISTRY, *_REST[command]), REGISTRY)


def channel_needs(channel: str) -> Iterator[Need]:
    """What an exporter must be allowed besides, to listen to a channel of Huey 1.x (``--pubsub``)."""
    yield Need(("SUBSCRIBE", channel), channel)
    yield Need(("UNSUBSCRIBE", channel))
    yield Need(("PING",))


def _declared(role: Role, keys: QueueKeys) -> list[str]:
    if role is Role.EXPORTER:
        return [*(keys[thing] for thing in _EXPORTER_KEYS), keys.snapshot("default")]
    things = {thing for name in _SCRIPTS[role] for thing in SCRIPTS[name].things}
    return [keys[thing] for thing in sorted(things)]


def _place(thing: str, keys: QueueKeys, db: int) -> str:
    special = {
        "": "",
        "channel": keys.channel(db),
        "ends": keys.ends("0"),
        "limit": keys.limit("0"),
        "result": keys.result("0"),
        "value": keys.value("0"),
        "snap": keys.snapshot("default"),
    }
    return special[thing] if thing in special else keys[thing]
