"""Saves where a reader is, and what it folded so far, together in one step.

The script behind a save refuses to go back, and trims the stream behind the readers.
"""

from __future__ import annotations

import logging
from enum import IntEnum
from typing import Final

from limelight.keys import QueueKeys
from limelight.storage.link import Call
from limelight.storage.links import Links
from limelight.storage.scripts import load

from .snapshot_format import Snapshot, UnreadableSnapshot, pack, unpack
from .stream_source import Position

_SAVE: Final = load("save", "limelight_exporter.lua")
_CURSOR_FIELDS: Final = 7
_NO_SETTINGS: Final = "-"
_log = logging.getLogger(__name__)


class Saved(IntEnum):
    """What became of a save."""

    DONE = 1
    OTHER_EPOCH = 0
    BEHIND = -1
    """Another exporter of the group has saved a later position."""
    OUTRANKED = -2
    """Another exporter of the group has saved a state that counted more: it read what we missed."""


class Cursor:
    """The durable position of one reader of one queue's stream.

    Attributes:
        differs: Whether somebody else saves this cursor, and with other settings than ours.

    Args:
        links: The way to Redis.
        queue: Name of the queue.
        reader: Name of the reader; those of one name share the cursor, and the furthest wins.
        settings: What they must have alike, in one word.
    """

    def __init__(self, links: Links, queue: str, reader: str, settings: str = _NO_SETTINGS) -> None:
        self._links = links
        self._keys = QueueKeys(queue)
        self._reader = reader
        self._settings = settings
        self._forgotten = 0
        self._agreed: Position | None = None
        self._answered = False
        self.differs = False

    def load(self) -> Position | None:
        """The saved position; None if there is none that we can read."""
        value = self._links.to(self._keys.cursors).read("HGET", self._keys.cursors, self._reader)
        parts = (value or b"").decode("utf-8", "replace").split(" ")
        if len(parts) < _CURSOR_FIELDS or not parts[1].isdigit():
            return None
        seq = int(parts[1])
        told = max(0, seq + int(parts[7])) if parts[7:] and parts[7].lstrip("-").isdigit() else seq
        position = Position(epoch=parts[3], id=parts[0], seq=seq, told=told, begun=True)
        self.agree(position)
        return position

    def agree(self, position: Position) -> None:
        """Go on from what is saved there: whoever follows it may also lose events, and save that."""
        self._agreed = position

    def take_forgotten(self) -> int:
        """How many readers our saves found away for too long, and dropped, since this was asked last."""
        count, self._forgotten = self._forgotten, 0
        return count

    def save(self, position: Position, snapshot: bytes = b"", group: str = "") -> Saved:
        """Save the position, and the snapshot of the group if one is given. Raises limelight's RedisError."""
        keys = (self._keys["events"], self._keys["meta"], self._keys.cursors, self._keys.snapshot(group))
        shared = ("0", self._keys.queue, "", "0", "")
        own = (self._reader, position.epoch, position.id, position.seq, snapshot, position.credit)
        agreed = ("", "") if self._agreed is None else (self._agreed.credit, self._agreed.seq)
        call = Call(_SAVE, keys, (*shared, *own, *agreed, self._settings))
        code, settings, *forgotten = self._links.to(keys[0]).idempotent(call)
        self._compare(settings.decode("utf-8", "replace"))
        for reader in forgotten:
            self._forgotten += 1
            _log.warning(
                "queue %s: reader %s has not been seen for longer than events are kept and is forgotten; the stream "
                "waits for it no longer",
                self._keys.queue, reader.decode("utf-8", "replace"),
            )  # fmt: skip
        if int(code) == Saved.DONE:
            self.agree(position)
        return Saved(int(code))

    def _compare(self, theirs: str) -> None:
        """Notice who saved last with other settings; before our first save that may be who was here before us."""
        differed = self.differs
        self.differs = self._answered and theirs not in {"", _NO_SETTINGS, self._settings}
        self._answered = True
        if self.differs and not differed:
            _log.error(
                "queue %s: another exporter of group %s has other buckets or limits, so the two disagree: give both "
                "the same --config-file. Theirs: %s. Ours: %s.",
                self._keys.queue, self._reader, theirs, self._settings,
            )  # fmt: skip
        elif differed and not self.differs:
            _log.info("queue %s: the exporters of group %s agree again", self._keys.queue, self._reader)


class SnapshotStore:
    """The snapshot of one queue and exporter group.

    Attributes:
        cursor: The group's.
        set_aside: How many snapshots could not be read.

    Args:
        links: The way to Redis.
        queue: Name of the queue.
        group: Name of the exporter group.
        settings: What its exporters must have alike, in one word.
    """

    def __init__(self, links: Links, queue: str, group: str, settings: str = _NO_SETTINGS) -> None:
        self._links = links
        self._key = QueueKeys(queue).snapshot(group)
        self._group = group
        self.cursor = Cursor(links, queue, group, settings)
        self.set_aside = 0

    def load(self) -> Snapshot | None:
        """The newest snapshot; None if there is none.

        One that cannot be read is set aside under ``<key>:unreadable``, loudly: counting starts from what the
        stream still holds. Raises limelight's RedisError.
        """
        link = self._links.to(self._key)
        raw = link.read("GET", self._key)
        if not raw:
            return None
        try:
            snapshot = unpack(raw)
        except UnreadableSnapshot as error:
            _log.error("snapshot %s cannot be used (%s); set aside, replaying the stream", self._key, error)
            self.set_aside += 1
            link.read("RENAME", self._key, f"{self._key}:unreadable")
            return None
        self.cursor.agree(snapshot.position)
        return snapshot

    def save(self, snapshot: Snapshot) -> Saved:
        """Save state and position in one step. Raises limelight's RedisError."""
        return self.cursor.save(snapshot.position, pack(snapshot), self._group)
