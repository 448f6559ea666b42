from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from limelight_exporter.stream_source import Mark, _marked


@settings(deadline=None)
@given(st.lists(st.integers(1, 1_000), min_size=1, max_size=300))
def test_marks_are_few_and_reach_from_the_newest_entry_back_to_the_first(steps: list[int]) -> None:
    marks: tuple[Mark, ...] = ()
    seq = 0
    for step in steps:
        seq += step
        marks = _marked(marks, Mark(f"{seq}-0", seq))
    assert len(marks) <= 64
    assert marks[-1].seq == seq
    assert marks[0].seq == steps[0]
    assert [mark.seq for mark in marks] == sorted({mark.seq for mark in marks})


@settings(deadline=None)
@given(st.integers(1, 2_000))
def test_the_newest_mark_before_any_point_is_at_most_half_as_far_again(count: int) -> None:
    marks: tuple[Mark, ...] = ()
    for seq in range(1, count + 1):
        marks = _marked(marks, Mark(f"{seq}-0", seq))
    for point in range(1, count + 1):
        best = max(mark.seq for mark in marks if mark.seq <= point)
        assert point - best <= count - point + 1, "going back n events reads at most about n of them again"
