"""Names of everything we keep in Redis, in one place.

All keys of one queue share the hash tag ``{queue}``, so that a script may touch any of them on a
Redis Cluster. ``limelight:queues`` alone stands outside: the registry by which exporters find queues.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from .errors import ConfigurationError

REGISTRY: Final = "limelight:queues"
"""Sorted set: queue name → Unix seconds of its last announcement."""

_QUEUE_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")


def checked_queue_name(name: str) -> str:
    """Return the name, or raise ConfigurationError: 1 to 100 of ``A-Za-z0-9._-``, nothing else."""
    if not isinstance(name, str) or not is_queue_name(name):
        raise ConfigurationError(f"queue name {name!r} cannot be used: take 1 to 100 of A-Z a-z 0-9 . _ -")
    return name


def is_queue_name(name: str) -> bool:
    """Whether a queue can have this name; anybody who may write to the registry can put others there."""
    return _QUEUE_NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class QueueKeys:
    """The keys of one queue.

    ========================  ======  ================================================================
    thing                     type    holds
    ========================  ======  ================================================================
    tasks                     hash    id → record of every task that is not done
    ready                     zset    id → priority and order in one score
    ready_since               zset    id → µs since when it could run (reserved ones included)
    delayed                   zset    id → due µs: enqueued for later, not yet passed by a worker
    scheduled                 zset    id → due µs
    reserved, running         zset    id → lease deadline µs
    running_since             zset    id → start µs
    dead                      zset    id → µs of burial
    dead_reasons              hash    id → JSON fragment: error type and message
    revoked                   hash    id or ``@<task>`` → µs until which it is revoked, 0 for good, "once"
    promised                  hash    id of a task that an earlier one will put on the queue
    groups                    hash    group → its size and callback; ``<group>:<place>`` → what a member left
    locked                    hash    lock → who holds it, until when
    awaited                   hash    id → channels of those who wait for its end
    events                    stream  the durable events, one JSON object in field ``e``
    meta                      hash    seq, order, epoch, last_seen, reap_after, longest_lease, last_check, looks, paused
    lanes, lanes_used         hash, zset   producer lane → last number; lane → last use
    requests                  hash    owner → its last reserve request
    consumers                 hash    consumer id → its ``<µs> <workers> <JSON>``
    periodic_runs             hash    ``<task>:due``, ``:next``, ``:decided``, ``:success``, ``:met``,
                                      ``:unmet``, ``:grace`` → µs; ``:look`` → look
    wake                      list    tokens that wake idle workers
    ========================  ======  ================================================================
    """

    queue: str

    def __post_init__(self) -> None:
        checked_queue_name(self.queue)

    def __getitem__(self, thing: str) -> str:
        """The key of a thing of this queue, e.g. ``keys["tasks"]``."""
        return f"limelight:{{{self.queue}}}:{thing}"

    def result(self, task_id: str) -> str:
        """The string key that holds the result of one task."""
        return f"limelight:{{{self.queue}}}:result:{task_id}"

    def limit(self, name: str) -> str:
        """The zset key of a rate limit: request → µs; it lives as long as its window."""
        return f"limelight:{{{self.queue}}}:limit:{name}"

    def ends(self, waiter: str) -> str:
        """The pub/sub channel on which a waiting process is told of tasks that ended."""
        return f"limelight:{{{self.queue}}}:ends:{waiter}"

    def value(self, name: str) -> str:
        """The string key that holds one of the application's own values."""
        return f"limelight:{{{self.queue}}}:value:{name}"

    def snapshot(self, group: str) -> str:
        """An exporter group's metric state and position, together in one key."""
        return f"limelight:{{{self.queue}}}:snap:{group}"

    def failures(self, group: str) -> str:
        """What an exporter group's live page remembers of failures; it expires."""
        return f"{self.snapshot(group)}:failures"

    @property
    def cursors(self) -> str:
        """Hash: reader → its saved position, ``<stream id> <seq> <Unix ms of the save> …``; the rest is its own."""
        return self["cursors"]

    def channel(self, db: int) -> str:
        """The pub/sub channel of live events; Redis' pub/sub ignores SELECT, so it names the database."""
        return f"limelight:{{{self.queue}}}:channel:{db}"
