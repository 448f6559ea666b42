"""Every key of the queue, and why it may be there: who owns it, when it goes, or how large it may become."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import redis

from limelight.keys import REGISTRY, QueueKeys
from limelight_exporter.config import DEFAULT_GROUP

from .periodic import PERIODS
from .reader import READER

Check = Callable[["Queue"], Iterator[str]]
_META: Final = {
    *("seq", "order", "epoch", "last_seen", "reap_after", "longest_lease", "last_check", "looks"),
    *("alone", "max_age"),
}


@dataclass(frozen=True, slots=True)
class Queue:
    """What the checks look at: a queue whose tasks have all ended and whose consumers have all stopped.

    Attributes:
        client: To read with; it does not decode.
        keys: The queue's.
        producers: How many processes and threads have enqueued, at most: each has a lane.
        aged: Redis' clock has moved on by more than a day, so that what has a life has outlived it.
    """

    client: redis.Redis
    keys: QueueKeys
    producers: int
    aged: bool

    def fields(self, thing: str) -> set[str]:
        """The fields of a hash."""
        found: Any = self.client.hkeys(self.keys[thing])
        return {field.decode("utf-8", "replace") for field in found}

    def members(self, thing: str) -> set[str]:
        """The members of a sorted set."""
        found: Any = self.client.zrange(self.keys[thing], 0, -1)
        return {member.decode("utf-8", "replace") for member in found}


def census(queue: Queue) -> list[str]:
    """All keys that may not be there, and all that hold more than they may."""
    found: list[str] = []
    prefix = queue.keys[""]
    for raw in queue.client.scan_iter(count=1_000):
        key = raw.decode("utf-8", "replace")
        if key == REGISTRY:
            found += _registry(queue)
        elif not key.startswith(prefix):
            found.append(f"{key}: not of this queue")
        else:
            found += _judged(queue, key, key.removeprefix(prefix))
    return found


def _judged(queue: Queue, key: str, thing: str) -> Iterator[str]:
    for pattern, check in ALLOWED.items():
        if re.fullmatch(pattern, thing):
            yield from (f"{key}: {problem}" for problem in check(queue))
            return
    if not thing.startswith(("result:", "limit:")):
        yield f"{key}: should be gone, or has no row in the census"
    elif queue.aged:
        yield f"{key}: has outlived its time"
    elif queue.client.pttl(key) < 0:
        yield f"{key}: has no time to live"


def _registry(queue: Queue) -> Iterator[str]:
    names: Any = queue.client.zrange(REGISTRY, 0, -1)
    if names != [queue.keys.queue.encode()]:
        yield f"{REGISTRY}: holds {names}"


def _only_dead_letters(queue: Queue) -> Iterator[str]:
    extra = queue.fields("tasks") ^ queue.members("dead")
    if extra:
        yield f"{len(extra)} records that are no dead letters, or the reverse: {sorted(extra)[:3]}"


def _of_dead_letters(queue: Queue) -> Iterator[str]:
    if extra := queue.fields("dead_reasons") - queue.members("dead"):
        yield f"{len(extra)} reasons of what is no dead letter: {sorted(extra)[:3]}"


def _known_meta(queue: Queue) -> Iterator[str]:
    yield from (f"unknown field {field}" for field in sorted(queue.fields("meta") - _META))


def _bounded_lanes(queue: Queue) -> Iterator[str]:
    lanes, used = queue.fields("lanes"), queue.members("lanes_used")
    if lanes != used:
        yield f"{len(lanes ^ used)} lanes that nobody would forget"
    bound = 10 if queue.aged else queue.producers
    if len(lanes) > bound:
        yield f"{len(lanes)} lanes, expected at most {bound}"


def _of_known_consumers(queue: Queue) -> Iterator[str]:
    consumers = queue.fields("consumers")
    orphans = {owner for owner in queue.fields("requests") if owner.partition(":")[0] not in consumers}
    if orphans:
        yield f"{len(orphans)} requests of owners that nobody would forget: {sorted(orphans)[:3]}"
    elif queue.aged:
        yield f"{len(queue.fields('requests'))} requests of owners long gone"


def _forgotten_in_time(queue: Queue) -> Iterator[str]:
    if queue.aged:
        yield f"{len(queue.fields('consumers'))} consumers long gone"


def _of_known_periods(queue: Queue) -> Iterator[str]:
    fields = ("due", "next", "decided", "success", "look", "met", "unmet", "grace")
    known = {f"{name}:{what}" for name in PERIODS for what in fields}
    yield from (f"unknown field {field}" for field in sorted(queue.fields("periodic_runs") - known))


def _of_known_readers(queue: Queue) -> Iterator[str]:
    yield from (
        f"unknown reader {name}" for name in sorted(queue.fields("cursors") - {READER, DEFAULT_GROUP})
    )


def _short(queue: Queue) -> Iterator[str]:
    if (length := queue.client.llen(queue.keys["wake"])) > 256:
        yield f"{length} entries"


def _anything(queue: Queue) -> Iterator[str]:
    return iter(())


ALLOWED: Final[Mapping[str, Check]] = {
    "tasks": _only_dead_letters,
    "dead": _only_dead_letters,
    "dead_reasons": _of_dead_letters,
    "events": _anything,  # bounded by the emitter's cap and age
    "meta": _known_meta,
    "lanes|lanes_used": _bounded_lanes,
    "requests": _of_known_consumers,
    "consumers": _forgotten_in_time,
    "periodic_runs": _of_known_periods,
    "wake": _short,
    "cursors": _of_known_readers,
    f"snap:{DEFAULT_GROUP}": _anything,  # one per exporter group
    f"snap:{DEFAULT_GROUP}:failures": _anything,  # the same, bounded in groups, gone a day after the last failure
}
"""What may stay for good, each with its bound; a pattern of what follows the queue's prefix → its check."""
