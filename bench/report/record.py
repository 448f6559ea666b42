"""A run file: everything that was measured in one run, and under what circumstances."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import msgspec


@dataclass(slots=True, kw_only=True)
class Row:
    """One figure of one contender, over the rounds.

    Attributes:
        scenario: How it was measured.
        figure: What, with its unit.
        setting: What contenders that are compared have in common.
        contender: On whom.
        better: ``more``, ``less``, or "" where neither is.
        peer: Whether it is somebody else's queue, against which ours is held.
        values: One a round; None where that round failed.
        missing: Why there is no value.
    """

    scenario: str
    figure: str
    setting: str
    contender: str
    better: str = ""
    peer: bool = False
    values: list[float | None] = field(default_factory=list)
    missing: str = ""

    @property
    def measured(self) -> list[float]:
        """The values of the rounds that went well."""
        return [value for value in self.values if value is not None]

    @property
    def median(self) -> float | None:
        """The median, or None."""
        return statistics.median(self.measured) if self.measured else None

    def over(self, other: Self) -> float | None:
        """Median over the rounds of our value / its value in the same round, or None."""
        pairs = zip(self.values, other.values, strict=False)
        ratios = [mine / its for mine, its in pairs if mine is not None and its]
        return statistics.median(ratios) if ratios else None


@dataclass(slots=True, kw_only=True)
class Record:
    """What a run file holds.

    Attributes:
        about: When, where, of which versions, how many rounds of which size.
        rows: What was measured.
    """

    about: dict[str, Any]
    rows: list[Row] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a run file."""
        return msgspec.json.decode(path.read_bytes(), type=cls)

    def save(self, path: Path) -> None:
        """Write a run file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")

    def add(self, number: int, value: float | None, new: Row) -> None:
        """Note a value of a round (from 0) in the row like `new`, which is added if there is none yet."""
        row = next((one for one in self.rows if _key(one) == _key(new)), None)
        if row is None:
            self.rows.append(row := new)
        row.missing = new.missing or row.missing
        row.values += [None] * (number + 1 - len(row.values))
        row.values[number] = value

    def groups(self) -> Iterator[tuple[tuple[str, str, str], list[Row]]]:
        """Rows that are compared with each other, by scenario, figure and setting."""
        for key in dict.fromkeys((row.scenario, row.figure, row.setting) for row in self.rows):
            yield key, [row for row in self.rows if (row.scenario, row.figure, row.setting) == key]

    def find(self, scenario: str, figure: str, setting: str, wanted: Callable[[Row], bool]) -> list[Row]:
        """Rows of a group that were measured and are wanted."""
        rows = dict(self.groups()).get((scenario, figure, setting), [])
        return [row for row in rows if row.measured and wanted(row)]


def best(rows: Sequence[Row]) -> Row | None:
    """The best of some rows that are compared with each other, by its median; None if none was measured."""
    measured = [row for row in rows if row.median is not None]
    if not measured or not measured[0].better:
        return None
    choose = max if measured[0].better == "more" else min
    return choose(measured, key=lambda row: row.median or 0.0)


def _key(row: Row) -> tuple[str, str, str, str]:
    return row.scenario, row.figure, row.setting, row.contender
