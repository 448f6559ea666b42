"""How numbers, times and names are written on the live page: one place, so that no two cells differ. Pure."""

from __future__ import annotations

import datetime as dt
import math
import unicodedata
from typing import Final

LONGEST_NAME: Final = 80
LONGEST_MESSAGE: Final = 300
NOTHING: Final = "–"
_LADDER: Final = ((60.0, 1.0, "m", "s"), (3_600.0, 60.0, "h", "m"), (86_400.0, 3_600.0, "d", "h"))
_UNSEEN: Final = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Co"})
"""Unicode categories that show nothing, or change how their neighbours are shown."""


def duration(seconds: float | None) -> str:
    """Two units at most: ``310 ms``, ``8.4 s``, ``6 m 40 s``, ``2 h 5 m``, ``6 d 4 h``; a dash for None."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    seconds = max(0.0, seconds)
    if 0 < seconds < 0.9995:
        return f"{math.floor(seconds * 1_000 + 0.5)} ms"
    if seconds < 59.95:
        return f"{math.floor(seconds * 10 + 0.5) / 10:g} s"
    large, small, name, rest_name = next(
        (step for step in reversed(_LADDER) if seconds >= step[0] - step[1] / 2), _LADDER[0]
    )
    parts = math.floor(seconds / small + 0.5)
    whole, rest = divmod(parts, round(large / small))
    return f"{whole} {name} {rest} {rest_name}" if rest else f"{whole} {name}"


def count(number: float) -> str:
    """A whole number, grouped: ``42,604``."""
    return f"{number:,.0f}"


def rate(per_second: float | None) -> str:
    """Three significant digits, two decimals at most: ``184``, ``1.1``, ``0.02``."""
    if per_second is None:
        return NOTHING
    if per_second >= 100:
        return count(per_second)
    return f"{per_second:.{1 if per_second >= 10 else 2}f}".rstrip("0").rstrip(".")


def share(part: float, whole: float) -> str:
    """A percentage: ``54 %``, ``0.03 %``; a dash where there is no whole."""
    if not whole:
        return NOTHING
    percent = 100 * part / whole
    if percent >= 10 or not percent:
        return f"{percent:.0f} %"
    return f"{percent:.2g} %" if percent >= 0.01 else "< 0.01 %"


def clock(moment: float) -> str:
    """A time of day, UTC: ``15:03:58``."""
    return _utc(moment).strftime("%H:%M:%S")


def date(moment: float) -> str:
    """A moment in full: ``22 Nov 2026, 15:04:11.204 UTC``."""
    when = _utc(moment)
    return f"{when.day} {when:%b %Y, %H:%M:%S}.{when.microsecond // 1_000:03} UTC"


def iso(moment: float) -> str:
    """A moment for machines."""
    return _utc(moment).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _utc(moment: float) -> dt.datetime:
    """The moment; what no calendar holds (an event is not to be trusted) is the first there is."""
    try:
        return dt.datetime.fromtimestamp(moment, dt.UTC)
    except (OverflowError, ValueError, OSError):
        return dt.datetime.fromtimestamp(0, dt.UTC)


def ago(seconds: float) -> str:
    """How long past: ``48 s ago``; whole seconds, for it is counted on every second."""
    return f"{whole_seconds(seconds)} ago" if seconds >= 1 else "just now"


def ahead(seconds: float) -> str:
    """How long to go: ``in 12 s``."""
    return f"in {whole_seconds(seconds)}" if seconds >= 1 else "now"


def whole_seconds(seconds: float) -> str:
    """A duration without tenths."""
    return duration(float(math.floor(max(0.0, seconds))))


def uptime(seconds: float) -> str:
    """A duration in whole minutes, so that it stands still for a while."""
    return duration(seconds // 60 * 60) if seconds >= 60 else "less than a minute"


def plural(number: float, one: str, many: str = "") -> str:
    """``1 task``, ``312 tasks``."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def visible(text: str, limit: int = LONGEST_NAME, *, lines: bool = False) -> str:
    """The text with nothing hidden in it: control and direction characters by their numbers, cut to `limit`.

    Args:
        text: Anything.
        limit: Characters of it that are kept.
        lines: Whether line breaks and tabs stay what they are.
    """
    kept = "\n\t" if lines else ""
    shown = "".join(
        one if one in kept or unicodedata.category(one) not in _UNSEEN else _spelt(one)
        for one in text[:limit]
    )
    return shown + "…" if len(text) > limit else shown


def _spelt(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
