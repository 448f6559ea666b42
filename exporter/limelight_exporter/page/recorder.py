"""What the page remembers of the events that the metrics fold takes in, at the least cost to the fold."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from limelight.events import EVENT_DEAD
from limelight.packed_event import decoders
from limelight.storage.links import Links
from limelight_exporter.fold import Told
from limelight_exporter.metric_state import QueueState
from limelight_exporter.stream_source import Batch
from limelight_exporter.trace_keep import NOTHING, TraceKeep

from .failures import TRACEBACK_LIMIT, Failures
from .history import SLOT_SECONDS, SLOTS, History
from .keepsake import Keepsake
from .tallies import Totals, totals_of
from .timelines import Timelines

_SHOWN_SECONDS = SLOT_SECONDS * SLOTS
_log = logging.getLogger(__name__)


class Memory:
    """What all queues share.

    Args:
        group: Exporter group.
        buckets: Of a histogram, the one without an end included.
        tracebacks: Whether tracebacks are kept at all.
        keep: Which spans are exported beside the sampled ones, to be pointed at.
    """

    def __init__(self, group: str, buckets: int, *, tracebacks: bool, keep: TraceKeep = NOTHING) -> None:
        self.group, self.buckets, self.tracebacks = group, buckets, tracebacks
        self.timelines, self.failures = Timelines(keep), Failures(keep)
        self._recorders: dict[str, Recorder] = {}

    @property
    def recorders(self) -> Mapping[str, Recorder]:
        """Queue → what is remembered of it alone."""
        return self._recorders

    def of(self, queue: str, links: Links) -> Recorder:
        """A recorder for a queue that the exporter has found."""
        recorder = Recorder(self, Keepsake(links, queue, self.group), queue)
        self._recorders = {**self._recorders, queue: recorder}
        return recorder


class Recorder:
    """Looks over the shoulder of one queue's fold; all but `history` is for the thread that folds.

    Args:
        memory: Where tasks and failures are remembered.
        keepsake: Where failures outlive the process.
        queue: Name of the queue.
        clock: Unix seconds.
    """

    def __init__(
        self, memory: Memory, keepsake: Keepsake, queue: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._memory, self._keepsake, self._queue, self._clock = memory, keepsake, queue, clock
        self._decoders = decoders(queue)
        self.history = History(clock)
        self._lost, self._lost_at = 0, float("-inf")
        self._restored = self._failed = False

    def began(self) -> None:
        """The queue's state is another than it was."""
        self.history.begin()
        if not self._restored:
            self._memory.failures.restore(self._keepsake.load())
            self._restored = True

    def parts(self, state: QueueState, events: Sequence[Told]) -> Iterator[Sequence[Told]]:
        """The events in pieces, as `History` wants them folded."""
        return self.history.parts(lambda: self.totals(state), events)

    def totals(self, state: QueueState) -> Totals:
        """A state's totals, as they are now."""
        return state.look(lambda counters, histograms: totals_of(counters, histograms, self._memory.buckets))

    def see(self, batch: Batch[Told]) -> None:
        """Remember what of a batch the page may show: of a replay of what is older than that, nothing.

        A fault of ours is told, and costs the page what is in the batch, and the metrics nothing.
        """
        try:
            self._see(batch)
        except Exception:
            _log.exception("queue %s: a fault in the live page's memory", self._queue)

    def _see(self, batch: Batch[Told]) -> None:
        if batch.lost:
            self._lost, self._lost_at = self.recently_lost + batch.lost, self._clock()
        if not batch.events or batch.events[-1].timestamp < self._clock() - _SHOWN_SECONDS:
            return
        timelines, failures = self._memory.timelines, self._memory.failures
        for at in timelines.picks(batch.events):
            event = batch.events[at]
            failed = (event.error and event.outcome is not None) or event.status == EVENT_DEAD
            described = failed and failures.count(self._queue, event)
            self._failed |= failed
            if described or timelines.wants(event.id or ""):
                self._take(*batch.written[at], described=described)

    @property
    def recently_lost(self) -> int:
        """Events that were gone before they were read, in the last five minutes or so."""
        return self._lost if self._clock() - self._lost_at < _SHOWN_SECONDS else 0

    def keep(self, *, now: bool = False) -> None:
        """Save this queue's failures if there were any since the last time, every half minute at most.

        Args:
            now: Do not wait for that.
        """
        if self._failed and (now or self._keepsake.is_due):
            self._failed = False
            groups = self._memory.failures.groups()
            self._keepsake.save([group for group in groups if group.queue == self._queue])

    def _take(self, field: bytes, raw: bytes, *, described: bool) -> None:
        try:
            event = self._decoders[field](raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # what the metrics need of it was sound, the rest is not
        self._memory.timelines.take(event, TRACEBACK_LIMIT if self._memory.tracebacks else 0)
        if described:
            self._memory.failures.describe(event, tracebacks=self._memory.tracebacks)
