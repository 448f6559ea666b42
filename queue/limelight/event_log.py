"""Reads the durable events of queues: those that are still on their streams, and those to come. Writes nothing.

::

    log = EventLog(queue.storage.address, [queue.name])
    for item in log.follow():
        if isinstance(item, Entry):
            print(item.event.status, item.event.task)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from .errors import OutcomeUnknown, RedisRefused, RedisUnavailable
from .event_stream import (
    Ask,
    Command,
    Entry,
    Missed,
    Pages,
    Tail,
    Unreadable,
    WentBack,
    as_count,
    as_entry,
    count_command,
    next_item,
    oldest_command,
)
from .keys import REGISTRY, QueueKeys, checked_queue_name, is_queue_name
from .storage.address import Address
from .storage.links import Links

__all__ = ["Entry", "EventLog", "Item", "Missed", "Outage", "Recovered", "Unreadable", "WentBack"]

POLL_SECONDS: Final = 0.2
_DISCOVER_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Outage:
    """Redis does not answer, for `reason`; the log waits for it and goes on where it was."""

    reason: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """Redis answers again, after so many seconds."""

    seconds: float


Item: TypeAlias = Entry | Unreadable | Missed | WentBack | Outage | Recovered


class EventLog:
    """The events of some queues, or of all. Not for two threads at once.

    Args:
        address: Where Redis is.
        queues: Which queues; None for all that ever announced themselves, new ones included.
        poll_seconds: How often `follow` looks for news: one small read per queue.
    """

    def __init__(
        self, address: Address, queues: Sequence[str] | None = None, *, poll_seconds: float = POLL_SECONDS
    ) -> None:
        self._links = Links(address)
        self._chosen = None if queues is None else [checked_queue_name(queue) for queue in queues]
        self._poll_seconds = poll_seconds

    def queues(self) -> Sequence[str]:
        """The queues whose events are read. Raises as `between`."""
        if self._chosen is not None:
            return self._chosen
        (registry,) = self._ask(REGISTRY, [("ZRANGE", REGISTRY, 0, -1)])
        names = (name.decode("utf-8", "replace") for name in registry)
        return sorted(name for name in names if is_queue_name(name))

    def now(self) -> float:
        """Redis' clock in Unix seconds. Raises as `between`."""
        ((seconds, micros),) = self._ask(REGISTRY, [("TIME",)])
        return int(seconds) + int(micros) / 1_000_000

    def oldest(self) -> Mapping[str, Entry]:
        """The oldest event still there, per queue that has any. Raises as `between`."""
        found = {}
        for queue in self.queues():
            (entries,) = self._ask(QueueKeys(queue)["events"], [oldest_command(queue)])
            oldest = as_entry(queue, entries[0]) if entries else None
            if isinstance(oldest, Entry):
                found[queue] = oldest
        return found

    def between(
        self, since: float | None = None, until: float | None = None, *, newest_first: bool = False
    ) -> Iterator[Entry | Unreadable]:
        """The events still on the streams, in the order in which Redis took them.

        Args:
            since: Unix seconds by Redis' clock; None for the oldest.
            until: Likewise, inclusive; None for the newest.
            newest_first: In the opposite order. Either way no more is read than is asked for.

        Raises:
            RedisUnavailable: Redis cannot be reached.
            OutcomeUnknown: No answer.
            RedisRefused: Redis answered with an error.
        """
        first, last = "-" if since is None else _ms(since), "+" if until is None else _ms(until)
        pages = [Pages(queue, self._ask, first, last, newest_first=newest_first) for queue in self.queues()]
        while (item := next_item(pages, backwards=newest_first)) is not None:
            if isinstance(item, Entry | Unreadable):
                yield item

    def follow(self, since: float | None = None) -> Iterator[Item]:
        """The events from a moment on, for ever; over an outage of Redis it waits, says so and goes on.

        Args:
            since: Unix seconds by Redis' clock; None for what comes from now on.

        Raises:
            RedisUnavailable, OutcomeUnknown: Redis cannot be reached at the beginning, or does not answer.
            RedisRefused: Redis answered with an error, and no waiting helps.
        """
        watch = _Watch(self._ask, self.queues, since=_ms(self.now() if since is None else since))
        watch.begin(at_end=since is None)
        look_at, down_since = 0.0, None
        while True:
            try:
                if time.monotonic() >= look_at:
                    watch.look()
                    look_at = time.monotonic() + self._poll_seconds
                item = next_item(watch.tails)
            except (RedisUnavailable, OutcomeUnknown, RedisRefused) as error:
                if isinstance(error, RedisRefused) and not error.may_pass:
                    raise
                if down_since is None:
                    down_since = time.monotonic()
                    yield Outage(str(error))
                time.sleep(_RETRY_SECONDS)
                continue
            if down_since is not None:
                yield Recovered(time.monotonic() - down_since)
                down_since = None
            if item is None:
                time.sleep(self._poll_seconds)
            else:
                yield item

    def close(self) -> None:
        """Close its connections; the log may be used again."""
        self._links.close()

    def _ask(self, key: str, commands: Sequence[Command]) -> list[Any]:
        """Send reads about keys of one slot in one trip."""
        return self._links.to(key).read_all(*commands)


class _Watch:
    """The queues that are followed; finds those that announce themselves later.

    Args:
        ask: Sends reads to Redis.
        queues: Names those that there are.
        since: Stream id from which to read queues that are found later.
    """

    def __init__(self, ask: Ask, queues: Callable[[], Sequence[str]], *, since: str) -> None:
        self.tails: list[Tail] = []
        self._ask = ask
        self._queues = queues
        self._since = since
        self._discover_at = 0.0

    def begin(self, *, at_end: bool) -> None:
        """Find the queues, and where on their streams to begin."""
        self._discover()
        if at_end:
            for tail in self.tails:
                tail.go_to_end()

    def look(self) -> None:
        """Learn which streams have news."""
        if time.monotonic() >= self._discover_at:
            self._discover()
        for tail in self.tails:
            (count,) = self._ask(QueueKeys(tail.queue)["meta"], [count_command(tail.queue)])
            tail.notice(*as_count(count))

    def _discover(self) -> None:
        known = {tail.queue for tail in self.tails}
        self.tails += [Tail(queue, self._ask, self._since) for queue in self._queues() if queue not in known]
        self._discover_at = time.monotonic() + _DISCOVER_SECONDS


def _ms(seconds: float) -> str:
    return str(max(0, round(seconds * 1_000)))
