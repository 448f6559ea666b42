"""Small drawings: sparklines, workers as boxes, the bars of a task's life. Form says what colour repeats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from .nodes import Node, el

MOST_BOXES: Final = 8
_NARROWEST: Final = 0.35
"""Percent of the width that a bar takes at least, so that it is seen."""
_FEWEST_POINTS: Final = 2


def spark(values: Sequence[float], kind: str = "", *, key: str = "") -> Node:
    """A line that stretches with its column; decoration beside its number."""
    return el(
        "svg", _curve(values, 100, 24, stretches=True),
        key=key, cls=f"spark {kind}", viewBox="0 0 100 24", preserveAspectRatio="none", aria_hidden="true",
    )  # fmt: skip


def small_spark(values: Sequence[float], kind: str = "", *, key: str = "") -> Node:
    """A line for a table's cell, with a dot at its end."""
    return el(
        "svg", _curve(values, 64, 20, stretches=False),
        key=key, cls=f"spark {kind}", width="64", height="20", viewBox="0 0 64 20", aria_hidden="true",
    )  # fmt: skip


def _curve(values: Sequence[float], width: int, height: int, *, stretches: bool) -> Iterator[Node]:
    values = values if len(values) >= _FEWEST_POINTS else [0.0, 0.0]
    top = max(values) * 1.12 or 1.0
    step = width / (len(values) - 1)
    points = [(at * step, height - 2 - value / top * (height - 4)) for at, value in enumerate(values)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    yield el("polygon", cls="a", points=f"0,{height} {line} {width},{height}")
    yield el("polyline", cls="l", points=line, vector_effect="non-scaling-stroke" if stretches else None)
    if not stretches:
        yield el("circle", cls="d", cx=f"{points[-1][0]:.1f}", cy=f"{points[-1][1]:.1f}", r="2")


def boxes(on: int, total: int) -> Node | None:
    """Workers, the busy ones filled; None where there are too many to draw."""
    if not 0 < total <= MOST_BOXES:
        return None
    rects = (
        el("rect", cls="on" if at < on else "", x=at * 7 + 0.5, y="0.5", width="4", height="9", rx="1")
        for at in range(total)
    )
    width = total * 7 - 2
    return el(
        "svg", rects, cls="cap", width=width, height="10", viewBox=f"0 0 {width} 10", aria_hidden="true"
    )


class Bar(NamedTuple):
    """A part of a task's life, from and to in percent of the axis: ``wait``, ``run``, ``fail``, ``live`` or ``off``."""

    kind: str
    start: float
    end: float
    note: str = ""


def bars(parts: Iterable[Bar], height: int, *, shortest_wait: float = 0.0) -> Iterator[Node]:
    """Hollow waits, solid runs, hatched failures with an end mark, outlined what runs, dots for back-off."""
    middle = height / 2
    for bar in parts:
        width = max(bar.end - bar.start, _NARROWEST)
        start = min(bar.start, 100 - width)
        if bar.kind == "wait":
            if width >= shortest_wait:
                yield _box("b-wait", start, width, middle, 7, 1.5)
        elif bar.kind == "off":
            yield el("line", cls="b-off", x1=f"{bar.start:.2f}%", x2=f"{bar.end:.2f}%", y1=middle, y2=middle)
        else:
            yield _box(f"b-{bar.kind}", start, width, middle, 11, 2)
            if bar.kind == "fail":
                end = f"{start + width:.2f}%"
                yield el("line", cls="mark", x1=end, x2=end, y1=middle - 8, y2=middle + 8)
        if bar.note:
            at = f"{(bar.start + bar.end) / 2:.2f}%"
            yield el("text", bar.note, cls="note-t", x=at, y=middle - 7, text_anchor="middle")


def _box(cls: str, start: float, width: float, middle: float, height: float, radius: float) -> Node:
    return el(
        "rect",
        cls=cls,
        x=f"{start:.2f}%",
        y=middle - height / 2,
        width=f"{width:.2f}%",
        height=height,
        rx=radius,
    )


def grid(places: Iterable[float], height: int) -> Iterator[Node]:
    """Upright lines behind bars, at percents of the width."""
    for place in places:
        yield el("line", cls="grid", x1=f"{place:g}%", x2=f"{place:g}%", y1="-6", y2=height + 6)


def axis(ticks: Sequence[tuple[float, str]]) -> Iterator[Node]:
    """Words under an axis: place in percent, and what is written there."""
    for place, words in ticks:
        anchor = "start" if place <= 0 else "end" if place >= 100 else "middle"
        yield el("text", words, cls="tick", x=f"{place:g}%", y="14", text_anchor=anchor)


def legend() -> Node:
    """How to read the bars."""
    samples = (
        ("waiting", (Bar("wait", 2, 98),)),
        ("ran", (Bar("run", 0, 100),)),
        ("running now", (Bar("live", 4, 96),)),
        ("failed attempt", (Bar("fail", 2, 96),)),
        ("back-off", (Bar("off", 4, 96),)),
    )
    return el(
        "ul", (el("li", el("svg", bars(parts, 12), aria_hidden="true"), word) for word, parts in samples),
        cls="legend", aria_label="How to read the bars",
    )  # fmt: skip
