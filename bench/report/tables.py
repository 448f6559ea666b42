"""A run as tables: for people at a terminal, and as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.table import Table

from report.record import Record, Row, best


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table before it has a form.

    Attributes:
        title: What is in it.
        head: Its columns; the first is text, the others are numbers.
        lines: Its cells.
        notes: What stands below it.
    """

    title: str
    head: Sequence[str]
    lines: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def rich(self) -> Table:
        """For the terminal."""
        table = Table(
            title=self.title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, min_width=80
        )
        for at, name in enumerate(self.head):
            table.add_column(name, justify="right" if at else "left")
        if self.notes:
            table.caption, table.caption_justify = "\n".join(self.notes), "left"
        for line in self.lines:
            table.add_row(*line)
        return table

    def markdown(self) -> str:
        """For a page."""
        rule = "|".join(["---", *("---:" for _ in self.head[1:])])
        rows = [f"| {' | '.join(line)} |" for line in self.lines]
        table = ["", f"| {' | '.join(self.head)} |", f"|{rule}|", *rows] if rows else []
        notes = ["", " ".join(self.notes)] if self.notes else []
        return "\n".join([f"**{self.title}**", *table, *notes, ""])


def sheets(record: Record) -> Iterator[Sheet]:
    """One for each group of contenders that are compared: their first figure in full, of others the median."""
    for scenario, setting in dict.fromkeys((row.scenario, row.setting) for row in record.rows):
        groups = {
            figure: rows
            for (its, figure, where), rows in record.groups()
            if (its, where) == (scenario, setting)
        }
        yield _sheet(f"{scenario}{f', {setting}' if setting else ''}", groups)


def _sheet(title: str, groups: Mapping[str, Sequence[Row]]) -> Sheet:
    figure, *others = groups
    peer = best([row for row in groups[figure] if row.peer])
    compared = ["÷ best peer"] if peer else []
    lines = [
        [
            row.contender,
            *_first(row),
            *([_ratio(row, peer)] if peer else []),
            *(_median(groups[name], row.contender) for name in others),
        ]
        for row in groups[figure]
        if row.measured
    ]
    notes = [f"{row.contender}: {row.missing}." for row in groups[figure] if row.missing]
    return Sheet(f"{title}: {figure}", ["", "min", "median", "max", *compared, *others], lines, notes)


def number(value: float) -> str:
    """A number with three significant digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"


def _first(row: Row) -> list[str]:
    return [number(value) for value in (min(row.measured), row.median or 0.0, max(row.measured))]


def _ratio(row: Row, peer: Row) -> str:
    ratio = row.over(peer)
    return "" if ratio is None else f"{ratio:.2f}"


def _median(rows: Sequence[Row], contender: str) -> str:
    found = [row.median for row in rows if row.contender == contender and row.median is not None]
    return number(found[0]) if found else ""
