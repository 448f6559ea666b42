"""The spans of one write: in which span each of its tasks is enqueued, and where their runs hang."""

from __future__ import annotations

import functools
import time
from typing import NamedTuple

from .sampling import RootSampler
from .storage.base import EnqueueSpan, SpanIds
from .task import Task
from .tracecontext import Allowance, new_span_id, new_trace_id, trace_id_of
from .tracing import LINK, Departure, Tracing


class Place(NamedTuple):
    """Where in which trace a task is; as in `Parcel`."""

    trace_id: str
    span_id: str
    traced_at: float
    parent_span_id: str = ""
    enqueue_span: EnqueueSpan | None = None
    origin: SpanIds | None = None


class WriteSpans:
    """One enqueue span for all that is enqueued at once.

    Args:
        tracing: How the queue is traced.
        sampler: Decides where a trace begins here.
        departure: Where it is enqueued.
        first: Of the tasks; its id is that of a trace that begins here.
        count: How many tasks.
        allowance: How many of them may be children; None: as many as the run has left in which they are enqueued, or
            if there is none, as many as the queue allows.

    Attributes:
        now_ns: When the write began, by our clock.
        flags, state: Of the trace.
    """

    def __init__(
        self,
        tracing: Tracing,
        sampler: RootSampler,
        departure: Departure,
        first: Task,
        count: int = 1,
        allowance: Allowance | None = None,
    ) -> None:
        parent = departure.parent
        allowance = departure.allowance or allowance
        if allowance is None and count > 1:
            allowance = Allowance(tracing.fanout)
        self.now_ns = time.time_ns()
        self._mode = tracing.mode
        self._children = count if allowance is None else allowance.take(count)
        self._traced_at = now = self.now_ns / 1e9
        parent_span_id, within = "", ""
        links: tuple[SpanIds, ...] = ()
        if parent is not None and self._children:
            trace_id, parent_span_id, within = parent.trace_id, parent.span_id, departure.within
            self._traced_at = now if parent.started_at is None else parent.started_at
        else:
            trace_id = new_trace_id() if self._links(first) else trace_id_of(first.id)  # that is its run's
            links = () if parent is None else (SpanIds(parent.trace_id, parent.span_id),)
        self.flags = sampler.flags(trace_id) if parent is None else parent.flags
        self.state = "" if parent is None else parent.state
        self._span = span = EnqueueSpan(trace_id, new_span_id(), parent_span_id, links, count, within)
        self._ids = SpanIds(span.trace_id, span.span_id)

    def place(self, task: Task, at: int = 0) -> Place:
        """Where a task is that is put on the queue at once.

        Args:
            task: Which.
            at: Which of the write, from 0.
        """
        span = self._span
        if self._links(task):
            told = EnqueueSpan(span.trace_id, "", span.span_id) if at else span
            return self._root(task, told, self._ids)
        if at == 0:
            own = None if span.batch == 1 and not span.links and not span.within else span
            return Place(span.trace_id, span.span_id, self._traced_at, span.parent_span_id, own)
        if at < self._children:
            return self._member
        return self._root(task, EnqueueSpan(trace_id_of(task.id), ""), self._ids)

    @functools.cached_property
    def _member(self) -> Place:
        """Where all of a bulk are that are its children."""
        span = self._span
        told = EnqueueSpan(span.trace_id, "", span.span_id)
        return Place(span.trace_id, span.span_id, self._traced_at, span.span_id, told)

    def callback(self, task: Task) -> Place:
        """Where the callback of a group is: beside its members."""
        return self.follower(task, Place(self._span.trace_id, self._span.span_id, self._traced_at))

    def follower(self, task: Task, before: Place) -> Place:
        """Where a task is that will follow another: a child of its last run, once there is one."""
        span_id = new_span_id()
        if self._links(task):
            told = EnqueueSpan(before.trace_id, span_id, before.span_id)
            return self._root(task, told, SpanIds(before.trace_id, span_id))
        return Place(before.trace_id, span_id, before.traced_at, before.span_id)

    def _links(self, task: Task) -> bool:
        return (task.options.trace_mode or self._mode) == LINK

    def _root(self, task: Task, told: EnqueueSpan, origin: SpanIds) -> Place:
        return Place(trace_id_of(task.id), "", self.now_ns / 1e9, "", told, origin)
