from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from limelight_exporter.labels import LENGTH_LIMIT, OTHER, Bounded


def test_the_first_values_pass_and_later_ones_are_other() -> None:
    bounded = Bounded(2)
    assert [bounded(value) for value in ("a", "b", "c", "a")] == ["a", "b", OTHER, "a"]


def test_other_itself_takes_no_place() -> None:
    bounded = Bounded(1)
    assert [bounded(OTHER), bounded("a")] == [OTHER, "a"]


def test_a_long_value_is_cut() -> None:
    assert Bounded(1)("x" * 1_000) == "x" * LENGTH_LIMIT


@given(st.integers(0, 5), st.lists(st.text(max_size=3)), st.lists(st.text(max_size=3)))
def test_a_restored_bound_decides_like_the_one_that_was_saved(
    limit: int, before: list[str], after: list[str]
) -> None:
    bounded = Bounded(limit)
    for value in before:
        bounded(value)
    restored = Bounded(limit, bounded.values)
    assert [restored(value) for value in after] == [bounded(value) for value in after]
    assert len(restored.values) <= limit
