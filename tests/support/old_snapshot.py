"""A snapshot as exporters before version 2 wrote it."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from limelight_exporter.catalog import BUCKETS


def snapshot_of_version_1(position: dict[str, Any], counters: dict[str, Any], tasks: list[str]) -> bytes:
    """The bytes; `counters` is metric → [(labels, value), …]."""
    state = {"counters": counters, "histograms": {}, "buckets": BUCKETS, "tasks": tasks, "error_types": []}
    payload = msgspec.msgpack.encode({"position": position, "state": state})
    return b"limelight-snapshot 1 %08x\n" % zlib.crc32(payload) + payload
