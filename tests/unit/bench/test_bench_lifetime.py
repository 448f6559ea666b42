"""The figure of a lifetime: by how much a consumer's memory grows with each task."""

import pytest

from queues.scenarios.lifetime import growth_per_task


def test_growth_is_the_slope_of_a_line_through_all_samples() -> None:
    assert growth_per_task([(0, 1_000), (100, 1_300), (200, 1_600)]) == pytest.approx(3.0)
    assert growth_per_task([(0, 1_000), (100, 1_300), (200, 1_300), (300, 1_000)]) == pytest.approx(0.0)


def test_a_single_moment_tells_no_growth() -> None:
    assert growth_per_task([(5, 1_000), (5, 2_000)]) == 0.0
