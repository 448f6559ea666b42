"""What stands in Redis right now: depths, ages, consumers, schedules. Reads only, each O(1) or O(log n).

No read walks over tasks, so a look at a queue costs the same at ten tasks and at ten million. The reads of one
queue are one transaction: its counts fit together, and the mismatch they give is real.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from .errors import RedisError
from .keys import REGISTRY, QueueKeys, is_queue_name
from .storage.link import Link, Words
from .storage.links import Links

DEFAULT_HEARTBEAT_SECONDS: Final = 10.0
"""How often a consumer is taken to renew when its heartbeat does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """One consumer as its last heartbeat described it.

    Attributes:
        seen_at: Unix seconds by Redis' clock of its last heartbeat.
        interval: Seconds between two of its heartbeats.
        busy: Workers that were running a task.
        started_at: Unix seconds when it started, None if it did not say.
        clock: Unix seconds by its own clock when it sent its last heartbeat, None if it did not say.
        abandoned: Threads that are stuck in tasks that would not stop when their time was over.
    """

    id: str
    seen_at: float
    workers: int
    busy: int
    interval: float
    host: str
    pid: int
    version: str
    started_at: float | None
    clock: float | None = None
    abandoned: int = 0

    def alive(self, now: float) -> bool:
        """Whether its last heartbeat is younger than three intervals at `now` (Unix seconds, Redis' clock)."""
        return now - self.seen_at < 3 * self.interval


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicRuns:
    """Times of one periodic task in Unix seconds; None for what has not happened.

    Attributes:
        unmet: First due time for which no run has succeeded yet, 0 if none is known; None where no scheduler looks
            at the task any more while others look at theirs.
        grace: Seconds after it by which a run must have succeeded; None as `unmet`.
    """

    name: str
    due: float | None
    next: float | None
    success: float | None
    unmet: float | None = None
    grace: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """One queue at one moment; times are Unix seconds by Redis' clock, None where there is nothing.

    Attributes:
        now: That moment.
        ready: Tasks that could run now, those a worker has reserved included.
        scheduled: Tasks that wait for their time, those no worker has seen yet included.
        records: Tasks that Redis holds; `mismatch` is this minus all states, and always 0.
        last_check: The minute in which a scheduler last checked the periodic tasks.
        seq: Number of the newest event, 0 if there is none.
        epoch: Which life of the stream `seq` counts in, "" if there is none.
        last_event_id: Stream id of the newest event still there.
        paused: Since when nothing new begins, None while it does.
        locks: Locks that are taken, those included whose time is over and that nobody has asked for since.
    """

    name: str
    now: float
    ready: int
    scheduled: int
    running: int
    dead: int
    records: int
    oldest_ready: float | None
    oldest_running: float | None
    oldest_due: float | None
    last_check: float | None
    consumers: tuple[Consumer, ...]
    periodic: tuple[PeriodicRuns, ...]
    seq: int
    epoch: str
    last_event_id: str
    paused: float | None = None
    locks: int = 0

    @property
    def mismatch(self) -> int:
        """Records that stand in no index of any state, or the reverse (negative)."""
        return self.records - self.ready - self.scheduled - self.running - self.dead


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerView:
    """A Redis server.

    Attributes:
        address: Where it is, as it may be shown.
        now: Its clock in Unix seconds.
        memory_used: Bytes in use.
        memory_max: Bytes it may use, 0 for no limit.
        maxmemory_policy: What it does when that limit is reached.
    """

    address: str
    now: float
    memory_used: int
    memory_max: int
    maxmemory_policy: str

    @property
    def eviction_safe(self) -> bool:
        """Whether a full server refuses writes instead of dropping keys of ours."""
        return self.memory_max == 0 or self.maxmemory_policy == "noeviction"


class _Heartbeat(msgspec.Struct, frozen=True):
    busy: int = 0
    interval: float = DEFAULT_HEARTBEAT_SECONDS
    host: str = ""
    pid: int = 0
    version: str = ""
    started_at: float | None = None
    clock: float | None = None
    abandoned: int = 0


_heartbeat: Final = msgspec.json.Decoder(_Heartbeat).decode


def queue_names(links: Links) -> list[str]:
    """The queues that ever announced themselves, sorted. What else is in the registry is passed over.

    Raises:
        RedisUnavailable: Redis cannot be reached.
        OutcomeUnknown: No answer.
        RedisRefused: Redis answered with an error.
    """
    members = links.to(REGISTRY).read("ZRANGE", REGISTRY, 0, -1)
    names = (member.decode("utf-8", "replace") for member in members)
    return sorted(name for name in names if is_queue_name(name))


def server_view(links: Links, key: str = REGISTRY) -> ServerView:
    """Look at the server that holds a key. Raises as `queue_names`."""
    link = links.to(key)
    time, told = link.read_all(("TIME",), ("INFO", "memory"))
    memory = dict(line.split(":", 1) for line in told.decode().splitlines() if ":" in line)
    return ServerView(
        address=link.server,
        now=_moment(time),
        memory_used=int(memory.get("used_memory", 0)),
        memory_max=int(memory.get("maxmemory", 0)),
        maxmemory_policy=memory.get("maxmemory_policy", "noeviction"),
    )


def _moment(time: Sequence[bytes]) -> float:
    """The answer to TIME in Unix seconds."""
    return int(time[0]) + int(time[1]) / 1_000_000


_QUEUES_AT_ONCE: Final = 50
_RETIRED_SECONDS: Final = 600.0
"""A periodic task at which nobody has looked for so long, while others were looked at, has left the code."""
_COUNTS: Final = ("ready", "reserved", "delayed", "scheduled", "running", "dead")
_HEADS: Final = ("ready_since", "running_since", "delayed", "scheduled")


def queue_view(links: Links, queue: str) -> QueueView:
    """Look at one queue, all of it in one transaction. Raises as `queue_names`."""
    keys = QueueKeys(queue)
    return _view(queue, links.to(keys["meta"]).transaction(*_reads(keys)))


def queue_views(links: Links, queues: Iterable[str]) -> Iterator[tuple[str, QueueView | Exception]]:
    """Look at many queues, a transaction each, 50 of them in one trip.

    Yields:
        Each queue with what is seen of it, or with what keeps us from seeing it: a RedisError, or any error where
        its keys hold what is not ours.
    """
    by_link: dict[Link, list[str]] = {}
    for queue in queues:
        by_link.setdefault(links.to(QueueKeys(queue)["meta"]), []).append(queue)
    for link, names in by_link.items():
        for at in range(0, len(names), _QUEUES_AT_ONCE):
            yield from _views(link, names[at : at + _QUEUES_AT_ONCE])


def _views(link: Link, queues: Sequence[str]) -> Iterator[tuple[str, QueueView | Exception]]:
    try:
        answers = link.transactions(*(_reads(QueueKeys(queue)) for queue in queues))
    except RedisError as error:
        yield from ((queue, error) for queue in queues)
        return
    for queue, replies in zip(queues, answers, strict=True):
        try:
            yield queue, replies if isinstance(replies, Exception) else _view(queue, replies)
        except (ValueError, TypeError, IndexError) as error:
            yield queue, error


def _reads(keys: QueueKeys) -> Sequence[Words]:
    return (
        *(("ZCARD", keys[index]) for index in _COUNTS),
        *(("ZRANGE", keys[index], 0, 0, "WITHSCORES") for index in _HEADS),
        ("HLEN", keys["tasks"]),
        ("HMGET", keys["meta"], "seq", "epoch", "last_check", "paused"),
        ("HGETALL", keys["consumers"]),
        ("HGETALL", keys["periodic_runs"]),
        ("HLEN", keys["locked"]),
        ("XREVRANGE", keys["events"], "+", "-", "COUNT", 1),
        ("TIME",),
    )


def _view(queue: str, replies: Sequence[Any]) -> QueueView:
    ready, reserved, delayed, scheduled, running, dead = replies[:6]
    ready_since, running_since, *dues = (_head(reply) for reply in replies[6:10])
    records, (seq, epoch, check, paused), consumers, periodic, locks, newest, time = replies[10:]
    last_check = int(check) * 60.0 if check else None
    return QueueView(
        name=queue,
        now=_moment(time),
        ready=ready + reserved,
        scheduled=scheduled + delayed,
        running=running,
        dead=dead,
        records=records,
        oldest_ready=ready_since,
        oldest_running=running_since,
        oldest_due=min((due for due in dues if due is not None), default=None),
        last_check=last_check,
        consumers=_consumers(_pairs(consumers)),
        periodic=_periodic(_pairs(periodic), last_check or 0.0),
        seq=int(seq or 0),
        epoch=(epoch or b"").decode(),
        last_event_id=newest[0][0].decode() if newest else "0-0",
        paused=int(paused) / 1_000_000 if paused else None,
        locks=locks,
    )


def _pairs(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    """The answer to HGETALL: fields and values by turns."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _head(reply: Sequence[Any]) -> float | None:
    """The score of a one-element answer with scores, µs → seconds."""
    return float(reply[1]) / 1_000_000 if reply else None


def _consumers(heartbeats: Mapping[bytes, bytes]) -> tuple[Consumer, ...]:
    read = (_consumer(name.decode("utf-8", "replace"), value) for name, value in sorted(heartbeats.items()))
    return tuple(consumer for consumer in read if consumer is not None)


def _consumer(name: str, value: bytes) -> Consumer | None:
    """None for a value that is no heartbeat: a newer consumer's change must not blind us to the others."""
    try:
        seen, workers, described = value.split(b" ", 2)
        heartbeat = _heartbeat(described)
        return Consumer(
            id=name,
            seen_at=int(seen) / 1_000_000,
            workers=int(workers),
            busy=heartbeat.busy,
            interval=heartbeat.interval,
            host=heartbeat.host,
            pid=heartbeat.pid,
            version=heartbeat.version,
            started_at=heartbeat.started_at,
            clock=heartbeat.clock,
            abandoned=heartbeat.abandoned,
        )
    except (ValueError, msgspec.DecodeError):
        return None


def _periodic(times: Mapping[bytes, bytes], last_check: float) -> tuple[PeriodicRuns, ...]:
    seconds: dict[str, dict[str, float]] = {}
    for field, value in times.items():
        name, _, what = field.decode("utf-8", "replace").rpartition(":")
        if name and value.isdigit():
            seconds.setdefault(name, {})[what] = int(value) / 1_000_000
    return tuple(_runs(name, at, last_check) for name, at in sorted(seconds.items()))


def _runs(name: str, at: Mapping[str, float], last_check: float) -> PeriodicRuns:
    looked_at = max(at.get("decided", 0.0), at.get("due", 0.0))
    watched = "met" in at and last_check - looked_at < _RETIRED_SECONDS
    return PeriodicRuns(
        name=name,
        due=at.get("due"),
        next=at.get("next"),
        success=at.get("success"),
        unmet=_unmet(at) if watched else None,
        grace=at.get("grace") if watched else None,
    )


def _unmet(at: Mapping[str, float]) -> float:
    """Of what the scheduler noted at its last look the first that no run has met since."""
    return next((at[what] for what in ("unmet", "next") if at.get(what, 0.0) > at["met"]), 0.0)
