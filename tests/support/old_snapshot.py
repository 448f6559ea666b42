"""A snapshot as exporters before version 2 wrote it."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from limelight_exporter.catalog import BUCKETS


def snapshot_of_version_1(position: dict[str, Any], counters: dict[str, Any], tasks: list[str]) -> bytes:
    """The bytes; `counters` is metric → [(labels, value), …]. One task waited for 2.25 s."""
    waits = {"limelight_task_wait_seconds": [(("send",), [0] * 6 + [1] + [0] * (len(BUCKETS) - 6), 2.25)]}
    state = {"counters": counters, "histograms": waits, "buckets": BUCKETS, "tasks": tasks, "error_types": []}
    payload = msgspec.msgpack.encode({"position": position, "state": state})
    return b"limelight-snapshot 1 %08x\n" % zlib.crc32(payload) + payload
