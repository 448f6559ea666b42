"""Listens to channels on which Huey 1.x tells its events, and begins anew when a subscription breaks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Sequence
from typing import Final

from limelight.errors import LimelightError
from limelight.storage.listening import Feed

from . import catalog
from .config import Settings
from .connection import connect, explain
from .document import read
from .exposition import Exposition
from .hearsay import Hearsay

_BACK_OFF_SECONDS: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
_POLL_SECONDS: Final = 0.5
_log = logging.getLogger(__name__)


class Subscription:
    """One channel, heard in a thread of its own.

    Args:
        settings: Where Redis is; buckets and limits.
        channel: Its name, which also becomes the ``queue`` of its metrics.
    """

    def __init__(self, settings: Settings, channel: str) -> None:
        self.channel = channel
        self.heard = Hearsay(channel, settings.file)
        self.trouble = "not subscribed yet"
        self._address = connect(settings).address
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"limelight-pubsub-{channel}", daemon=True)

    def start(self) -> None:
        """Begin to listen; returns at once, Redis may be down."""
        self._thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """Listen no longer."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                feed = Feed(self._address, self.channel)
            except LimelightError as error:
                self._failed(error)
                self._stopping.wait(_BACK_OFF_SECONDS[min(failures, len(_BACK_OFF_SECONDS) - 1)])
                failures += 1
                continue
            failures, self.trouble = 0, ""
            _log.info("subscribed to %s", self.channel)
            try:
                self._listen(feed)
            except LimelightError as error:
                self.heard.broke()
                self._failed(error)
            finally:
                feed.close()

    def _listen(self, feed: Feed) -> None:
        while not self._stopping.is_set():
            raw = feed.read(_POLL_SECONDS)
            if raw is None:
                continue
            event = read(raw)
            if isinstance(event, str):
                self.heard.malformed(event)
            else:
                self.heard.tell(event)

    def _failed(self, error: LimelightError) -> None:
        trouble = explain(error)
        if "permissions" in trouble:
            trouble += f"; `limelight doctor --pubsub {self.channel}` says which right is missing"
        if trouble != self.trouble:
            _log.warning("channel %s: %s (trying again until it works)", self.channel, trouble)
        self.trouble = trouble


class Subscriptions:
    """All channels that are listened to.

    Args:
        settings: Names them.
    """

    def __init__(self, settings: Settings) -> None:
        self._all = [Subscription(settings, channel) for channel in settings.pubsub]
        self._refused: set[str] = set()

    def start(self) -> None:
        """Begin to listen."""
        for one in self._all:
            one.start()

    def stop(self, timeout_seconds: float) -> None:
        """Listen no longer."""
        for one in self._all:
            one.stop(timeout_seconds)

    def unready(self) -> Sequence[str]:
        """Why events are not heard, one sentence for each channel."""
        return [f"Channel {one.channel}: {one.trouble}." for one in self._all if one.trouble]

    def collect(self, exposition: Exposition, taken: Collection[str]) -> None:
        """Add what was heard to a scrape, except for channels that are named like one of the `taken` queues."""
        for one in self._all:
            if one.channel in taken:
                self._refuse(one.channel)
                continue
            exposition.add(catalog.SOURCE_INFO, (one.channel, "pubsub"), 1)
            exposition.add(catalog.SUBSCRIBED, (one.channel,), int(not one.trouble))
            one.heard.collect(exposition)

    def _refuse(self, channel: str) -> None:
        if channel not in self._refused:
            self._refused.add(channel)
            _log.error("channel %s is not shown: there is a queue of that name, told on its stream", channel)
