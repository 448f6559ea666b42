"""Takes back what a group that sent spans left behind, once it sends none: a cursor that the stream would wait for."""

from __future__ import annotations

import logging
import threading
from enum import IntEnum
from typing import Final

from limelight.errors import LimelightError
from limelight.keys import QueueKeys
from limelight.storage.link import Call
from limelight.storage.links import Links
from limelight.storage.scripts import load

from .config import Settings
from .connection import connect, explain, exported_queues
from .leadership import lease_field, trace_reader

IDLE_SECONDS: Final = 120.0
"""So long nobody may have saved the cursor: who sends spans saves it every 30 s, and a restart is short."""
LOOK_SECONDS: Final = 30.0
_RETIRE: Final = load("retire", "limelight_exporter.lua")
_log = logging.getLogger(__name__)


class _Retired(IntEnum):
    DONE = 1
    NOTHING = 0
    IN_USE = -1


class Retirement:
    """Forgets, in a background thread, the trace cursors of a group that sends no spans.

    A member of the group that still does keeps its cursor: then nothing happens.

    Args:
        settings: Where Redis is, and the group.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._links = connect(settings)
        self._done: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="limelight-retirement", daemon=True)

    def start(self) -> None:
        """Begin to look; returns at once, Redis may be down."""
        self._thread.start()

    def stop(self, timeout_seconds: float = 5.0) -> None:
        """End."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._look()
            except LimelightError as error:
                _log.debug("trace cursors not looked at: %s", explain(error))
            except Exception:
                _log.exception("a fault in the retirement of trace cursors; it goes on")
            self._stopping.wait(LOOK_SECONDS)
        self._links.close()

    def _look(self) -> None:
        for queue in exported_queues(self._links, self._settings):
            if queue in self._done or self._stopping.is_set():
                continue
            became = retire(self._links, queue, self._settings.group)
            if became is not _Retired.IN_USE:
                self._done.add(queue)
            if became is _Retired.DONE:
                _log.info(
                    "queue %s: group %s sends no spans any more, and its stream waits for that no longer",
                    queue, self._settings.group,
                )  # fmt: skip


def retire(links: Links, queue: str, group: str, idle_seconds: float = IDLE_SECONDS) -> _Retired:
    """Forget the trace cursor of a group, unless it is in use. Raises limelight's RedisError."""
    keys = QueueKeys(queue)
    own = (lease_field(group), trace_reader(group), int(idle_seconds * 1_000))
    call = Call(_RETIRE, (keys["meta"], keys.cursors), ("0", queue, "", "0", "", *own))
    return _Retired(int(links.to(keys["meta"]).idempotent(call)))
