"""Exports the spans that the streams tell of, in a thread and at a pace of its own.

The cursor moves after the collector said yes; until then everything is still on the stream, so nothing is kept in
memory but one batch, and a collector that is away delays no metric.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import dataclass
from typing import Final

from limelight.errors import ConfigurationError, LimelightError, RedisError
from limelight.events import Event
from limelight.packed_event import decoders
from limelight.storage.links import Links

from . import catalog
from .config import Settings
from .connection import connect, explain, exported_queues
from .leadership import Leadership, trace_reader
from .ops import SpanRecord
from .ports import Delivery, SpanSink, Tally
from .snapshot import Cursor, Saved
from .spans import goes_out, span_of, tells_of_a_span
from .stream_source import Batch, Position, StreamSource
from .trace_keep import NOTHING, TraceKeep

BATCH_EVENTS: Final = 512
POLL_SECONDS: Final = 0.5
SAVE_SECONDS: Final = 5.0
REFRESH_SECONDS: Final = 30.0
LONGEST_BACK_OFF_SECONDS: Final = 30.0
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class BackOff:
    """Doubling waits up to 30 s, spread so that exporters do not knock together."""

    failures: int = 0
    until: float = float("-inf")

    @property
    def is_over(self) -> bool:
        """Whether it is time to try again."""
        return time.monotonic() >= self.until

    def failed(self, wait_seconds: float | None = None) -> None:
        """Wait longer than the last time, or as long as somebody asked for."""
        self.failures += 1
        if wait_seconds is None:
            longest = min(LONGEST_BACK_OFF_SECONDS, 0.5 * 2.0 ** min(self.failures, 10))
            wait_seconds = longest * (0.5 + random.random() / 2)
        self.until = time.monotonic() + wait_seconds

    def succeeded(self) -> None:
        """Begin anew."""
        self.failures, self.until = 0, float("-inf")


@dataclass(slots=True)
class _Read:
    """A batch, and what is in it for a collector.

    Attributes:
        left_out: Reason → spans that are not sent.
    """

    batch: Batch[Event]
    records: list[SpanRecord]
    left_out: dict[str, int]


class QueueTraces:
    """One queue's spans, from its cursor to the tail of its stream.

    Attributes:
        queue: Its name.
        rest: How long it is left alone, because the collector does not take a batch of it.

    Args:
        links: The way to Redis.
        queue: Name of the queue.
        group: Exporter group; its members share the cursor.
        sink: Where spans go.
        tally: Counts dropped spans, and shows the lag.
        keep: Which runs go out although they are not sampled.
    """

    def __init__(
        self, links: Links, queue: str, group: str, sink: SpanSink, tally: Tally, keep: TraceKeep = NOTHING
    ) -> None:
        self.queue = queue
        self.rest = BackOff()
        self._source = StreamSource(links, queue, decoders(queue))
        self._cursor = Cursor(links, queue, trace_reader(group))
        self._sink, self._tally, self._keep = sink, tally, keep
        self._position: Position | None = None
        self._saved: Position | None = None
        self._saved_seconds = float("-inf")

    def step(self) -> bool:
        """Read a batch and export its spans; True if there is more to read at once.

        Raises:
            NotTaken: The collector did not take the batch; the position stays.
            RedisError: No answer from Redis, or an error for one.
        """
        if self._position is None:
            self._position = self._saved = self._cursor.load() or self._registered()
        read = self._read(self._source.read(self._position, BATCH_EVENTS))
        self._show_lag(read.batch)
        if read.records:
            delivery = self._sink.export(read.records)
            if not delivery.done:
                raise NotTaken(self.queue, delivery)
        self.rest.succeeded()
        for reason, count in read.left_out.items():  # now, so that a repeat counts nothing twice
            self._tally.add(catalog.SPANS_DROPPED, (reason,), count)
        self._position = read.batch.position
        if read.records or self._is_save_due():
            self.save()
        return read.batch.more

    def save(self) -> None:
        """Save the position; where another exporter of the group is further on, go on from there."""
        if self._position is None or not self._position.begun:
            return
        outcome = self._cursor.save(self._position)
        self._tally.add(catalog.READERS_FORGOTTEN, (self.queue,), self._cursor.take_forgotten())
        if outcome in {Saved.BEHIND, Saved.OUTRANKED}:
            self._position = self._cursor.load() or self._position
        self._saved, self._saved_seconds = self._position, time.monotonic()

    def leave(self) -> None:
        """Another exporter leads: forget where we were, it will be further on. What is to send is no longer our lag."""
        if self._position is not None:
            self._position = None
            self._tally.set(catalog.SPAN_LAG, (self.queue,), 0)

    def _registered(self) -> Position:
        """Begin with what is there, and have trimming wait for us before the first span is sent."""
        position = self._source.beginning()
        self._cursor.save(position)
        return position

    def _is_save_due(self) -> bool:
        age = time.monotonic() - self._saved_seconds
        moved = self._saved is None or self._position is None or self._saved.seq != self._position.seq
        return age > (SAVE_SECONDS if moved else REFRESH_SECONDS)

    def _read(self, batch: Batch[Event]) -> _Read:
        read = _Read(batch, [], {"unsampled": 0, "poison": 0, "trimmed": batch.lost})
        for event in batch.events:
            if not tells_of_a_span(event):
                continue
            if not goes_out(event, self._keep):
                read.left_out["unsampled"] += 1
            elif (record := span_of(event, self._keep)) is None:
                read.left_out["poison"] += 1
            else:
                read.records.append(record)
        return read

    def _show_lag(self, batch: Batch[Event]) -> None:
        age = max(0.0, time.time() - batch.events[0].timestamp) if batch.events else 0.0
        self._tally.set(catalog.SPAN_LAG, (self.queue,), age)


class NotTaken(Exception):
    """The collector did not take a batch.

    Attributes:
        queue: Whose it was.
        delivery: What became of it.
    """

    def __init__(self, queue: str, delivery: Delivery) -> None:
        super().__init__(queue)
        self.queue, self.delivery = queue, delivery


class TracePipeline:
    """Exports the spans of all queues in a background thread; of a group, each queue's by one exporter.

    Args:
        settings: Where Redis is, the group, and what is kept.
        sink: Where spans go; closed at the end.
        tally: For the sink and for us.
    """

    def __init__(self, settings: Settings, sink: SpanSink, tally: Tally) -> None:
        self._links = connect(settings)
        self._settings = settings
        self._sink, self._tally = sink, tally
        self._leadership = Leadership(settings, tally)
        self._queues: dict[str, QueueTraces | None] = {}
        self._stopping = threading.Event()
        self._rest = BackOff()
        self._thread = threading.Thread(target=self._run, name="limelight-traces", daemon=True)

    def start(self) -> None:
        """Begin to export; returns at once, Redis and the collector may be down."""
        self._leadership.start()
        self._thread.start()

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """Give up the batch under way (it is still on the stream), save the cursors, let another lead, and end."""
        self._stopping.set()
        self._sink.close()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
        self._leadership.stop()

    def _run(self) -> None:
        while not self._stopping.is_set():
            more = False
            try:
                more = self._turn()
                self._rest.succeeded()
            except NotTaken as error:
                said = f" ({error.delivery.said})" if error.delivery.said else ""
                self._back_off(
                    f"the collector does not take the spans of queue {error.queue}{said}",
                    error.delivery.wait_seconds,
                )
            except LimelightError as error:
                self._back_off(f"no spans: {explain(error)}")
            except Exception:
                _log.exception("a fault in the export of spans; it goes on with the next turn")
                self._back_off("a fault in the export of spans")
            self._stopping.wait(max(0.0 if more else POLL_SECONDS, self._rest.until - time.monotonic()))
        self._save_all()

    def _turn(self) -> bool:
        for queue in exported_queues(self._links, self._settings):
            if queue not in self._queues:
                self._queues[queue] = self._adopted(queue)
        more = False
        for traces in self._queues.values():
            if traces is not None and not self._stopping.is_set():
                more |= self._step(traces)
        return more

    def _step(self, traces: QueueTraces) -> bool:
        """One batch of one queue, if it is ours to send. A batch that alone is at fault holds up no other queue."""
        if not self._leadership.leads(traces.queue):
            traces.leave()
            return False
        if not traces.rest.is_over:
            return False
        try:
            return traces.step()
        except NotTaken as error:
            if error.delivery.everything or self._stopping.is_set():
                raise
            if not traces.rest.failures:
                _log.warning(
                    "the collector does not take a batch of queue %s: %s (trying again)",
                    traces.queue, error.delivery.said,
                )  # fmt: skip
            traces.rest.failed(error.delivery.wait_seconds)
            return False

    def _adopted(self, queue: str) -> QueueTraces | None:
        try:
            traces = QueueTraces(
                self._links, queue, self._settings.group, self._sink, self._tally, self._settings.trace_keep
            )
        except ConfigurationError as error:
            _log.warning("left out of the registry: %s", error)
            return None
        self._leadership.watch(queue)
        return traces

    def _back_off(self, why: str, wait_seconds: float | None = None) -> None:
        if not self._rest.failures:
            _log.warning("%s (trying again until it works)", why)
        self._rest.failed(wait_seconds)

    def _save_all(self) -> None:
        try:
            for traces in self._queues.values():
                if traces is not None and self._leadership.leads(traces.queue):
                    traces.save()
        except RedisError as error:
            _log.warning("trace cursors not saved: %s", explain(error))
        self._links.close()
