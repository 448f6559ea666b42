"""One queue's metrics, from its snapshot to the tail of its stream."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final

from limelight.storage.links import Links

from . import catalog
from .config_file import DEFAULTS, FileSettings
from .fold import fold
from .metric_state import QueueState
from .ops import Add, Op
from .snapshot import Saved, Snapshot, SnapshotStore
from .stream_source import Batch, Position, StreamSource

SAVE_SECONDS: Final = 5.0
REFRESH_SECONDS: Final = 30.0
"""A cursor that stands still is saved this often, so that it is not taken for abandoned."""


class QueueFold:
    """Folds one queue; only one thread may call `load`, `step` and `save`, any may read the properties.

    Args:
        links: The way to Redis.
        queue: Name of the queue.
        group: Exporter group whose snapshot is shared.
        chosen: Buckets and limits.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        links: Links,
        queue: str,
        group: str,
        chosen: FileSettings = DEFAULTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.queue = queue
        self._chosen = chosen
        self.state = QueueState(queue, chosen=chosen)
        self.position = Position()
        self.loaded = False
        self.caught_up = False
        self.saved_at: float | None = None
        self._source = StreamSource(links, queue)
        self._store = SnapshotStore(links, queue, group)
        self._clock = clock
        self._saved_seconds = clock()
        self._saved_position: Position | None = None
        self._first_target = 0

    def load(self) -> None:
        """Begin with the newest snapshot of the group, if there is one. Raises limelight's RedisError.

        What is on the stream now is the target: once it is folded the queue is caught up, flood or not.
        """
        self._first_target = self._source.tail()
        snapshot = self._store.load()
        if snapshot is not None:
            self._take_over(snapshot)
        self.loaded = True

    def step(self) -> bool:
        """Read and fold one batch; True if there is more to read. Raises RedisError, having folded nothing."""
        batch = self._source.read(self.position)
        if batch.lost and self._skip_the_gap():
            return True
        self.state.apply(list(_ops(batch)))
        self.position = batch.position
        if not batch.more or self.position.seq >= self._first_target:
            self.caught_up = True
        return batch.more

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
            now or the group's other exporter is further on: no harm, the numbers are safe with it.

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
        return saved is Saved.DONE

    def reaches(self, epoch: str, seq: int) -> bool:
        """Whether everything up to that event of that epoch is in the state."""
        return self.loaded and self.position.epoch == epoch and self.position.seq >= seq

    def _skip_the_gap(self) -> bool:
        """Events are missing. A group mate that read them in time has saved what came of them."""
        snapshot = self._store.load()
        ahead = (
            snapshot is not None
            and snapshot.position.epoch == self.position.epoch
            and snapshot.position.seq > self.position.seq
        )
        if snapshot is not None and ahead:
            self._take_over(snapshot)
        return ahead

    def _take_over(self, snapshot: Snapshot) -> None:
        self.state = QueueState(self.queue, snapshot.state, self._chosen)
        self.position = snapshot.position


def _ops(batch: Batch) -> Iterator[Op]:
    if batch.lost:
        yield Add(catalog.EVENTS_LOST, (), batch.lost)
    if batch.rollbacks:
        yield Add(catalog.ROLLBACKS, (), batch.rollbacks)
    for reason, count in sorted(batch.malformed.items()):
        yield Add(catalog.MALFORMED, (reason,), count)
    yield from chain.from_iterable(map(fold, batch.events))
