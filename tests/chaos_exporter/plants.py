"""Bugs to plant into an exporter, to see chaos find them: ``python -m chaos_exporter.plants exporter …``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from limelight.cli.main import main
from limelight_exporter import queue_fold, snapshot
from limelight_exporter.metrics_pipeline import MetricsPipeline
from limelight_exporter.queue_fold import QueueFold
from limelight_exporter.stream_source import Batch, StreamSource

VARIABLE: Final = "CHAOS_PLANT"


def position_ahead_of_state() -> None:
    """Save a position that the saved state has not reached."""
    before: dict[int, Any] = {}
    save = snapshot.SnapshotStore.save

    def late(self: snapshot.SnapshotStore, fresh: Any) -> Any:
        older = before.get(id(self), fresh)
        before[id(self)] = fresh
        return save(self, msgspec.structs.replace(fresh, state=older.state))

    snapshot.SnapshotStore.save = late  # type: ignore[method-assign]


def loss_untold() -> None:
    """Pass over what is missing."""
    _after_read(lambda batch: setattr(batch, "lost", 0))


def loss_guessed() -> None:
    """Count the gap, but not to the last event."""
    _after_read(lambda batch: setattr(batch, "lost", max(0, batch.lost - 1)))


def from_the_tail() -> None:
    """After a start count on from what is told now, not from where the snapshot ends."""
    load = QueueFold.load

    def hasty(self: QueueFold) -> None:
        load(self)
        last = self._source.tail()
        if self.position.seq and last > self.position.seq:
            self._folded = (self.state, msgspec.structs.replace(self.position, seq=last, id="0-0"))

    QueueFold.load = hasty  # type: ignore[method-assign]


def entry_at_the_position_again() -> None:
    """Fold the last event once more when a snapshot was taken over."""
    take_over = QueueFold._take_over

    def again(self: QueueFold, theirs: Any) -> None:
        take_over(self, theirs)
        entries = self._source._fetch(self.position, 1)[1]
        event = self._source._readable(entries[0]) if entries else None
        if event is not None:
            queue_fold.take_in(self.state, Batch(self.position, events=[event], hours=[0]))

    QueueFold._take_over = again  # type: ignore[method-assign]


def old_numbers() -> None:
    """Serve what there is, however old; a replay takes its time."""
    load = QueueFold.load

    def slow(self: QueueFold) -> None:
        load(self)
        time.sleep(1.5)

    def careless(self: QueueFold, exposition: Any, epoch: str, seq: int) -> bool:
        self.state.collect(exposition, current=True)
        return True

    QueueFold.load = slow  # type: ignore[method-assign]
    QueueFold.collect = careless  # type: ignore[method-assign]
    MetricsPipeline.wait_for = lambda *_: None  # type: ignore[method-assign]


def never_saved() -> None:
    """Keep no snapshot, and begin with what the stream has."""
    queue_fold.SnapshotStore.load = lambda self: None  # type: ignore[method-assign]


def rollback_untold() -> None:
    """Pass over a Redis that went back."""
    _after_read(lambda batch: setattr(batch, "rollbacks", 0))


def read_again() -> None:
    """After Redis went back, read from the beginning of what it has."""

    def forgetful(self: StreamSource[Any], position: Any) -> Batch[Any]:
        return Batch(msgspec.structs.replace(position, id="0-0", seq=0, begun=False), rollbacks=1, more=True)

    StreamSource._went_back = forgetful  # type: ignore[method-assign]


def no_floor() -> None:
    """Keep nothing outside Redis."""
    queue_fold.FloorFile.load = lambda self: None  # type: ignore[method-assign]


def _after_read(change: Callable[[Batch[Any]], None]) -> None:
    read = StreamSource.read

    def changed(self: StreamSource[Any], *given: Any) -> Batch[Any]:
        batch = read(self, *given)
        change(batch)
        return batch

    StreamSource.read = changed  # type: ignore[method-assign]


PLANTS: Final[Mapping[str, tuple[Callable[[], None], str]]] = {
    "position-ahead-of-state": (position_ahead_of_state, "counters"),
    "loss-untold": (loss_untold, "loss"),
    "loss-guessed": (loss_guessed, "loss"),
    "from-the-tail": (from_the_tail, "counters"),
    "entry-twice": (entry_at_the_position_again, "counters"),
    "old-numbers": (old_numbers, "never falls"),
    "never-saved": (never_saved, "counters"),
    "rollback-untold": (rollback_untold, "loss"),
    "read-again": (read_again, "counters"),
    "no-floor": (no_floor, "never falls"),
}
"""Bug → how it is planted, and the check that must name it."""


if __name__ == "__main__":
    if name := os.environ.get(VARIABLE):
        PLANTS[name][0]()
    main()
