"""The tasks that failed for good: list them, read why, give them a new life, or throw them away."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Protocol

from . import wire
from .contents import Arguments, arguments_of
from .errors import ConfigurationError, UndecodableMessage
from .storage.administration import CHUNK, EVER, Administration, Grave
from .storage.stored import Stored
from .task import as_seconds

_PAGE: Final = 200
UNREADABLE: Final = "limelight.errors.UndecodableMessage"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A task that failed for good. Times are Unix seconds by Redis' clock.

    Attributes:
        id: UUID text.
        task: Friendly name; None where its record cannot be read: it can be purged, not requeued.
        arguments: Of the call, or why they cannot be shown.
        error_type, error_message: Why it was buried; "" where that is not known any more.
        traceback: Of its last failure, None where there is none (any more).
        buried_at: When it became a dead letter.
        enqueued_at: When its last life began; None where unknown.
        run: How often it was started.
        attempt: How many attempts its last life had.
        redeliveries: How many lost workers it survived.
        priority: As it was enqueued.
        trace_id: Of the trace that tells of it, "" where unknown.
        host, worker: Where it ran last.
        size: Bytes that it takes in Redis.
        cursor: Its place in the list, for `DeadLetters.page`.
    """

    id: str
    task: str | None
    arguments: Arguments
    error_type: str
    error_message: str
    traceback: str | None
    buried_at: float
    enqueued_at: float | None
    run: int
    attempt: int
    redeliveries: int
    priority: int
    trace_id: str
    host: str | None
    worker: str | None
    size: int
    cursor: str


class Storage(Protocol):
    """What dead letters need of their queue's storage."""

    @property
    def administration(self) -> Administration:
        """The transitions."""
        ...

    def result(self, task_id: str) -> tuple[bytes | None, bool]:
        """The stored result of a task, and whether one may still come."""
        ...


class DeadLetters:
    """The dead letters of one queue; iterating goes from the newest to the oldest.

    ::

        for letter in queue.dead:
            print(letter.task, letter.arguments, letter.error_type, letter.error_message)
        queue.dead.requeue_all(task="send_email")

    Changes are made in chunks, each one atomic write that tells what it does. What is buried while one of the
    ``…_all`` methods runs is left alone, so none of them runs for ever. All may be repeated.

    Args:
        storage: Of the queue.
        serializer: Of the queue; arguments that another one wrote are not shown.
    """

    def __init__(self, storage: Storage, serializer: wire.Serializer) -> None:
        self._storage = storage
        self._serializer = serializer

    @property
    def _redis(self) -> Administration:
        return self._storage.administration

    # -- Reading ----------------------------------------------------------------------------------------
    def __len__(self) -> int:
        return self._redis.counts().dead

    def __bool__(self) -> bool:
        return len(self) > 0

    def __iter__(self) -> Iterator[DeadLetter]:
        after: Grave | None = None
        while graves := self._redis.dead_ids(_PAGE, beyond=after, newest_first=True):
            yield from self._letters(graves)
            after = graves[-1]

    def page(self, limit: int = 50, after: str = "", task: str | None = None) -> list[DeadLetter]:
        """Some dead letters, newest first.

        Args:
            limit: How many at most.
            after: The `DeadLetter.cursor` of the last one seen; "" to begin with the newest.
            task: Only those of this name.

        Raises ConfigurationError for a cursor that is none.
        """
        found: list[DeadLetter] = []
        beyond = _grave(after) if after else None
        while len(found) < limit:
            graves = self._redis.dead_ids(_PAGE if task else limit, beyond=beyond, newest_first=True)
            if not graves:
                break
            found += [letter for letter in self._letters(graves) if task is None or letter.task == task]
            beyond = graves[-1]
        return found[:limit]

    def get(self, id: str) -> DeadLetter | None:  # noqa: A002 - Huey's name for it everywhere
        """One dead letter, with its traceback as long as that or the task's result is kept; None if it is none."""
        (stored,) = self._redis.look([id])
        if stored is None or stored.buried_us is None:
            return None
        letter = self._letter(stored, stored.buried_us)
        return letter if letter.traceback else replace(letter, traceback=self._stored_traceback(id))

    def find(self, prefix: str) -> list[str]:
        """Ids of the dead letters that begin so, newest first. It walks over all ids, not over their records."""
        return [grave.task_id for grave in self._walk(EVER) if grave.task_id.startswith(prefix)][::-1]

    def _letters(self, graves: list[Grave]) -> Iterator[DeadLetter]:
        stored = self._redis.look([grave.task_id for grave in graves])
        for grave, one in zip(graves, stored, strict=True):
            if one is not None and one.buried_us is not None:
                yield self._letter(one, grave.at_us)

    def _letter(self, stored: Stored, buried_us: int) -> DeadLetter:
        record, reason = stored.record, stored.reason
        unreadable = "its record is unreadable"
        return DeadLetter(
            id=stored.id,
            task=record.name if record else None,
            arguments=arguments_of(record, self._serializer) if record else Arguments(hidden=unreadable),
            error_type=reason.error_type or ("" if record else UNREADABLE),
            error_message=reason.error_message or ("" if record else unreadable),
            traceback=reason.traceback,
            buried_at=buried_us / 1e6,
            enqueued_at=record.enqueued_at if record else None,
            run=record.run if record else 0,
            attempt=record.attempt if record else 0,
            redeliveries=record.redeliveries if record else 0,
            priority=record.priority if record else 0,
            trace_id=record.trace_id if record else "",
            host=record.place.host if record else None,
            worker=record.place.worker if record else None,
            size=stored.size,
            cursor=f"{buried_us}:{stored.id}",
        )

    def _stored_traceback(self, task_id: str) -> str | None:
        data, _ = self._storage.result(task_id)
        if data is None:
            return None
        try:
            _, error = wire.decode_result(data, self._serializer)
        except UndecodableMessage:
            return None
        traceback = (error or {}).get("traceback")
        return traceback if isinstance(traceback, str) else None

    # -- Changing ---------------------------------------------------------------------------------------
    def requeue(self, *ids: str) -> int:
        """Give dead letters a new life: ready at once, with all their retries, told as `enqueued`.

        Returns how many; what is no dead letter (any more) or cannot be read is passed over.
        """
        return sum(self._requeued(list(chunk)) for chunk in _chunks(dict.fromkeys(ids)))

    def requeue_all(self, task: str | None = None) -> int:
        """The same for all, or for all of one task, the oldest first; returns how many."""
        return sum(self.requeue_steps(task))

    def requeue_steps(self, task: str | None = None) -> Iterator[int]:
        """`requeue_all` chunk by chunk, as it is iterated over; yields how many each requeued."""
        until_us = self._redis.now_us()
        for ids in self._chosen(until_us, task):
            yield self._requeued(ids, until_us)

    def _requeued(self, ids: list[str], until_us: int = EVER) -> int:
        return self._redis.requeue(ids, until_us=until_us).count(1)

    def purge(self, *ids: str) -> int:
        """Throw dead letters away for good, told as `purged`; returns how many there were."""
        return sum(self._redis.purge(list(chunk)) for chunk in _chunks(dict.fromkeys(ids)))

    def purge_all(
        self, task: str | None = None, older_than: float | dt.timedelta | dt.datetime | None = None
    ) -> int:
        """The same for all.

        Args:
            task: Only those of this name.
            older_than: Only those buried longer ago than this (seconds or a timedelta) or before this moment.

        Returns:
            How many were thrown away.
        """
        return sum(self.purge_steps(task, older_than))

    def purge_steps(
        self, task: str | None = None, older_than: float | dt.timedelta | dt.datetime | None = None
    ) -> Iterator[int]:
        """`purge_all` chunk by chunk, as it is iterated over; yields how many each threw away."""
        until_us = self._before(older_than)
        for ids in self._chosen(until_us, task):
            yield self._redis.purge(ids, until_us=until_us)

    def count(
        self, task: str | None = None, older_than: float | dt.timedelta | dt.datetime | None = None
    ) -> int:
        """How many `purge_all` would throw away."""
        return sum(len(ids) for ids in self._chosen(self._before(older_than), task))

    def _before(self, older_than: float | dt.timedelta | dt.datetime | None) -> int:
        if isinstance(older_than, dt.datetime):
            return round(older_than.timestamp() * 1e6)
        return self._redis.now_us() - round(as_seconds(older_than or 0.0) * 1e6)

    def _chosen(self, until_us: int, task: str | None) -> Iterator[list[str]]:
        for graves in self._pages(until_us):
            ids = [grave.task_id for grave in graves]
            if task is not None:
                stored = zip(ids, self._redis.look(ids, bodies=False), strict=True)
                ids = [task_id for task_id, one in stored if one and one.record and one.record.name == task]
            if ids:
                yield ids

    def _walk(self, until_us: int) -> Iterator[Grave]:
        for graves in self._pages(until_us):
            yield from graves

    def _pages(self, until_us: int) -> Iterator[list[Grave]]:
        beyond: Grave | None = None
        while graves := self._redis.dead_ids(CHUNK, beyond=beyond, until_us=until_us):
            yield graves
            beyond = graves[-1]


def _chunks(ids: dict[str, None]) -> Iterator[list[str]]:
    listed = list(ids)
    for at in range(0, len(listed), CHUNK):
        yield listed[at : at + CHUNK]


def _grave(cursor: str) -> Grave:
    at, _, task_id = cursor.partition(":")
    if not at.isdigit() or not task_id:
        raise ConfigurationError(f"{cursor!r} is no cursor: take that of the last dead letter you have seen")
    return Grave(int(at), task_id)
