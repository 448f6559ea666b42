"""Follows the queues' streams and gauges in a thread, on its own: nothing here is the exporter's."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from limelight.errors import LimelightError
from limelight.events import Event, decode
from limelight.inspection import queue_view, server_view
from limelight.keys import QueueKeys
from limelight.packed_event import as_json
from limelight_exporter.config import Settings
from limelight_exporter.connection import connect, explain

from .account import Key
from .watch import Frame, Watch

LOOK_SECONDS: Final = 0.5
_BLOCK_MS: Final = 50
_BATCH: Final = 500
_PAUSE_SECONDS: Final = 0.5


class Reader:
    """Keeps a `Watch` up to date from the moment it is made. Every method may be called from any thread.

    Args:
        settings: Where Redis is.
        queues: Whose events and gauges.

    Raises:
        RedisUnavailable, RedisRefused: Redis cannot be read.
    """

    def __init__(self, settings: Settings, queues: Collection[str]) -> None:
        self._links = connect(settings)
        views = [queue_view(self._links, queue) for queue in queues]
        now = server_view(self._links).now
        self._queues = {QueueKeys(view.name)["events"]: view.name for view in views}
        self._ids = {QueueKeys(view.name)["events"]: view.last_event_id for view in views}
        self._ahead = now - time.time()
        self._watch = Watch({view.name: view.seq for view in views}, now)
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._deadline = float("inf")
        self._looked_at = float("-inf")
        self._thread = threading.Thread(target=self._run, name="demo-reader", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def finish(self, seconds: float) -> bool:
        """Read to the end of all streams, and end; False if that took longer than `seconds`.

        Call it when nothing is told any more.
        """
        self._deadline = time.monotonic() + seconds
        self._ending.set()
        self._thread.join(seconds + _PAUSE_SECONDS)
        return not self._watch.trouble and self._is_complete()

    def close(self) -> None:
        """End now."""
        self._deadline = 0.0
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()
        self._links.close()

    def frame(self, tasks: int, note: str = "") -> Frame:
        """What to show now; see `Watch.frame`."""
        with self._lock:
            return self._watch.frame(time.time() + self._ahead, tasks, note)

    def unprinted(self) -> tuple[list[Event], int]:
        """See `Watch.unprinted`."""
        with self._lock:
            return self._watch.unprinted()

    def count(self, metric: str, outcome: str) -> int:
        """How often something happened so far, by the events."""
        with self._lock:
            counts = self._watch.counts.items()
            return sum(count for key, count in counts if key.metric == metric and key.outcome == outcome)

    @property
    def counts(self) -> dict[Key, int]:
        """Everything it counted."""
        with self._lock:
            return dict(self._watch.counts)

    @property
    def missed(self) -> int:
        """Events whose numbers never came."""
        return self._watch.missed

    def _run(self) -> None:
        while time.monotonic() < self._deadline:
            try:
                told = self._read()
                self._look()
            except LimelightError as error:
                self._fail(explain(error))
                continue
            if self._ending.is_set() and not told and self._is_complete():
                return

    def _read(self) -> int:
        """Take in what is new, or wait a little for it; returns how many events there were."""
        told = 0
        for name, last in self._ids.items():
            words = ("XREAD", "COUNT", _BATCH, "BLOCK", _BLOCK_MS, "STREAMS", name, last)
            for _, entries in self._links.to(name).read(*words) or ():
                with self._lock:
                    for entry_id, fields in entries:
                        self._tell(self._queues[name], dict(zip(fields[::2], fields[1::2], strict=True)))
                        self._ids[name] = entry_id.decode()
                told += len(entries)
        return told

    def _tell(self, queue: str, fields: Mapping[bytes, bytes]) -> None:
        try:
            event = decode(as_json(queue, fields))
        except msgspec.DecodeError:
            return  # its number is missing then, and that is noticed
        self._watch.tell(event)

    def _look(self) -> None:
        if time.monotonic() - self._looked_at < LOOK_SECONDS and not self._ending.is_set():
            return
        now = server_view(self._links).now
        views = [queue_view(self._links, queue) for queue in self._watch.queues]
        with self._lock:
            self._ahead = now - time.time()
            for view in views:
                self._watch.look(view, now)
            self._watch.trouble = ""
        self._looked_at = time.monotonic()

    def _fail(self, trouble: str) -> None:
        with self._lock:
            self._watch.trouble = trouble
        time.sleep(_PAUSE_SECONDS)

    def _is_complete(self) -> bool:
        """Whether every event was read that the latest look counted."""
        watches = self._watch.queues.values()
        return all(queue.view is not None and queue.seq >= queue.view.seq for queue in watches)
