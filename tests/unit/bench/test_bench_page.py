"""The page of benchmarks says what run files say."""

import pytest

from queues import targets
from report import page
from report.record import Record, Row
from report.tables import Sheet

GOALS = Sheet("Targets", ["target", "measured"], [["fast", "5"]])


def record() -> Record:
    about = {
        "date": "2026-11-30T12:00:00+00:00",
        "commit": "abc1234",
        "machine": "2 cores",
        "python": "3.11",
        "redis": "7.0",
        "peers": ["huey==3.5.4"],
        "rounds": 3,
        "load": 0.1,
    }
    return Record(
        about=about,
        rows=[
            Row(
                scenario="drain",
                figure="tasks/s",
                setting="",
                contender=name,
                better="more",
                peer=peer,
                values=list(values),
                missing=missing,
            )
            for name, peer, values, missing in (
                ("ours", False, (1_000, 3_000, 2_000), ""),
                ("huey", True, (1_000, 1_000, 1_000), ""),
                ("ours, processes", False, (), "there is none yet"),
            )
        ],
    )


def test_a_section_has_minimum_median_maximum_and_the_ratio_to_the_best_peer() -> None:
    words = page.section(record(), "bench/runs/one.json", GOALS)
    assert "| ours | 1,000 | 2,000 | 3,000 | 2.00 |" in words
    assert "| huey | 1,000 | 1,000 | 1,000 | 1.00 |" in words
    assert "ours, processes: there is none yet." in words
    assert "| fast | 5 |" in words
    assert words.startswith("## 2026-11-30 · 2 cores · Redis 7.0 · Python 3.11 · 3 rounds")


def test_the_newest_run_comes_first_and_a_run_stands_there_once() -> None:
    text = f"# Benchmarks\n\n{page.NEWEST}\n\n## Older\n"
    first = page.published(text, "one.json", "first")
    both = page.published(first, "two.json", "second")
    assert page.runs(both) == ["two.json", "one.json"]
    again = page.published(both, "one.json", "anew")
    assert page.runs(again) == ["two.json", "one.json"]
    assert "first" not in again
    assert again.endswith("## Older\n")


def test_a_page_without_a_place_for_runs_is_refused() -> None:
    with pytest.raises(ValueError, match="has no line"):
        page.published("# Benchmarks\n", "one.json", "first")


def test_every_run_on_our_page_says_what_its_file_says() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.NEWEST in text
    for name in page.runs(text):
        kept = Record.load(page.ROOT / name)
        assert page.published(text, name, page.section(kept, name, targets.sheet(kept))) == text
