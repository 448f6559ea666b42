from __future__ import annotations

from typing import Any

import pytest

from limelight import MemoryQueue
from limelight.errors import ConfigurationError
from limelight.slo import Objective, objectives


def test_objectives_are_read_with_their_thresholds() -> None:
    declared = {"wait": (5, 0.99), "duration": (0.5, 0.9), "latency": (60, 0.99), "success": 0.999}
    assert objectives(declared) == {
        "wait": Objective(0.99, 5.0),
        "duration": Objective(0.9, 0.5),
        "latency": Objective(0.99, 60.0),
        "success": Objective(0.999),
    }


@pytest.mark.parametrize(
    "slo",
    [
        {"speed": (5, 0.99)}, {"wait": 5}, {"wait": (5,)}, {"wait": (0, 0.99)}, {"wait": (-1, 0.99)},
        {"wait": (5, 1)}, {"wait": (5, 0)}, {"wait": (5, 99)}, {"wait": ("5", 0.99)}, {"wait": (float("inf"), 0.99)},
        {"wait": (float("nan"), 0.99)}, {"success": 1}, {"success": (5, 0.99)}, {"success": "0.99"}, {1: 2},
        ["wait"], 0.99,
    ],
)  # fmt: skip
def test_what_cannot_be_an_objective_is_refused_where_it_is_declared(slo: Any) -> None:
    queue = MemoryQueue("mail")
    with pytest.raises(ConfigurationError, match="task 'send': slo"):
        queue.task(name="send", slo=slo)(lambda: None)
    with pytest.raises(ConfigurationError, match="slo"):
        MemoryQueue("mail", slo=slo)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r"(?s)'wait'.*'success'"):
        objectives({"wait": 3, "success": 3})


def test_a_task_is_held_to_what_its_queue_says_unless_it_says_otherwise() -> None:
    queue = MemoryQueue("mail", slo={"wait": (5, 0.99), "success": 0.999})
    queue.task(name="plain")(len)
    queue.task(name="own", slo={"wait": (60, 0.9)})(len)
    assert queue.registry["plain"].objectives == queue.slo
    assert queue.registry["own"].objectives == {**queue.slo, "wait": Objective(0.9, 60.0)}
