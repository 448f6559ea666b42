"""Cuts an exposition down to the families and samples that a scraper asks for with ``name[]``."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

_ABOUT: Final = (b"# HELP ", b"# TYPE ", b"# UNIT ")
_SUFFIXES: Final = (b"_total", b"_info", b"_bucket", b"_count", b"_sum")


def selected(body: bytes, names: Collection[bytes]) -> bytes:
    """The lines about the names, in their order.

    Args:
        body: An exposition in OpenMetrics or in Prometheus' own text format.
        names: Of families (``limelight_task_duration_seconds``), or of samples to have only those (``…_bucket``).
    """
    return b"".join(_lines(body, frozenset(names)))


def _lines(body: bytes, names: frozenset[bytes]) -> Iterator[bytes]:
    about: list[bytes] = []
    family = b""
    for line in body.splitlines(keepends=True):
        if line.startswith(_ABOUT):
            name = line.split(b" ", 3)[2].strip()
            about = [*about, line] if name == family else [line]
            family = name
        elif line.startswith(b"#"):
            yield line  # OpenMetrics' end
        elif not names.isdisjoint(_called(line)):
            yield from about
            about = []
            yield line


def _called(line: bytes) -> tuple[bytes, bytes]:
    """A sample's name, and its family's: OpenMetrics leaves a counter's ``_total`` out of it."""
    sample = line.partition(b"{")[0].partition(b" ")[0]
    endings = (sample.removesuffix(suffix) for suffix in _SUFFIXES if sample.endswith(suffix))
    return sample, next(endings, sample)
