r"""Saves where a reader is, and what it folded so far, together in one step.

A snapshot is ``limelight-snapshot <version> <CRC-32 in hex>\n`` and msgpack. The script behind a save refuses to
go back, and trims the stream behind the readers.
"""

from __future__ import annotations

import logging
import re
import zlib
from enum import IntEnum
from typing import Final

import msgspec

from limelight.keys import QueueKeys
from limelight.storage.link import Call
from limelight.storage.links import Links
from limelight.storage.scripts import load

from .metric_state import SavedState
from .stream_source import Position

VERSION: Final = 2

_SAVE: Final = load("save", "limelight_exporter.lua")
_HEADER: Final = re.compile(rb"limelight-snapshot (\d+) ([0-9a-f]{8})\n")
_CURSOR_FIELDS: Final = 7
_log = logging.getLogger(__name__)


class Snapshot(msgspec.Struct, frozen=True):
    """The state of a queue's metrics, and the position it belongs to."""

    position: Position
    state: SavedState


class Saved(IntEnum):
    """What became of a save."""

    DONE = 1
    OTHER_EPOCH = 0
    BEHIND = -1
    """Another exporter of the group has saved a later position."""


class UnreadableSnapshot(Exception):
    """Bytes that are no snapshot of this version."""


_decoder: Final = msgspec.msgpack.Decoder(Snapshot)


def pack(snapshot: Snapshot) -> bytes:
    """The snapshot as it is stored."""
    payload = msgspec.msgpack.encode(snapshot)
    return b"limelight-snapshot %d %08x\n" % (VERSION, zlib.crc32(payload)) + payload


def unpack(raw: bytes) -> Snapshot:
    """Read what `pack` made; raises UnreadableSnapshot with the reason."""
    header = _HEADER.match(raw)
    if header is None:
        raise UnreadableSnapshot("it has no header of ours")
    if int(header[1]) != VERSION:
        raise UnreadableSnapshot(f"its version is {int(header[1])}, this exporter reads {VERSION}")
    payload = raw[header.end() :]
    if zlib.crc32(payload) != int(header[2], 16):
        raise UnreadableSnapshot("its checksum is wrong")
    try:
        return _decoder.decode(payload)
    except msgspec.DecodeError as error:
        raise UnreadableSnapshot(str(error)) from error


class Cursor:
    """The durable position of one reader of one queue's stream.

    Args:
        links: The way to Redis.
        queue: Name of the queue.
        reader: Name of the reader; those of one name share the cursor, and the furthest wins.
    """

    def __init__(self, links: Links, queue: str, reader: str) -> None:
        self._links = links
        self._keys = QueueKeys(queue)
        self._reader = reader

    def load(self) -> Position | None:
        """The saved position; None if there is none that we can read."""
        value = self._links.to(self._keys.cursors).read("HGET", self._keys.cursors, self._reader)
        parts = (value or b"").decode("utf-8", "replace").split(" ")
        if len(parts) != _CURSOR_FIELDS or not parts[1].isdigit():
            return None
        return Position(epoch=parts[3], id=parts[0], seq=int(parts[1]), begun=True)

    def save(self, position: Position, snapshot: bytes = b"", group: str = "") -> Saved:
        """Save the position, and the snapshot of the group if one is given. Raises limelight's RedisError."""
        keys = (self._keys["events"], self._keys["meta"], self._keys.cursors, self._keys.snapshot(group))
        shared = ("0", self._keys.queue, "", "0", "")
        own = (self._reader, position.epoch, position.id, position.seq, snapshot)
        reply = self._links.to(keys[0]).idempotent(Call(_SAVE, keys, (*shared, *own)))
        return Saved(int(reply))


class SnapshotStore:
    """The snapshot of one queue and exporter group."""

    def __init__(self, links: Links, queue: str, group: str) -> None:
        self._links = links
        self._key = QueueKeys(queue).snapshot(group)
        self._group = group
        self._cursor = Cursor(links, queue, group)

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
            return unpack(raw)
        except UnreadableSnapshot as error:
            _log.error("snapshot %s cannot be used (%s); set aside, replaying the stream", self._key, error)
            link.read("RENAME", self._key, f"{self._key}:unreadable")
            return None

    def save(self, snapshot: Snapshot) -> Saved:
        """Save state and position in one step. Raises limelight's RedisError."""
        return self._cursor.save(snapshot.position, pack(snapshot), self._group)
