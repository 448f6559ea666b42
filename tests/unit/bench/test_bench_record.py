"""A run file: what it keeps, and how contenders are compared."""

from pathlib import Path

import pytest

from report.record import Record, Row, best


def row(contender: str, *values: float | None, better: str = "more", peer: bool = True) -> Row:
    return Row(
        scenario="drain",
        figure="tasks/s",
        setting="",
        contender=contender,
        better=better,
        peer=peer,
        values=list(values),
    )


def test_a_run_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = Record(about={"rounds": 2})
    record.add(0, 10.0, row("huey"))
    record.add(1, 12.0, row("huey"))
    record.save(tmp_path / "run.json")
    assert Record.load(tmp_path / "run.json") == record
    assert record.rows[0].values == [10.0, 12.0]


def test_a_round_that_failed_leaves_a_gap_so_that_ratios_are_taken_within_a_round() -> None:
    record = Record(about={})
    record.add(0, None, row("ours", peer=False))
    record.add(1, 30.0, row("ours", peer=False))
    record.add(0, 1.0, row("huey"))
    record.add(1, 10.0, row("huey"))
    ours, huey = record.rows
    assert ours.over(huey) == pytest.approx(3.0)
    assert ours.median == 30.0


def test_a_ratio_is_the_median_of_those_of_the_rounds() -> None:
    assert row("a", 10, 200, 30).over(row("b", 10, 100, 10)) == pytest.approx(2.0)


def test_the_best_has_most_or_least_as_the_figure_wants() -> None:
    rows = [row("a", 1, 100, 2), row("b", 3, 3, 3), row("c", None)]
    found = best(rows)
    assert found is not None
    assert found.contender == "b"
    less = [row("a", 1, better="less"), row("b", 3, better="less")]
    found = best(less)
    assert found is not None
    assert found.contender == "a"
    assert best([row("c", None)]) is None
