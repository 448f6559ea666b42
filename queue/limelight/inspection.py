"""What stands in Redis right now: depths, ages, consumers, schedules. Reads only, each O(1) or O(log n).

No read walks over tasks, so a look at a queue costs the same at ten tasks and at ten million. The reads of one
queue are one transaction: its counts fit together, and the mismatch they give is real.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import redis

from .errors import RedisRefused, RedisUnavailable
from .keys import REGISTRY, QueueKeys, is_queue_name

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

    def alive(self, now: float) -> bool:
        """Whether its last heartbeat is younger than three intervals at `now` (Unix seconds, Redis' clock)."""
        return now - self.seen_at < 3 * self.interval


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicRuns:
    """Times of one periodic task in Unix seconds; None for what has not happened."""

    name: str
    due: float | None
    next: float | None
    success: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """One queue at one moment; times are Unix seconds by Redis' clock, None where there is nothing.

    Attributes:
        ready: Tasks that could run now, those a worker has reserved included.
        scheduled: Tasks that wait for their time, those no worker has seen yet included.
        records: Tasks that Redis holds; `mismatch` is this minus all states, and always 0.
        last_check: The minute in which a scheduler last checked the periodic tasks.
        seq: Number of the newest event, 0 if there is none.
        epoch: Which life of the stream `seq` counts in, "" if there is none.
        last_event_id: Stream id of the newest event still there.
        paused: Since when nothing new begins, None while it does.
    """

    name: str
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

    @property
    def mismatch(self) -> int:
        """Records that stand in no index of any state, or the reverse (negative)."""
        return self.records - self.ready - self.scheduled - self.running - self.dead


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerView:
    """The Redis server.

    Attributes:
        now: Its clock in Unix seconds.
        memory_used: Bytes in use.
        memory_max: Bytes it may use, 0 for no limit.
        maxmemory_policy: What it does when that limit is reached.
    """

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


_heartbeat: Final = msgspec.json.Decoder(_Heartbeat).decode


def queue_names(client: redis.Redis) -> list[str]:
    """The queues that ever announced themselves, sorted. What else is in the registry is passed over.

    Args:
        client: A redis-py client that does not decode responses.

    Raises:
        RedisUnavailable: No answer.
        RedisRefused: Redis answered with an error.
    """
    pipeline = client.pipeline(transaction=False)
    pipeline.execute_command("ZRANGE", REGISTRY, 0, -1)
    names = (name.decode("utf-8", "replace") for name in _run(pipeline)[0])
    return sorted(name for name in names if is_queue_name(name))


def server_view(client: redis.Redis) -> ServerView:
    """Look at the server. Raises as `queue_names`."""
    pipeline = client.pipeline(transaction=False)
    pipeline.execute_command("TIME")
    pipeline.execute_command("INFO", "memory")
    time, memory = _run(pipeline)
    return ServerView(
        now=time[0] + time[1] / 1_000_000,
        memory_used=int(memory.get("used_memory", 0)),
        memory_max=int(memory.get("maxmemory", 0)),
        maxmemory_policy=str(memory.get("maxmemory_policy", "noeviction")),
    )


_COUNTS: Final = ("ready", "reserved", "delayed", "scheduled", "running", "dead")
_HEADS: Final = ("ready_since", "running_since", "delayed", "scheduled")


def queue_view(client: redis.Redis, queue: str) -> QueueView:
    """Look at one queue, all of it in one transaction. Raises as `queue_names`."""
    keys = QueueKeys(queue)
    pipeline = client.pipeline(transaction=True)
    for index in _COUNTS:
        pipeline.execute_command("ZCARD", keys[index])
    for index in _HEADS:
        pipeline.execute_command("ZRANGE", keys[index], 0, 0, "WITHSCORES")
    pipeline.execute_command("HLEN", keys["tasks"])
    pipeline.execute_command("HMGET", keys["meta"], "seq", "epoch", "last_check", "paused")
    pipeline.execute_command("HGETALL", keys["consumers"])
    pipeline.execute_command("HGETALL", keys["periodic_runs"])
    pipeline.execute_command("XREVRANGE", keys["events"], "+", "-", "COUNT", 1)
    return _view(queue, _run(pipeline))


def _view(queue: str, replies: Sequence[Any]) -> QueueView:
    ready, reserved, delayed, scheduled, running, dead = replies[:6]
    ready_since, running_since, *dues = (_head(reply) for reply in replies[6:10])
    records, (seq, epoch, last_check, paused), consumers, periodic, newest = replies[10:]
    return QueueView(
        name=queue,
        ready=ready + reserved,
        scheduled=scheduled + delayed,
        running=running,
        dead=dead,
        records=records,
        oldest_ready=ready_since,
        oldest_running=running_since,
        oldest_due=min((due for due in dues if due is not None), default=None),
        last_check=int(last_check) * 60.0 if last_check else None,
        consumers=_consumers(consumers),
        periodic=_periodic(periodic),
        seq=int(seq or 0),
        epoch=(epoch or b"").decode(),
        last_event_id=newest[0][0].decode() if newest else "0-0",
        paused=int(paused) / 1_000_000 if paused else None,
    )


def _head(reply: Sequence[Any]) -> float | None:
    """The score of a one-element answer with scores, µs → seconds."""
    if not reply:
        return None
    head = reply[0]
    return float(head[1] if isinstance(head, tuple | list) else reply[1]) / 1_000_000


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
        )
    except (ValueError, msgspec.DecodeError):
        return None


def _periodic(times: Mapping[bytes, bytes]) -> tuple[PeriodicRuns, ...]:
    seconds: dict[str, dict[str, float]] = {}
    for field, value in times.items():
        name, _, what = field.decode("utf-8", "replace").rpartition(":")
        if name and value.isdigit():
            seconds.setdefault(name, {})[what] = int(value) / 1_000_000
    return tuple(
        PeriodicRuns(name=name, due=at.get("due"), next=at.get("next"), success=at.get("success"))
        for name, at in sorted(seconds.items())
    )


def _run(pipeline: Any) -> list[Any]:
    try:
        replies: list[Any] = pipeline.execute()
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise RedisUnavailable(
            f"Redis does not answer: {str(error).rstrip('.')}. Is it running, is the URL right?"
        ) from error
    except redis.RedisError as error:
        raise RedisRefused(f"Redis refused a read: {error}") from error
    return replies
