"""Failures in a key of their own, so that a restart of the exporter does not forget them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from limelight.errors import LimelightError
from limelight.keys import QueueKeys
from limelight.storage.links import Links

from .failures import Group

SAVE_SECONDS: Final = 30.0
KEPT_SECONDS: Final = 86_400
_MOST_GROUPS: Final = 20
"""Of one queue, the newest."""
_log = logging.getLogger(__name__)


class _Kept(msgspec.Struct):
    groups: list[Group] = []
    v: int = 1


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Kept).decode


class Keepsake:
    """The failures of one queue and exporter group in Redis. It raises nothing: they are a comfort, not a count.

    Args:
        links: The way to Redis.
        queue: Name of the queue.
        group: Exporter group; those of one group see the same events, and the last one's word stands.
        clock: Monotonic seconds.
    """

    def __init__(
        self, links: Links, queue: str, group: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._links, self._clock = links, clock
        self._key = QueueKeys(queue).failures(group)
        self._saved_at = float("-inf")

    def load(self) -> Sequence[Group]:
        """What was saved last; nothing where that cannot be read."""
        try:
            raw = self._links.to(self._key).read("GET", self._key)
            return _decode(raw).groups if raw else ()
        except (LimelightError, msgspec.DecodeError) as error:
            _log.debug("failures of before are not known: %s", error)
            return ()

    @property
    def is_due(self) -> bool:
        """Whether the last save is half a minute old."""
        return self._clock() - self._saved_at >= SAVE_SECONDS

    def save(self, groups: Sequence[Group]) -> None:
        """Save the newest of them."""
        self._saved_at = self._clock()
        raw = _encode(_Kept(list(groups)[-_MOST_GROUPS:]))
        try:
            self._links.to(self._key).read("SET", self._key, raw, "EX", KEPT_SECONDS)
        except LimelightError as error:
            _log.debug("failures are not saved: %s", error)
