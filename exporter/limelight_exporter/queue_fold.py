"""One queue's metrics, from its snapshot to the tail of its stream."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

from limelight.storage.links import Links

from . import catalog
from .config_file import DEFAULTS, FileSettings
from .exposition import Exposition
from .floor import FloorFile
from .fold import DECODERS, Told
from .metric_state import QueueState
from .ops import Add, Op
from .snapshot import Saved, SnapshotStore
from .snapshot_format import Snapshot, covers
from .stream_source import Batch, Position, StreamSource
from .trace_keep import TraceKeep

SAVE_SECONDS: Final = 5.0
BATCH: Final = 500
"""Events that are read at once, at least: more of them do not fit into the processor's cache, and take longer each."""
_PER_KIND: Final = 16
"""Where events are of many kinds, so many of each: what is done once per kind and batch weighs more than the cache."""
_LARGEST_BATCH: Final = 5_000
REFRESH_SECONDS: Final = 30.0
"""A cursor that stands still is saved this often, so that it is not taken for abandoned."""
_log = logging.getLogger(__name__)


class Onlooker(Protocol):
    """Sees one queue being folded; called by the thread that folds, it may not raise."""

    def began(self) -> None:
        """The state was taken from a snapshot; what it counted until then was not seen."""

    def parts(self, state: QueueState, events: Sequence[Told]) -> Iterable[Sequence[Told]]:
        """The events in pieces; each is folded before the next is asked for."""

    def see(self, batch: Batch[Told]) -> None:
        """What was folded."""


class QueueFold:
    """Folds one queue; only one thread may call `load`, `step` and `save`, any may read the properties.

    Args:
        links: The way to Redis.
        queue: Name of the queue.
        group: Exporter group whose snapshot is shared.
        chosen: Buckets and limits.
        exemplars: Which spans are exported beside the sampled ones; metrics point at those. None: at none.
        clock: Monotonic seconds.
        floor: Keeps what was counted outside Redis too.
        onlooker: Sees what is folded, for the live page.
    """

    def __init__(
        self,
        links: Links,
        queue: str,
        group: str,
        chosen: FileSettings = DEFAULTS,
        *,
        exemplars: TraceKeep | None = None,
        clock: Callable[[], float] = time.monotonic,
        floor: FloorFile | None = None,
        onlooker: Onlooker | None = None,
    ) -> None:
        self.queue = queue
        self._chosen, self._exemplars = chosen, exemplars
        self._folded = (QueueState(queue, chosen=chosen, exemplars=exemplars), Position())
        self.loaded = False
        self.caught_up = False
        self.saved_at: float | None = None
        self._source = StreamSource(links, queue, DECODERS)
        self._store = SnapshotStore(links, queue, group, chosen.shared)
        self._floor, self._onlooker = floor, onlooker
        self._kept: Position | None = None
        self._set_aside = 0
        self._clock = clock
        self._saved_seconds = clock()
        self._saved_position: Position | None = None
        self._first_seq, self._first_target = 0, 0

    @property
    def state(self) -> QueueState:
        """What was folded."""
        return self._folded[0]

    @property
    def position(self) -> Position:
        """Up to where; the state is never behind it."""
        return self._folded[1]

    def take_forgotten(self) -> int:
        """How many readers of this stream our saves found gone since this was asked last."""
        return self._store.cursor.take_forgotten()

    @property
    def to_catch_up(self) -> int:
        """Events between what was folded and what was on the stream when it was loaded."""
        return max(0, self._first_target - self.position.seq)

    @property
    def differs(self) -> bool:
        """Whether another exporter of the group has other buckets or limits."""
        return self._store.cursor.differs

    def load(self) -> None:
        """Begin with the newest state of the group, if there is one. Raises limelight's RedisError.

        What is on the stream now is the target: once it is folded the queue is caught up, flood or not.
        """
        self._first_target = self._source.tail()
        best = self._best_of(self._store.load(), self._floor.load() if self._floor else None)
        if best is not None:
            self._take_over(best)
        else:
            self._begin()
        self._count_set_aside()
        self._first_seq = self.position.seq
        self.loaded = True
        if self._onlooker is not None:
            self._onlooker.began()

    def step(self) -> bool:
        """Read and fold one batch; True if there is more to read. Raises RedisError, having folded nothing."""
        count = min(_LARGEST_BATCH, max(BATCH, _PER_KIND * self.state.kinds))
        batch = self._source.read(self.position, count)
        if batch.lost and self._skip_the_gap(batch.lost):
            return True
        self._report(batch)
        take_in(self.state, batch, self._onlooker)
        self._folded = (self.state, batch.position)
        if self._onlooker is not None:
            self._onlooker.see(batch)  # only now: whatever it does, nothing is folded twice
        if not batch.more or self.position.seq >= self._first_target:
            self.caught_up = True
        return batch.more

    def collect(self, exposition: Exposition, epoch: str, seq: int) -> bool:
        """Add the queue's series to a scrape; False if those from events were left out, being behind.

        Args:
            exposition: Takes them.
            epoch: Of which life of the stream.
            seq: The event that must be in.
        """
        state, position = self._folded
        current = self.loaded and position.epoch == epoch and position.seq >= seq
        state.collect(exposition, current=current)
        return current

    def keep(self) -> None:
        """Write down outside Redis what has changed since the last time."""
        if self._floor is not None and self.loaded and self.position is not self._kept:
            self._kept = self.position
            self._floor.keep(Snapshot(self.position, self.state.save()))

    def save_if_due(self) -> bool:
        """Save when something changed and the last save is 5 s old. Returns and raises as `save`."""
        age = self._clock() - self._saved_seconds
        changed = self.position is not self._saved_position
        if self._saved_position is not None and age < (SAVE_SECONDS if changed else REFRESH_SECONDS):
            return True
        return self.save()

    def save(self) -> bool:
        """Save state and position together.

        Returns:
            False if there was nothing of value to save, or it was refused because the stream's epoch is another
            now or the group's other exporter is further on: no harm, the numbers are safe with it. If that one has
            counted more (it read what we missed), we go on from its state.

        Raises:
            RedisError: Not saved.
        """
        if not self.loaded or not self.position.begun:
            return False
        position = self.position
        saved = self._store.save(Snapshot(position, self.state.save()))
        self._saved_seconds, self._saved_position = self._clock(), position
        if saved is Saved.DONE:
            self.saved_at = time.time()
        elif saved is Saved.OUTRANKED and (theirs := self._store.load()) is not None:
            _log.info(
                "queue %s: the group's other exporter counted more; going on from its state", self.queue
            )
            self._take_over(theirs)
        return saved is Saved.DONE

    @property
    def replayed(self) -> tuple[int, int]:
        """How many events that were there at the start, and not in the snapshot, are folded; and of how many."""
        behind = max(0, self._first_target - self._first_seq)
        return min(behind, max(0, self.position.seq - self._first_seq)), behind

    def reaches(self, epoch: str, seq: int) -> bool:
        """Whether everything up to that event of that epoch is in the state."""
        return self.loaded and self.position.epoch == epoch and self.position.seq >= seq

    def _begin(self) -> None:
        """Have trimming wait for us before the first event is read. Refused if the group was here: it waits already."""
        beginning = self._source.beginning()
        self._folded = (self.state, beginning)
        self._store.cursor.save(beginning)

    def _best_of(self, saved: Snapshot | None, kept: Snapshot | None) -> Snapshot | None:
        """Redis' snapshot, unless it holds less than was kept outside: then Redis went back."""
        if saved is None or kept is None:
            return saved or kept
        if covers(saved.state, kept.state):
            return saved
        if saved.position.seq < kept.position.seq or saved.position.epoch != kept.position.epoch:
            _log.warning("queue %s: Redis' snapshot is behind what was kept outside of it", self.queue)
        return kept

    def _count_set_aside(self) -> None:
        count = self._store.set_aside + (self._floor.set_aside if self._floor else 0)
        if count > self._set_aside:
            self.state.fold((), [Add(catalog.SET_ASIDE, (), count - self._set_aside)])
            self._set_aside = count

    def _report(self, batch: Batch[Told]) -> None:
        if batch.lost:
            _log.warning("queue %s: %d events were gone before they were read", self.queue, batch.lost)
        if batch.rollbacks:
            self._saved_position = None  # so that the group agrees soon on who counted most
            _log.warning(
                "queue %s: Redis forgot events that it had told (a restart, a failover, a flush); "
                "what was counted is kept",
                self.queue,
            )

    def _skip_the_gap(self, lost: int) -> bool:
        """Events are missing. A group mate that read them in time has saved what came of them."""
        theirs = self._store.load()
        self._count_set_aside()
        ahead = (
            theirs is not None
            and theirs.position.epoch == self.position.epoch
            and theirs.position.seq > self.position.seq
            and theirs.position.credit > self.position.credit - lost
        )
        if theirs is not None and ahead:
            self._take_over(theirs)
        return ahead

    def _take_over(self, snapshot: Snapshot) -> None:
        state = QueueState(self.queue, snapshot.state, self._chosen, exemplars=self._exemplars)
        state.follow(self.state)
        self._folded = (state, snapshot.position)
        if self._onlooker is not None:
            self._onlooker.began()


def take_in(state: QueueState, batch: Batch[Told], onlooker: Onlooker | None = None) -> None:
    """Fold a batch, and what reading it found out, into a state; an onlooker sees it, and the state at its moments."""
    state.fold((), _remarks(batch))
    for hour, events in batch.by_hour():
        state.begin_hour(hour)
        for part in (events,) if onlooker is None else onlooker.parts(state, events):
            state.fold(part)


def _remarks(batch: Batch[Told]) -> Iterator[Op]:
    """What reading itself found out."""
    if batch.lost:
        yield Add(catalog.EVENTS_LOST, (), batch.lost)
    if batch.rollbacks:
        yield Add(catalog.ROLLBACKS, (), batch.rollbacks)
    for reason, count in sorted(batch.malformed.items()):
        yield Add(catalog.MALFORMED, (reason,), count)
