"""Exports the spans that the streams tell of, in a thread and at a pace of its own.

The cursor moves after the collector said yes; until then everything is still on the stream, so nothing is kept in
memory but one batch, and a collector that is away delays no metric.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Final

from limelight.errors import ConfigurationError, LimelightError, RedisError
from limelight.events import Event
from limelight.packed_event import decoders
from limelight.storage.links import Links

from . import catalog
from .config import Settings
from .connection import connect, explain, exported_queues
from .ops import SpanRecord
from .ports import SpanSink, Tally
from .snapshot import Cursor, Saved
from .spans import sampled, span_of, tells_of_a_span
from .stream_source import Batch, Position, StreamSource

BATCH_SPANS: Final = 512
BATCH_BYTES: Final = 3_000_000
"""Below the 4 MiB that a collector takes over gRPC."""
POLL_SECONDS: Final = 0.5
SAVE_SECONDS: Final = 5.0
REFRESH_SECONDS: Final = 30.0
LONGEST_BACK_OFF_SECONDS: Final = 30.0
_log = logging.getLogger(__name__)


class QueueTraces:
    """One queue's spans, from its cursor to the tail of its stream.

    Args:
        links: The way to Redis.
        queue: Name of the queue.
        group: Exporter group; its members share the cursor.
        sink: Where spans go.
        tally: Counts dropped spans, and shows the lag.
    """

    def __init__(self, links: Links, queue: str, group: str, sink: SpanSink, tally: Tally) -> None:
        self._queue = queue
        self._source = StreamSource(links, queue, decoders(queue))
        self._cursor = Cursor(links, queue, f"traces:{group}")
        self._sink, self._tally = sink, tally
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
        batch = self._source.read(self._position, BATCH_SPANS)
        self._show_lag(batch)
        sent = False
        for chunk in _chunks(self._records(batch.events)):
            if not self._sink.export(chunk):
                raise NotTaken(self._queue)
            sent = True
        self._count(batch)
        self._position = batch.position
        if sent or self._is_save_due():
            self.save()
        return batch.more

    def save(self) -> None:
        """Save the position; where another exporter of the group is further on, go on from there."""
        if self._position is None or not self._position.begun:
            return
        outcome = self._cursor.save(self._position)
        self._tally.add(catalog.READERS_FORGOTTEN, (self._queue,), self._cursor.take_forgotten())
        if outcome in {Saved.BEHIND, Saved.OUTRANKED}:
            self._position = self._cursor.load() or self._position
        self._saved, self._saved_seconds = self._position, time.monotonic()

    def _registered(self) -> Position:
        """Begin with what is there, and have trimming wait for us before the first span is sent."""
        position = self._source.beginning()
        self._cursor.save(position)
        return position

    def _is_save_due(self) -> bool:
        age = time.monotonic() - self._saved_seconds
        moved = self._saved is None or self._position is None or self._saved.seq != self._position.seq
        return age > (SAVE_SECONDS if moved else REFRESH_SECONDS)

    def _records(self, events: Sequence[Event]) -> Iterator[SpanRecord]:
        for event in events:
            if tells_of_a_span(event) and sampled(event) and (record := span_of(event)) is not None:
                yield record

    def _count(self, batch: Batch[Event]) -> None:
        """Once the batch is done, so that a repeat counts nothing twice."""
        telling = [event for event in batch.events if tells_of_a_span(event)]
        recorded = [event for event in telling if sampled(event)]
        self._tally.add(catalog.SPANS_DROPPED, ("unsampled",), len(telling) - len(recorded))
        broken = sum(span_of(event) is None for event in recorded)
        self._tally.add(catalog.SPANS_DROPPED, ("poison",), broken)
        self._tally.add(catalog.SPANS_DROPPED, ("trimmed",), batch.lost)

    def _show_lag(self, batch: Batch[Event]) -> None:
        age = max(0.0, time.time() - batch.events[0].timestamp) if batch.events else 0.0
        self._tally.set(catalog.SPAN_LAG, (self._queue,), age)


class NotTaken(Exception):
    """The collector did not take a batch; its one argument is the queue."""


class TracePipeline:
    """Exports the spans of all queues in a background thread.

    Args:
        settings: Where Redis is, and the group.
        sink: Where spans go; closed at the end.
        tally: For the sink and for us.
    """

    def __init__(self, settings: Settings, sink: SpanSink, tally: Tally) -> None:
        self._links = connect(settings)
        self._settings = settings
        self._group = settings.group
        self._sink, self._tally = sink, tally
        self._queues: dict[str, QueueTraces | None] = {}
        self._stopping = threading.Event()
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name="limelight-traces", daemon=True)

    def start(self) -> None:
        """Begin to export; returns at once, Redis and the collector may be down."""
        self._thread.start()

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """Give up the batch under way (it is still on the stream), save the cursors, and end."""
        self._stopping.set()
        self._sink.close()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                pause = 0.0 if self._turn() else POLL_SECONDS
                self._failures = 0
            except NotTaken as error:
                pause = self._back_off(f"the collector does not take the spans of queue {error}")
            except LimelightError as error:
                pause = self._back_off(f"no spans: {explain(error)}")
            except Exception:
                _log.exception("a fault in the export of spans; it goes on with the next turn")
                pause = self._back_off("a fault in the export of spans")
            self._stopping.wait(pause)
        self._save_all()

    def _turn(self) -> bool:
        for queue in exported_queues(self._links, self._settings):
            if queue not in self._queues:
                self._queues[queue] = self._adopted(queue)
        more = False
        for traces in self._queues.values():
            more |= traces is not None and not self._stopping.is_set() and traces.step()
        return more

    def _adopted(self, queue: str) -> QueueTraces | None:
        try:
            return QueueTraces(self._links, queue, self._group, self._sink, self._tally)
        except ConfigurationError as error:
            _log.warning("left out of the registry: %s", error)
            return None

    def _back_off(self, why: str) -> float:
        """Seconds to wait: doubling up to 30, spread so that exporters do not knock together."""
        if not self._failures:
            _log.warning("%s (trying again until it works)", why)
        self._failures += 1
        return min(LONGEST_BACK_OFF_SECONDS, 0.5 * 2.0 ** min(self._failures, 10)) * (
            0.5 + random.random() / 2
        )

    def _save_all(self) -> None:
        try:
            for traces in self._queues.values():
                if traces is not None:
                    traces.save()
        except RedisError as error:
            _log.warning("trace cursors not saved: %s", explain(error))
        self._links.close()


def _chunks(records: Iterator[SpanRecord]) -> Iterator[list[SpanRecord]]:
    """Batches that a collector takes: at most 512 spans and about 3 MB."""
    chunk: list[SpanRecord] = []
    size = 0
    for record in records:
        if chunk and (len(chunk) == BATCH_SPANS or size + record.size > BATCH_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(record)
        size += record.size
    if chunk:
        yield chunk
