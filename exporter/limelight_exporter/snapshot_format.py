r"""The snapshot of one queue as bytes, of this version and of every earlier one.

It is ``limelight-snapshot <version> <CRC-32 in hex>\n`` and msgpack. An older version is migrated step by step; a newer
one, or bytes that are none, cannot be read.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from .catalog import KEPT_PER_QUEUE
from .metric_state import SavedState
from .stream_source import Position, hour_of

VERSION: Final = 2
_TIME: Final = "limelight_task_time_seconds_total"

_HEADER: Final = re.compile(rb"limelight-snapshot (\d{1,9}) ([0-9a-f]{8})\n")


class Snapshot(msgspec.Struct, frozen=True):
    """The state of a queue's metrics, and the position it belongs to."""

    position: Position
    state: SavedState


class UnreadableSnapshot(Exception):
    """Bytes that are no snapshot that this version can read; the message says why."""


def covers(ours: SavedState, theirs: SavedState) -> bool:
    """Whether no counter from events is lower in our state than in theirs."""
    counted = {name: dict(cells) for name, cells in ours.counters.items()}
    return all(
        counted.get(name, {}).get(labels, 0) >= value
        for name, cells in theirs.counters.items()
        if name not in KEPT_PER_QUEUE
        for labels, value in cells
    )


def pack(snapshot: Snapshot) -> bytes:
    """The snapshot as it is stored."""
    payload = msgspec.msgpack.encode(snapshot)
    return b"limelight-snapshot %d %08x\n" % (VERSION, zlib.crc32(payload)) + payload


def unpack(raw: bytes) -> Snapshot:
    """Read what `pack` of this or an earlier version made; raises UnreadableSnapshot with the reason."""
    header = _HEADER.match(raw)
    if header is None:
        raise UnreadableSnapshot("it has no header of ours")
    version, payload = int(header[1]), raw[header.end() :]
    if not 1 <= version <= VERSION:
        raise UnreadableSnapshot(f"its version is {version}, this exporter reads 1 to {VERSION}")
    if zlib.crc32(payload) != int(header[2], 16):
        raise UnreadableSnapshot("its checksum is wrong")
    try:
        return _migrated(payload, version) if version < VERSION else _decode(payload)
    except (msgspec.DecodeError, LookupError, TypeError, ValueError) as error:
        raise UnreadableSnapshot(str(error)) from error


_decode: Final = msgspec.msgpack.Decoder(Snapshot).decode


def _migrated(payload: bytes, version: int) -> Snapshot:
    values = msgspec.msgpack.decode(payload)
    for step in range(version, VERSION):
        values = _NEXT[step](values)
    return msgspec.convert(values, Snapshot)


def _from_1(values: dict[str, Any]) -> dict[str, Any]:
    """Version 2 knows how many events it counted in all, and when each task was last heard of; seconds are in µs."""
    position, state = values["position"], values["state"]
    told = sum(int(count) for _, count in state["counters"].get("limelight_events_total", ()))
    hour = hour_of(position["id"])
    heard = {"tasks": dict.fromkeys(state["tasks"], hour), "hour": hour}
    heard["error_types"] = dict.fromkeys(state["error_types"], hour)
    counters = {**state["counters"], _TIME: _in_micros(state["counters"].get(_TIME, ()))}
    histograms = {name: _in_micros(cells) for name, cells in state["histograms"].items()}
    changed = {"counters": counters, "histograms": histograms, "heard": heard, "objectives": {}}
    return {"position": {**position, "told": told}, "state": {**state, **changed}}


def _in_micros(cells: Iterable[Sequence[Any]]) -> list[Sequence[Any]]:
    """Cells whose last value was seconds."""
    return [[*cell[:-1], round(cell[-1] * 1e6)] for cell in cells]


_NEXT: Final[Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {1: _from_1}
"""From each version to the next."""
