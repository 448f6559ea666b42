"""Keeps the metrics of all queues up to date, in one thread that alone folds and saves."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final

from limelight.errors import ConfigurationError, LimelightError, RedisError

from . import catalog
from .attendance import AWAY_HOURS
from .config import Settings
from .connection import NO_ANSWER, connect, explain, exported_queues
from .floor import StateFolder
from .page import Memory
from .ports import Tally
from .queue_fold import QueueFold
from .trace_keep import TraceKeep

POLL_SECONDS: Final = 0.25
DISCOVER_SECONDS: Final = 1.0
_BACK_OFF_SECONDS: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
_IN_A_ROW_SECONDS: Final = 0.1
"""How long one queue may be read while there is more on it, before it is the others' turn."""
_NODE_AWAY_SECONDS: Final = 2.0
"""How long a queue whose node of a Cluster is away is left alone, so that it holds up no other."""
_log = logging.getLogger(__name__)


class MetricsPipeline:
    """Discovers queues and folds their streams in a background thread.

    Args:
        settings: Where Redis is, the group, and where to keep what was counted outside Redis.
        tally: Counts reconnects and failed saves.
        exemplars: Which spans are exported beside the sampled ones: metrics point at those. None: at none.
        memory: Takes what the live page shows; None for no page.

    Raises:
        ConfigurationError: The folder for that cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        tally: Tally,
        *,
        exemplars: TraceKeep | None = None,
        memory: Memory | None = None,
    ) -> None:
        self._links = connect(settings)
        self._settings = settings
        self._address = settings.redis_address
        self._group = settings.group
        self._folder = StateFolder(settings.state_dir, settings.group) if settings.state_dir else None
        self._tally = tally
        self._exemplars, self._memory = exemplars, memory
        self._folds: dict[str, QueueFold] = {}
        self._refused: set[str] = set()
        self._broken: dict[str, float] = {}
        self._progress = threading.Condition()
        self._nudged, self._stopping = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="limelight-metrics", daemon=True)
        self._began = time.monotonic()
        self._discovered_at = float("-inf")
        self._failures, self._trouble = 0, ""
        self._replayed = False

    def start(self) -> None:
        """Begin to fold; returns at once, Redis may be down."""
        self._thread.start()

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """Fold and save once more, and end."""
        self._stopping = True
        self._nudged.set()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    @property
    def folds(self) -> Mapping[str, QueueFold]:
        """The queues known so far, in name order."""
        return dict(sorted(self._folds.items()))

    @property
    def replayed(self) -> bool:
        """Whether every queue found at the start was caught up with, once."""
        return self._replayed

    @property
    def trouble(self) -> str:
        """What keeps it from reading, "" if nothing does."""
        return self._trouble

    def wait_for(self, targets: Mapping[str, tuple[str, int]], deadline: float) -> None:
        """Have the streams read now; return when all targets are folded, or at the deadline.

        Args:
            targets: Queue → epoch and number of the event to reach.
            deadline: Monotonic seconds.
        """
        self._nudged.set()
        with self._progress:
            self._progress.wait_for(lambda: self._reached(targets), max(0.0, deadline - time.monotonic()))

    def _reached(self, targets: Mapping[str, tuple[str, int]]) -> bool:
        folds = self._folds
        return all(queue in folds and folds[queue].reaches(*target) for queue, target in targets.items())

    def _run(self) -> None:
        while not self._stopping:
            pause = POLL_SECONDS
            try:
                pause = 0.0 if self._turn() else POLL_SECONDS
                self._recovered()
            except LimelightError as error:
                pause = self._failed(error)
            except Exception:
                _log.exception("a fault in the exporter; it goes on with the next turn")
                pause = self._pause()
            if pause:
                self._nudged.wait(pause)
        self._last_turn()

    def _turn(self) -> bool:
        """Read every queue a little and save what is due; True if there is more to read."""
        self._discover()
        self._nudged.clear()
        more = False
        for fold in self._folds.values():
            more |= self._advance(fold)
        if not self._replayed and all(fold.caught_up for fold in self._folds.values()):
            self._replayed = True
            self._tally.set(catalog.REPLAY_SECONDS, (), time.monotonic() - self._began)
        return more

    def _discover(self) -> None:
        now = time.monotonic()
        if now - self._discovered_at < DISCOVER_SECONDS and not self._nudged.is_set():
            return
        for queue in (*self._announced(), *self._remembered()):
            if queue not in self._folds and queue not in self._refused:
                self._adopt(queue)
        self._discovered_at = now  # not before: a turn that asks nobody would pass for one that was answered
        self._tally.set(catalog.QUEUES_LEFT_OUT, (), len(self._refused))

    def _remembered(self) -> Sequence[str]:
        """Queues that we served before the start, whether Redis still knows them or not."""
        if self._folder is None or self._folds:
            return ()
        kept = self._folder.queues(AWAY_HOURS * 3_600)
        return [queue for queue in kept if self._settings.file.queues.takes(queue)]

    def _announced(self) -> Sequence[str]:
        try:
            return exported_queues(self._links, self._settings)
        except NO_ANSWER:
            if not (self._links.address.is_cluster and self._folds):
                raise
            return ()  # the registry's node is away, those of the queues need not be

    def _adopt(self, queue: str) -> None:
        if len(self._folds) >= self._settings.file.limits.queues:
            self._refused.add(queue)
            _log.warning("queue %s is left out: there are %d already", queue, len(self._folds))
            return
        try:
            floor = self._folder.file(queue) if self._folder else None
            fold = QueueFold(
                self._links, queue, self._group, self._settings.file, exemplars=self._exemplars, floor=floor,
                onlooker=self._memory.of(queue, self._links) if self._memory else None,
            )  # fmt: skip
            self._folds = {**self._folds, queue: fold}
            self._tally.add(catalog.READERS_FORGOTTEN, (queue,), 0)
        except ConfigurationError as error:
            self._refused.add(queue)
            _log.warning("left out of the registry: %s", error)

    def _advance(self, fold: QueueFold) -> bool:
        """Fold and save one queue; a fault that is its own must not stop the others."""
        more = False
        if time.monotonic() < self._broken.get(fold.queue, 0.0):
            return False
        try:
            more = self._fold(fold)
            self._save(fold)
        except NO_ANSWER as error:
            if not self._links.address.is_cluster:  # where the other queues are on other nodes
                raise
            self._complain(fold, error)
            self._broken[fold.queue] = time.monotonic() + _NODE_AWAY_SECONDS
        except Exception as error:
            self._complain(fold, error)
        else:
            self._broken.pop(fold.queue, None)
        return more

    def _save(self, fold: QueueFold) -> None:
        try:
            fold.save_if_due()
        except RedisError:
            self._tally.add(catalog.SNAPSHOT_FAILURES)
            raise
        self._tally.add(catalog.READERS_FORGOTTEN, (fold.queue,), fold.take_forgotten())
        if self._memory is not None:
            self._memory.recorders[fold.queue].keep()

    def _fold(self, fold: QueueFold) -> bool:
        if not fold.loaded:
            fold.load()
        until = time.monotonic() + _IN_A_ROW_SECONDS
        while time.monotonic() < until:
            more = fold.step()
            if not more or self._nudged.is_set():
                fold.keep()  # before it is served
            with self._progress:
                self._progress.notify_all()
            if not more:
                return False
        return True

    def _complain(self, fold: QueueFold, error: Exception) -> None:
        if fold.queue in self._broken:
            return
        self._broken[fold.queue] = 0.0
        if isinstance(error, RedisError):
            _log.warning("queue %s: %s (trying again until it works)", fold.queue, explain(error))
        else:
            _log.error("queue %s: a fault in the exporter", fold.queue, exc_info=error)

    def _last_turn(self) -> None:
        try:
            for fold in self._folds.values():
                if fold.loaded:
                    fold.step()
                    fold.keep()
                    fold.save()
                    if self._memory is not None:
                        self._memory.recorders[fold.queue].keep(now=True)
        except RedisError as error:
            self._tally.add(catalog.SNAPSHOT_FAILURES)
            _log.warning("last state not saved: %s", explain(error))
        self._links.close()
        if self._folder is not None:
            self._folder.close()

    def _recovered(self) -> None:
        if self._failures:
            self._tally.add(catalog.RECONNECTS)
            _log.info("Redis at %s is back", self._address)
        self._failures, self._trouble = 0, ""

    def _failed(self, error: Exception) -> float:
        trouble = explain(error)
        if trouble != self._trouble:
            _log.warning("%s (trying again until it works)", trouble)
        self._trouble = trouble
        return self._pause()

    def _pause(self) -> float:
        pause = _BACK_OFF_SECONDS[min(self._failures, len(_BACK_OFF_SECONDS) - 1)]
        self._failures += 1
        self._nudged.clear()
        return pause
