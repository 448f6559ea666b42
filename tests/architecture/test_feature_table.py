"""Each of our rows in the feature table is backed by a test that exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|\n ").split("|")]
    for line in (ROOT / "docs" / "features.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and ".py" in line
]


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_each_feature_names_a_test_that_exists(row: list[str]) -> None:
    file, _, name = row[-1].partition("::")
    (path,) = (ROOT / "tests").rglob(file)
    if name:
        assert re.search(rf"^(def|class) {re.escape(name)}\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert row[1] == "Y"
    assert set(row[1:7]) <= {"Y", "P", "–"}


def test_the_table_is_read() -> None:
    assert len(ROWS) > 35
