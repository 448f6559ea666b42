"""Enqueueing: the part of a queue that puts calls on it, each write under a number that makes it repeatable."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, overload

from . import canvas, wire
from .callbacks import Callbacks
from .canvas import Placed, Plan, Work, chord, group
from .emitter import Speaker
from .errors import CannotCarry, ConfigurationError, OutcomeUnknown, RedisError
from .immediate import InlineWorker
from .results import ChordResult, Result, ResultGroup
from .sampling import RootSampler
from .signals import SIGNAL_ENQUEUED
from .storage.base import GroupParcel, Membership, Parcel
from .storage.producing import Sending
from .storage.redis import RedisStorage
from .task import Task, as_seconds, as_timestamp, checked_id
from .tracecontext import Allowance
from .tracing import Departure, Tracing, departure
from .write_spans import Place, WriteSpans

ENQUEUE_BATCH: Final = 500
"""How many calls `enqueue_many` sends in one write: Redis does nothing else meanwhile."""

_NO_TRACING: Final = Tracing()
_NEVER: Final = RootSampler(0.0)


class _Write(NamedTuple):
    """What is put on the queue at once.

    Attributes:
        parcels, groups: Its tasks and groups, encoded.
        holder: The call that keeps the number of the write.
        tasks: The calls that are on the queue when it is done.
    """

    parcels: Sequence[Parcel]
    groups: Sequence[GroupParcel]
    holder: Task
    tasks: Sequence[Task]

    @property
    def everything(self) -> list[Parcel]:
        """All that an immediate queue has to run."""
        return [*self.parcels, *(group.callback for group in self.groups)]


class _Begun(NamedTuple):
    """A write on its way; `repeated`: its holder had a number from an earlier try."""

    write: _Write
    repeated: bool
    sending: Sending


class Enqueueing(Callbacks):
    """A queue on which calls can be put.

    Attributes:
        name: The queue's name.
        storage: Of the queue.
        serializer: Of the queue.
        max_redeliveries: How many lost workers a task may survive before it is a dead letter.
        message_limit: Bytes that the message of a call may have.
        tracing: How its tasks are traced; None: they are not.
        sampler: Which of the traces that begin here are recorded.
    """

    name: str
    storage: RedisStorage
    serializer: wire.Serializer
    max_redeliveries: int
    message_limit: int
    tracing: Tracing | None
    sampler: RootSampler

    def __init__(self) -> None:
        super().__init__()
        self._inline: InlineWorker | None = None  # while the queue is immediate

    @property
    def speaker(self) -> Speaker:
        """Who this process is in events."""
        raise NotImplementedError

    @overload
    def enqueue(self, task: Task) -> Result[Any] | ResultGroup: ...

    @overload
    def enqueue(self, task: group) -> ResultGroup: ...

    @overload
    def enqueue(self, task: chord) -> ChordResult: ...

    def enqueue(self, task: Work) -> Result[Any] | ResultGroup | ChordResult:
        """Put a call, a pipeline, a group or a chord on the queue, all of it in one write.

        Returns:
            The handle of a call; a `ResultGroup` of the stages of a pipeline or the members of a group.

        Raises:
            CannotCarry: An argument does not fit the wire format, the message names it; or the call is larger
                than `message_limit`. Nothing was enqueued.
            RedisUnavailable: Redis cannot be reached; nothing was enqueued.
            OutcomeUnknown: The answer never came, to this try or to one before it. Enqueueing the very same object
                again is safe.
            RedisRefused: Redis answered with an error; nothing was enqueued.
            ConfigurationError: Calls of several queues, or one call twice.
        """
        self._carry_out(self._planned(canvas.plan(task), _holder_of_receipt(task)))
        return self._results_of(task)

    def enqueue_call(self, task: Task) -> Result[Any]:
        """`enqueue` for a call that nothing follows."""
        self._carry_out(_Write([self.parcel(task)], (), task, [task]))
        return self._handle(task)

    def enqueue_many(self, tasks: Iterable[Task]) -> ResultGroup:
        """Put many calls on the queue in few writes, each of which is done whole or not at all.

        Raises:
            OutcomeUnknown: The answer to one write never came; the calls before it are on the queue. Enqueueing the
                very same objects again is safe for those of that write: those done before are refused by their id.
        """
        handles: list[Result[Any]] = []
        tracing = self.tracing or Tracing()
        allowance = Allowance(tracing.fanout)
        with contextlib.ExitStack() as before:  # while Redis does one write, the next is made
            for batch in _batches(tasks):
                write = self._planned(canvas.plan(group(batch)), batch[0], allowance)
                before.close()
                begun = self._begin(write)
                if begun.sending.posted:
                    before.callback(self._finish, begun)
                else:
                    self._finish(begun)
                handles += [self._handle(task) for task in batch]
        return ResultGroup(handles)

    async def aenqueue(self, task: Work) -> Result[Any] | ResultGroup | ChordResult:
        """`enqueue` without blocking the event loop."""
        return await asyncio.to_thread(self.enqueue, task)

    def _planned(self, plan: Plan, holder: Task, allowance: Allowance | None = None) -> _Write:
        leaving, spans = self._leaving(plan.tasks[0].task, len(plan.tasks), allowance)
        parcels = [
            self._placed(placed, leaving, spans, spans.place(placed.task, at))
            for at, placed in enumerate(plan.tasks)
        ]
        groups = [
            GroupParcel(
                name, size, self._placed(callback, leaving, spans, spans.callback(callback.task), now=False)
            )
            for name, size, callback in plan.groups
        ]
        return _Write(parcels, groups, holder, [placed.task for placed in plan.tasks])

    def _carry_out(self, write: _Write) -> None:
        self._finish(self._begin(write))

    def _begin(self, write: _Write) -> _Begun:
        """Send one write, under the number that its holder keeps until we know how it went."""
        if self._inline is not None:
            self._inline.check(write.everything)
        holder = write.holder
        repeated = holder.receipt is not None
        holder.receipt = holder.receipt or self.storage.producing.new_receipt()
        return _Begun(
            write, repeated, self.storage.producing.begin(write.parcels, holder.receipt, write.groups)
        )

    def _finish(self, begun: _Begun) -> None:
        """Tell of the tasks that are on the queue now, and have an immediate queue run them."""
        write = begun.write
        self._know(begun)
        if self.signals:
            for task in write.tasks:
                self.signals.send(SIGNAL_ENQUEUED, task)
        if self._inline is not None:
            self._inline.run(write.everything)

    def _know(self, begun: _Begun) -> None:
        holder = begun.write.holder
        try:
            self.storage.producing.finish(begun.sending)
        except RedisError as error:
            # Whatever this try came to, one before it may have arrived: its number is good for another.
            if isinstance(error, OutcomeUnknown) or begun.repeated:
                raise self._unknown(holder, error) from error
            holder.receipt = None
            raise
        except ConfigurationError:
            holder.receipt = None
            raise
        holder.receipt = None

    def _leaving(
        self, first: Task, count: int = 1, allowance: Allowance | None = None
    ) -> tuple[Departure, WriteSpans]:
        """Where a write of so many tasks is made, and its spans."""
        if self.tracing is None:
            return Departure(), WriteSpans(_NO_TRACING, _NEVER, Departure(), first, count)
        leaving = departure(self.tracing)
        return leaving, WriteSpans(self.tracing, self.sampler, leaving, first, count, allowance)

    def _placed(
        self, placed: Placed, leaving: Departure, spans: WriteSpans, at: Place, *, now: bool = True
    ) -> Parcel:
        place = placed.place
        membership = Membership(place.group_id, place.at, place.size) if place else None
        return self._parcel(
            placed.task, leaving, spans, at, membership=membership, gathers=placed.gathers, now=now
        )

    def _results_of(self, work: Work) -> Result[Any] | ResultGroup | ChordResult:
        match work:
            case Task():
                handles = [self._handle(stage) for stage in canvas.stages(work)]
                return handles[0] if len(handles) == 1 else ResultGroup(handles)
            case group():
                return ResultGroup([self._last_result_of(member) for member in work.tasks])
            case chord():
                members = [self._last_result_of(member) for member in work.tasks]
                pipeline = [self._handle(stage) for stage in canvas.stages(work.callback)]
                return ChordResult(members, pipeline[0], ResultGroup(pipeline) if pipeline[1:] else None)

    def _last_result_of(self, member: Task | chord) -> Result[Any]:
        *_, last = canvas.stages(member.callback if isinstance(member, chord) else member)
        return self._handle(last)

    def _handle(self, task: Task) -> Result[Any]:
        return Result(self.storage, self.serializer, task.id, functools.partial(self._enqueue_again, task))

    def _enqueue_again(
        self,
        task: Task,
        *,
        eta: dt.datetime | None = None,
        delay: float | dt.timedelta | None = None,
        expires: float | dt.timedelta | dt.datetime | None = None,
        priority: int | None = None,
        preserve_pipeline: bool = True,
    ) -> Result[Any]:
        changes: dict[str, Any] = {"expires": expires, "priority": priority}
        again = replace(
            task,
            id=checked_id(None),
            options=replace(
                task.options, **{key: value for key, value in changes.items() if value is not None}
            ),
            execute_at=None if eta is None else as_timestamp(eta),
            delay=None if delay is None else as_seconds(delay),
            on_complete=_anew(task.on_complete) if preserve_pipeline else None,
            on_error=_anew(task.on_error) if preserve_pipeline else None,
            receipt=None,
        )
        self.enqueue(again)
        return self._handle(again)

    def _unknown(self, task: Task, error: RedisError) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"task {task.id} ({task.name}) may or may not be on queue {self.name!r}: {error}. "
            "Enqueueing the same task object again is safe.",
            task.id,
        )

    def parcel(self, task: Task, periodic: str = "") -> Parcel:
        """Encode a call; raises CannotCarry, also for one that is larger than the queue's limit."""
        leaving, spans = self._leaving(task)
        return self._parcel(task, leaving, spans, spans.place(task), periodic=periodic)

    def _parcel(
        self,
        task: Task,
        leaving: Departure,
        spans: WriteSpans,
        place: Place,
        *,
        periodic: str = "",
        membership: Membership | None = None,
        gathers: str = "",
        now: bool = True,
    ) -> Parcel:
        """Encode a call and all that follows it; `now`: it goes on the queue in this very write."""
        options = task.options
        body = wire.encode_call(
            task.name,
            task.args,
            task.kwargs,
            serializer=self.serializer,
            backoff=options.backoff,
            trace_state=spans.state,
            timeout=options.timeout or 0.0,
            due=None if task.due is None else task.due.timestamp(),
            headers=leaving.headers,
        )
        if len(body) > self.message_limit:
            raise CannotCarry(
                f"{task.name}(): its message has {len(body):,} bytes, the limit is {self.message_limit:,}: "
                "store the data elsewhere and pass where it is, or give the queue a higher message_limit"
            )
        expires_at, expires_in = _expiry(options.expires)
        follower = functools.partial(self._follower, leaving, spans, place)
        return Parcel(
            id=task.id,
            name=task.name,
            body=body,
            retries=options.retries,
            retry_delay=options.retry_delay,
            priority=options.priority,
            max_redeliveries=self.max_redeliveries,
            trace_id=place.trace_id,
            span_id=place.span_id,
            trace_flags=spans.flags,
            trace_state=spans.state,
            traced_at=place.traced_at,
            span_start_ns=spans.now_ns if now else 0,
            where=self.speaker.where,
            parent_span_id=place.parent_span_id,
            enqueue_span=place.enqueue_span,
            origin=place.origin,
            execute_at=task.execute_at,
            delay=task.delay,
            periodic=periodic,
            expires_at=expires_at,
            expires_in=expires_in,
            group=membership,
            gathers=gathers,
            on_success=follower(task.on_complete, membership) if task.on_complete else None,
            on_error=follower(task.on_error) if task.on_error else None,
        )

    def _follower(
        self,
        leaving: Departure,
        spans: WriteSpans,
        before: Place,
        task: Task,
        membership: Membership | None = None,
    ) -> Parcel:
        at = spans.follower(task, before)
        return self._parcel(task, leaving, spans, at, membership=membership, now=False)


def _batches(tasks: Iterable[Task]) -> Iterator[list[Task]]:
    tasks = iter(tasks)
    while batch := list(itertools.islice(tasks, ENQUEUE_BATCH)):
        yield batch


def _holder_of_receipt(work: Work) -> Task:
    """The call that keeps the number of a write for repeating it: the same one whenever the same work is sent."""
    match work:
        case Task():
            return work
        case group():
            if not work.tasks:
                raise ConfigurationError("the group is empty: there is nothing to enqueue")
            return _holder_of_receipt(work.tasks[0])
        case chord():
            return work.callback


def _anew(task: Task | None) -> Task | None:
    """A copy of a call and of all that follows it, under new ids."""
    if task is None:
        return None
    return replace(
        task,
        id=checked_id(None),
        on_complete=_anew(task.on_complete),
        on_error=_anew(task.on_error),
        receipt=None,
    )


def _expiry(expires: float | dt.timedelta | dt.datetime | None) -> tuple[float | None, float | None]:
    """When a task expires: Unix seconds, or seconds from its enqueueing; None for never."""
    if expires is None:
        return None, None
    if isinstance(expires, dt.datetime):
        return as_timestamp(expires), None
    return None, as_seconds(expires)
