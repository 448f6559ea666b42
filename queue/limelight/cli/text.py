"""How durations and numbers are written: two units at most, three digits where they count."""

from __future__ import annotations

import itertools
from typing import Final

_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def duration(seconds: float) -> str:
    """A span of time for reading: ``310 ms``, ``8.4 s``, ``41 s``, ``6 m 40 s``, ``2 h 5 m``, ``6 d 4 h``."""
    if seconds < 0.9995:
        return f"{max(0, round(seconds * 1000))} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    return _two_units(round(seconds))


def _two_units(seconds: int) -> str:
    for (unit, size), (smaller, part) in itertools.pairwise(_UNITS):
        if seconds >= size:
            rest = seconds % size // part
            return f"{seconds // size} {unit} {rest} {smaller}" if rest else f"{seconds // size} {unit}"
    return f"{seconds} s"


def compact(seconds: float) -> str:
    """The same for a table's cell: ``310ms``, ``6m40s``."""
    return duration(seconds).replace(" ", "")


def age(seconds: float) -> str:
    """How old something is, never in milliseconds: ``0.1s``, ``2.2s``, ``41s``, ``6m40s``."""
    return f"{max(0.0, seconds):.1f}s" if seconds < 0.9995 else compact(seconds)


def number(value: int) -> str:
    """Grouped: ``42,604``."""
    return f"{value:,}"


def rate(per_second: float) -> str:
    """Three digits at most: ``0``, ``0.8``, ``24.0``, ``142``."""
    if per_second == 0:
        return "0"
    if per_second < 0.05:
        return "<0.1"
    return f"{per_second:.1f}" if per_second < 99.95 else f"{per_second:,.0f}"


def counted(value: int, noun: str) -> str:
    """With its noun: ``1 task``, ``1,284 tasks``."""
    return f"{number(value)} {noun}" + ("" if value == 1 else "s")


def shown(text: str) -> str:
    """A text that nobody vouches for, with every character made visible that a terminal would obey or hide."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def cut(text: str, width: int, mark: str = "…") -> str:
    """At most `width` characters, control characters made visible, and a mark where it was cut."""
    visible = shown(text)
    return visible if len(visible) <= width else visible[: max(0, width - len(mark))] + mark
