"""What an operator asks of a queue and does to it; the base of the queue classes, under Huey's names."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator
from typing import Any, Final, Protocol

from . import wire
from .contents import TaskState, state_of, task_of
from .dead_letters import DeadLetters
from .errors import ConfigurationError
from .lifecycle import State
from .storage.administration import CHUNK, WAITING, Administration, Cancellation
from .storage.values import Values
from .task import Task, as_seconds

_PAGE: Final = 200
_VALUES: Final = wire.MessagePack()
"""Values of applications never travel as pickle, whatever serializer their queue has."""


class Storage(Protocol):
    """What administration needs of a queue's storage."""

    @property
    def administration(self) -> Administration:
        """The transitions."""
        ...

    @property
    def values(self) -> Values:
        """The application's own values."""
        ...

    def result(self, task_id: str) -> tuple[bytes | None, bool]:
        """The stored result of a task, and whether one may still come."""
        ...


class Administered:
    """A queue that can be looked at, flushed, paused, and rid of its dead letters.

    Attributes:
        storage: Of the queue.
        serializer: Of the queue.
        result_ttl_ms: How long results, and values that are put without a time of their own, are kept.
    """

    storage: Storage
    serializer: wire.Serializer
    result_ttl_ms: int

    # -- Looking ----------------------------------------------------------------------------------------
    def __len__(self) -> int:
        return self.pending_count()

    def __bool__(self) -> bool:
        return True  # an empty queue is still a queue

    def pending_count(self) -> int:
        """How many tasks wait for a worker; those that one holds already are not among them."""
        return self.storage.administration.counts().ready

    def scheduled_count(self) -> int:
        """How many tasks wait for their time."""
        return self.storage.administration.counts().scheduled

    def pending(self, limit: int | None = None) -> list[Task]:
        """The tasks that wait for a worker, in the order in which they will run.

        Without a limit that is all of them. What cannot be read back as a task (another serializer, an unreadable
        record) is left out; `task_state` tells of it.
        """
        return list(itertools.islice(self._tasks(State.READY), limit))

    def scheduled(self, limit: int | None = None) -> list[Task]:
        """The tasks that wait for their time, those first that are due first; as `pending`."""
        both = itertools.chain(
            itertools.islice(self._tasks(State.DELAYED), limit),
            itertools.islice(self._tasks(State.SCHEDULED), limit),
        )
        return sorted(both, key=lambda task: task.execute_at or 0.0)[:limit]

    def _tasks(self, state: State) -> Iterator[Task]:
        redis = self.storage.administration
        for start in itertools.count(0, _PAGE):
            ids = redis.waiting_ids(state, start, _PAGE)
            for stored in redis.look(ids):
                task = task_of(stored, self.serializer) if stored else None
                if task is not None:
                    yield task
            if len(ids) < _PAGE:
                return

    def task_state(self, id: str) -> TaskState | None:  # noqa: A002 - Huey's name for it everywhere
        """Where a task is now; None if the queue holds nothing of it: it has ended, or never came."""
        (stored,) = self.storage.administration.look([id], bodies=False)
        return None if stored is None else state_of(stored)

    @property
    def dead(self) -> DeadLetters:
        """The tasks that failed for good."""
        return DeadLetters(self.storage, self.serializer)

    # -- Changing ---------------------------------------------------------------------------------------
    def flush(self, ready: bool = True, scheduled: bool = True) -> int:
        """Take everything off the queue that waits; each task is told as `canceled`.

        What a worker holds, dead letters, results and values stay. It ends when nothing waits; what producers bring
        meanwhile goes too.

        Args:
            ready: Take what waits for a worker.
            scheduled: Take what waits for its time.

        Returns:
            How many tasks were canceled.
        """
        return sum(step.canceled for step in self.flush_steps(ready=ready, scheduled=scheduled))

    def flush_steps(self, *, ready: bool = True, scheduled: bool = True) -> Iterator[Cancellation]:
        """`flush` chunk by chunk, as it is iterated over; yields what each did."""
        for state in WAITING:
            if ready if state is State.READY else scheduled:
                yield from self._flushed(state)

    def _flushed(self, state: State) -> Iterator[Cancellation]:
        redis, stuck = self.storage.administration, list[str]()
        while (ids := redis.waiting_ids(state, 0, CHUNK)) and ids != stuck:
            step = redis.cancel(ids)
            yield step
            # Workers may have been faster; but what two looks find and nobody can take is in no state to be canceled.
            stuck = [] if step.canceled or step.unreadable else ids

    def cancel(self, *ids: str) -> int:
        """Take tasks that wait off the queue, each told as `canceled`; returns how many waited."""
        chunks = (ids[at : at + CHUNK] for at in range(0, len(ids), CHUNK))
        return sum(self.storage.administration.cancel(chunk).canceled for chunk in chunks)

    def pause(self) -> bool:
        """Have workers begin nothing new, in all consumers; what runs goes on. False if it was so before."""
        return self.storage.administration.pause()

    def resume(self) -> bool:
        """Have workers go on; False if the queue was not paused."""
        return self.storage.administration.resume()

    @property
    def paused(self) -> float | None:
        """Since when the queue is paused (Unix seconds by Redis' clock); None if it is not."""
        return self.storage.administration.paused()

    # -- Values -----------------------------------------------------------------------------------------
    def put(self, key: str, data: Any, ttl: float | dt.timedelta | None = None) -> None:
        """Keep a value beside the queue, over whatever has that key.

        Args:
            key: Any text.
            data: A plain value; pickle is never used.
            ttl: Seconds (or a timedelta) that it stays; by default as long as a result.

        Raises:
            CannotCarry: It does not fit the wire format; the message names the part.
            OutcomeUnknown: The answer never came.
        """
        self.storage.values.put(key, _encoded(data), self._ttl_ms(ttl))

    def put_if_empty(self, key: str, data: Any, ttl: float | dt.timedelta | None = None) -> bool:
        """Keep a value unless the key has one; True for exactly one of many who try. As `put`."""
        return self.storage.values.put_if_empty(key, _encoded(data), self._ttl_ms(ttl))

    def get(self, key: str, peek: bool = False) -> Any:
        """The value of a key, None for none. It is removed, as in Huey, unless `peek` is true.

        Raises UndecodableMessage for bytes that `put` did not write.
        """
        data = self.storage.values.peek(key) if peek else self.storage.values.pop(key)
        return None if data is None else wire.decode_result(data, _VALUES)[0]

    def delete(self, key: str) -> bool:
        """Remove a value; False if there was none."""
        return self.storage.values.delete(key)

    def _ttl_ms(self, ttl: float | dt.timedelta | None) -> int:
        return self.result_ttl_ms if ttl is None else max(1, round(as_seconds(ttl) * 1000))


def _encoded(data: Any) -> bytes:
    return wire.encode_result(data, _VALUES)


def checked_max_dead(count: int | None) -> int | None:
    """Return the limit of dead letters, or raise ConfigurationError: a whole number from 0, None for no limit."""
    if count is not None and (type(count) is not int or count < 0):
        raise ConfigurationError(
            f"max_dead must be a whole number from 0, or None for no limit, not {count!r}"
        )
    return count
