"""What a board is made of, in our words: what is asked and how it is read. Nothing here knows Grafana's format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

GREEN: Final = "green"
ORANGE: Final = "orange"
RED: Final = "red"
PLAIN: Final = "text"
"""The colour of ordinary text: a number that is neither good nor bad."""

WIDTH: Final = 24
"""Columns of Grafana's grid."""


class Kind(Enum):
    """How a panel is drawn, by the name of Grafana's plugin."""

    STAT = "stat"
    GAUGE = "gauge"
    SERIES = "timeseries"
    HEATMAP = "heatmap"
    TIMELINE = "state-timeline"
    TABLE = "table"


class Style(Enum):
    """How the series of a panel are drawn."""

    LINES = "lines"
    STACKED = "stacked"
    BARS = "bars"


@dataclass(frozen=True, slots=True)
class Limit:
    """From this value on, this colour."""

    value: float
    colour: str


@dataclass(frozen=True, slots=True)
class Query:
    """One question to Prometheus.

    Attributes:
        expr: PromQL, with the dashboard's variables.
        legend: What its series are called; ``{{label}}`` stands for a label.
        exemplars: Whether points that lead to traces are drawn; one query of a panel at most.
        is_limit: Whether it is a line to stay below (or above), and no measurement.
        unit: Of its values if not the panel's; they then have an axis of their own, on the right.
    """

    expr: str
    legend: str = ""
    exemplars: bool = False
    is_limit: bool = False
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: a question asked for the end of the range.

    Attributes:
        title: Its head.
        unit: Of its values.
        limits: Colours of its cells; `base` is the colour below all of them.
        none: What to show where it has no value.
    """

    title: str
    expr: str
    unit: str = "short"
    limits: Sequence[Limit] = ()
    base: str = GREEN
    none: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel.

    Attributes:
        title: Unique within its board.
        description: What it says and what to make of it, for somebody who was just woken.
        unit: Of the values, by Grafana's name.
        width: Of 24.
        limits: Colours by value; the first colour below all of them is `base`.
        top: The greatest value of the axis, where there is one.
        words: What to show instead of a number from a value on (up to the next).
        empty: What to show if there is rightly nothing; otherwise emptiness is called unknown.
        links: Where to go on, as title and address.
        label_links: Where the cells of a table lead, by label.
    """

    kind: Kind
    title: str
    description: str
    queries: Sequence[Query] = ()
    columns: Sequence[Column] = ()
    unit: str = "short"
    width: int = 8
    height: int = 8
    style: Style = Style.LINES
    limits: Sequence[Limit] = ()
    base: str = PLAIN
    top: float | None = None
    bottom: float | None = 0
    decimals: int | None = None
    words: Sequence[tuple[float, str, str]] = ()
    empty: str = "unknown"
    links: Sequence[tuple[str, str]] = ()
    label_links: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading, laid out from left to right; collapsed rows ask nothing until they are opened."""

    title: str
    panels: Sequence[Panel]
    collapsed: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard.

    Attributes:
        name: Its address is ``limelight-<name>``.
        description: Which question it answers.
        rows: From the general to the specific; the first has no heading.
        variables: Names of what can be chosen at its top, apart from the data source and the job.
    """

    name: str
    title: str
    description: str
    rows: Sequence[Row]
    variables: Sequence[str] = field(default=("queue",))

    @property
    def uid(self) -> str:
        """Its address, and the name of its file."""
        return f"limelight-{self.name}"


def stat(
    title: str,
    description: str,
    expr: str,
    *,
    unit: str = "short",
    width: int = 4,
    height: int = 4,
    limits: Sequence[Limit] = (),
    base: str = "",
    words: Sequence[tuple[float, str, str]] = (),
    empty: str = "unknown",
    decimals: int | None = None,
    links: Sequence[tuple[str, str]] = (),
) -> Panel:
    """One number with its recent past behind it; green unless it passes a limit."""
    return Panel(
        kind=Kind.STAT,
        title=title,
        description=description,
        queries=(Query(expr, title),),
        unit=unit,
        width=width,
        height=height,
        limits=limits,
        base=base or (GREEN if limits else PLAIN),
        words=words,
        empty=empty,
        decimals=decimals,
        links=links,
    )


def dial(
    title: str,
    description: str,
    expr: str,
    *,
    width: int = 4,
    limits: Sequence[Limit],
) -> Panel:
    """A share of a whole."""
    return Panel(
        kind=Kind.GAUGE,
        title=title,
        description=description,
        queries=(Query(expr, title),),
        unit="percentunit",
        width=width,
        height=4,
        limits=limits,
        base=GREEN,
        top=1,
    )


def graph(
    title: str,
    description: str,
    *queries: Query,
    unit: str = "short",
    width: int = 8,
    style: Style = Style.LINES,
    limits: Sequence[Limit] = (),
    top: float | None = None,
    bottom: float | None = 0,
    empty: str = "unknown",
) -> Panel:
    """Series over time; limits are drawn as dashed lines."""
    return Panel(
        kind=Kind.SERIES,
        title=title,
        description=description,
        queries=queries,
        unit=unit,
        width=width,
        style=style,
        limits=limits,
        top=top,
        bottom=bottom,
        empty=empty,
    )


def heatmap(title: str, description: str, expr: str, *, width: int = 8) -> Panel:
    """How durations are spread over a histogram's buckets, in seconds, over time."""
    return Panel(
        kind=Kind.HEATMAP,
        title=title,
        description=description,
        queries=(Query(expr, "{{le}}"),),
        unit="s",
        width=width,
    )


def timeline(
    title: str, description: str, query: Query, *, words: Sequence[tuple[float, str, str]], width: int = 8
) -> Panel:
    """States over time, one line for each series."""
    return Panel(
        kind=Kind.TIMELINE,
        title=title,
        description=description,
        queries=(query,),
        width=width,
        words=words,
    )


def table(
    title: str,
    description: str,
    *columns: Column,
    width: int = WIDTH,
    height: int = 8,
    empty: str,
    label_links: Sequence[tuple[str, str]] = (),
) -> Panel:
    """What holds at the end of the range, a line for each combination of labels."""
    return Panel(
        kind=Kind.TABLE,
        title=title,
        description=description,
        columns=columns,
        width=width,
        height=height,
        empty=empty,
        label_links=label_links,
    )
