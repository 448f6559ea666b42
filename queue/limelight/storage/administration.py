"""What an operator does to a queue in Redis: look, cancel, pause, requeue and purge dead letters."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from limelight.keys import QueueKeys
from limelight.lifecycle import State
from limelight.storage.link import Call
from limelight.storage.links import ThreadLinks
from limelight.storage.packing import micros
from limelight.storage.stored import Stored, stored
from limelight.tracecontext import new_span_id, new_trace_id

CHUNK: Final = 1_000
"""Tasks that one call changes at most, so that it holds up nobody else for long."""
WAITING: Final = (State.READY, State.DELAYED, State.SCHEDULED)
"""Where a task is that no worker holds, from where it can be canceled."""
EVER: Final = 2**62
"""A time of burial, Unix µs, that no dead letter has passed."""


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What became of the tasks that were to be canceled.

    Attributes:
        canceled: How many are gone.
        unreadable: How many had a record that cannot be read; they are dead letters now.
    """

    canceled: int
    unreadable: int


@dataclass(frozen=True, slots=True)
class Grave:
    """A dead letter's place in time: the order in which dead letters are listed.

    Attributes:
        at_us: Unix µs.
        task_id: Of two that were buried in the same moment, the order of their ids decides.
    """

    at_us: int
    task_id: str


@dataclass(frozen=True, slots=True)
class Counts:
    """How many tasks wait for a worker, wait for their time, and are dead letters."""

    ready: int
    scheduled: int
    dead: int


class Administration:
    """One queue in Redis, as an operator sees it.

    Every change is one script that does nothing to a task that is elsewhere by now, so all of them may be
    repeated. Methods raise RedisUnavailable (nothing was done), OutcomeUnknown (it may have been done; repeat
    it) and RedisRefused.

    Args:
        links: Connections, one per thread.
        keys: The queue's keys.
        call: Makes the call of a script from its name, its arguments and its keys per task.
        where: Who we are in events, a fragment.
        trace_age_seconds: A task that is older than this when it is requeued opens a new trace.
    """

    def __init__(
        self,
        links: ThreadLinks,
        keys: QueueKeys,
        *,
        call: Callable[[str, Sequence[Any], Sequence[bytes]], Call],
        where: Callable[[], str],
        trace_age_seconds: float,
    ) -> None:
        self._links = links
        self._keys = keys
        self._scripted = call
        self._where = where
        self._trace_age = micros(trace_age_seconds)

    # -- Looking ----------------------------------------------------------------------------------------
    def now_us(self) -> int:
        """Redis' clock, Unix µs."""
        seconds, rest = self._links.get().read("TIME")
        return int(seconds) * 1_000_000 + int(rest)

    def counts(self) -> Counts:
        """How many there are, in one trip."""
        things = ("ready", "delayed", "scheduled", "dead")
        ready, delayed, scheduled, dead = self._links.get().read_all(
            *(("ZCARD", self._keys[thing]) for thing in things)
        )
        return Counts(int(ready), int(delayed) + int(scheduled), int(dead))

    def look(self, task_ids: Sequence[str], *, bodies: bool = True) -> list[Stored | None]:
        """What Redis holds of tasks; None where it holds nothing. `bodies`: with their messages."""
        if not task_ids:
            return []
        replies = self._read("look", [int(bodies), *map(_raw, task_ids)])
        return [stored(task_id, reply) for task_id, reply in zip(task_ids, replies, strict=True)]

    def waiting_ids(self, state: State, start: int, count: int) -> list[str]:
        """Ids of tasks in one of the states `WAITING`, in the order in which they leave it."""
        ids = self._links.get().read("ZRANGE", self._keys[state], start, start + count - 1)
        return [_text(task_id) for task_id in ids]

    def dead_ids(
        self, count: int, *, beyond: Grave | None = None, until_us: int = EVER, newest_first: bool = False
    ) -> list[Grave]:
        """Dead letters in the order of their burials.

        Args:
            count: How many at most.
            beyond: The last one that the caller knows; what comes after it is returned.
            until_us: Only those that were buried then or before, Unix µs.
            newest_first: The other way round; `until_us` is then not looked at.
        """
        start = "-inf" if beyond is None else beyond.at_us
        words: tuple[Any, ...] = ("ZRANGEBYSCORE", self._keys["dead"], start, until_us)
        if newest_first:
            start = "+inf" if beyond is None else beyond.at_us
            words = ("ZREVRANGEBYSCORE", self._keys["dead"], start, "-inf")
        skip = 0
        while True:
            reply = self._links.get().read(*words, "WITHSCORES", "LIMIT", skip, count)
            page = [
                Grave(int(float(at)), _text(task_id))
                for task_id, at in zip(reply[::2], reply[1::2], strict=True)
            ]
            fresh = [grave for grave in page if _follows(grave, beyond, newest_first=newest_first)]
            if fresh or len(page) < count:
                return fresh
            skip += count

    def paused(self) -> float | None:
        """Since when the queue is paused, Unix seconds; None if it is not."""
        since = self._links.get().read("HGET", self._keys["meta"], "paused")
        return int(since) / 1e6 if since else None

    # -- Changing ---------------------------------------------------------------------------------------
    def pause(self) -> bool:
        """Nothing new begins from now on; False if it was so before."""
        return bool(self._change("pause", ["1"]))

    def resume(self) -> bool:
        """The queue goes on, and idle workers hear of it; False if it was not paused."""
        return bool(self._change("pause", [""]))

    def cancel(self, task_ids: Sequence[str]) -> Cancellation:
        """Take tasks that wait off the queue (T13); those that a worker holds stay. At most `CHUNK` of them."""
        canceled, unreadable = self._change("cancel", [self._where(), *map(_raw, dict.fromkeys(task_ids))])
        return Cancellation(int(canceled), int(unreadable))

    def requeue(self, task_ids: Sequence[str], *, until_us: int = EVER) -> list[int]:
        """Give dead letters a new life (T14). At most `CHUNK` of them, none twice.

        Args:
            task_ids: Which.
            until_us: Leave those that were buried later, Unix µs.

        Returns:
            Per task 1: it is ready; 0: it is no dead letter (any more); -1: it is unreadable and stays.
        """
        args: list[Any] = [until_us, self._where(), time.time_ns(), self._trace_age]
        for task_id in task_ids:
            args += [_raw(task_id), new_span_id(), new_trace_id()]
        results = [_raw(self._keys.result(task_id)) for task_id in task_ids]
        return [int(reply) for reply in self._change("requeue", args, results)]

    def purge(
        self, task_ids: Sequence[str], *, until_us: int = EVER, keep: int = 0, source: str = "producer"
    ) -> int:
        """Throw dead letters away, readable or not; returns how many. At most `CHUNK` of them.

        Args:
            task_ids: Which.
            until_us: Leave those that were buried later, Unix µs.
            keep: How many dead letters must stay on the queue, whoever else purges at the same time.
            source: Who does it: "producer", or "reaper" where nobody asked.
        """
        ids = map(_raw, dict.fromkeys(task_ids))
        return int(self._change("purge", [until_us, keep, source, self._where(), *ids]))

    def trim_dead(self, keep: int) -> int:
        """Purge the oldest dead letters beyond `keep`, at most `CHUNK` of them; returns how many."""
        surplus = int(self._links.get().read("ZCARD", self._keys["dead"])) - keep
        if surplus <= 0:
            return 0
        oldest = self.dead_ids(min(surplus, CHUNK))
        return self.purge([grave.task_id for grave in oldest], keep=keep, source="reaper")

    def _change(self, script: str, args: Sequence[Any], extra_keys: Sequence[bytes] = ()) -> Any:
        return self._links.get().call(self._scripted(script, args, extra_keys))

    def _read(self, script: str, args: Sequence[Any]) -> Any:
        return self._links.get().idempotent(self._scripted(script, args, ()))


def _follows(grave: Grave, last: Grave | None, *, newest_first: bool) -> bool:
    if last is None:
        return True
    place, known = (grave.at_us, grave.task_id), (last.at_us, last.task_id)
    return place < known if newest_first else place > known


def _text(task_id: bytes) -> str:
    """Any bytes as text, and back by `_raw`: what is no id of ours can still be thrown away."""
    return task_id.decode("utf-8", "surrogateescape")


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
