"""Waiting for tasks to end: told by Redis, not by asking again and again."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Final

from .listening import PubSub

log = logging.getLogger(__name__)

_IDLE_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.5


class Ends:
    """Told when tasks end. One subscription, and one thread, serve all who wait in this process.

    A message that is lost with a connection costs time, not truth: whoever waits looks now and then for itself.

    Args:
        subscribe: Opens a subscription to a channel.
        channel_of: The channel of a waiting process, by its id.
    """

    def __init__(self, subscribe: Callable[[str], PubSub], channel_of: Callable[[str], str]) -> None:
        self._subscribe = subscribe
        self._channel_of = channel_of
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._waiting: dict[str, list[threading.Event]] = {}
        self._channel = ""

    @contextlib.contextmanager
    def expected(self, task_id: str) -> Iterator[tuple[str, threading.Event]]:
        """The channel on which to be told, and an event that is set when the task has ended."""
        if self._pid != os.getpid():
            self._begin_anew()
        ended = threading.Event()
        with self._lock:
            self._waiting.setdefault(task_id, []).append(ended)
            if not self._channel:
                self._listen()
            channel = self._channel
        try:
            yield channel, ended
        finally:
            with self._lock:
                others = [one for one in self._waiting.pop(task_id, []) if one is not ended]
                if others:
                    self._waiting[task_id] = others

    def _listen(self) -> None:
        channel = self._channel_of(uuid.uuid4().hex)
        pubsub = self._subscribe(channel)
        self._channel = channel
        threading.Thread(target=self._run, args=(pubsub, channel), name="ends", daemon=True).start()

    def _run(self, pubsub: PubSub, channel: str) -> None:
        """Pass on what is told, until nobody has waited for a while or the connection breaks."""
        wanted_at = time.monotonic()
        try:
            while time.monotonic() - wanted_at < _IDLE_SECONDS or not self._retired(channel):
                message = pubsub.get_message(timeout=_LOOK_SECONDS)
                if message and message["type"] == "message":
                    self._pass_on(message["data"].decode("utf-8", "replace"))
                if self._waiting:
                    wanted_at = time.monotonic()
        except Exception as error:  # those who wait look for themselves, the next to wait listens anew
            log.debug("no longer told of ends: %s", error)
            self._retire(channel)
        finally:
            with contextlib.suppress(Exception):
                pubsub.close()

    def _retired(self, channel: str) -> bool:
        """End the channel, unless somebody waits on it."""
        with self._lock:
            if self._waiting:
                return False
            self._channel = "" if self._channel == channel else self._channel
            return True

    def _retire(self, channel: str) -> None:
        with self._lock:
            self._channel = "" if self._channel == channel else self._channel

    def _pass_on(self, task_id: str) -> None:
        with self._lock:
            for ended in self._waiting.get(task_id, ()):
                ended.set()
