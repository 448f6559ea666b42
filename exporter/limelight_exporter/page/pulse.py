"""What the gauges were in the last five minutes, from looks at Redis that happened anyway."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from limelight.inspection import QueueView

from .history import SLOTS, slot_of


class Beat(NamedTuple):
    """A queue's gauges at one moment."""

    ready: int
    oldest_seconds: float
    busy: int
    dead: int


NO_BEAT = Beat(0, 0.0, 0, 0)


class Pulse:
    """Ten seconds → beats, per queue; any thread may note and read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._beats: dict[str, dict[int, Beat]] = {}

    def note(self, views: Mapping[str, QueueView]) -> None:
        """Take in what was just seen; of ten seconds the last look stays."""
        with self._lock:
            for name, view in views.items():
                beats, slot = self._beats.setdefault(name, {}), slot_of(view.now)
                beats[slot] = beat_of(view)
                if len(beats) > SLOTS + 1:
                    self._beats[name] = {at: beat for at, beat in beats.items() if slot - SLOTS <= at <= slot}

    def series(self, queue: str, latest: int) -> Sequence[Beat]:
        """Of the 30 slots up to `latest` one beat each, as far back as there are any; gaps go on as they were."""
        with self._lock:
            beats = dict(self._beats.get(queue, {}))
        known = [at for at in beats if at <= latest]
        series, last = list[Beat](), NO_BEAT
        for slot in range(max(min(known, default=latest), latest - SLOTS + 1), latest + 1):
            last = beats.get(slot, last)
            series.append(last)
        return series


def beat_of(view: QueueView) -> Beat:
    """A view's numbers; workers only of consumers that are alive."""
    alive = [consumer for consumer in view.consumers if consumer.alive(view.now)]
    return Beat(
        ready=view.ready,
        oldest_seconds=max(0.0, view.now - view.oldest_ready) if view.oldest_ready else 0.0,
        busy=sum(min(consumer.busy, consumer.workers) for consumer in alive),
        dead=view.dead,
    )
