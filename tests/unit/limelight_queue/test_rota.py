"""Whose turn it is among several queues."""

import collections

import pytest

from limelight.consumer.rota import Rota


def test_turns_are_shared_by_weight_and_spread_evenly() -> None:
    rota = Rota({"a": 3, "b": 1})
    assert "".join(rota.next(["a", "b"]) or "" for _ in range(8)) == "aabaaaba"


@pytest.mark.parametrize("weights", [{"a": 1, "b": 1, "c": 1}, {"a": 5, "b": 2, "c": 1}, {"a": 100, "b": 1}])
def test_over_a_round_each_has_exactly_its_share(weights: dict[str, int]) -> None:
    rota = Rota(weights)
    turns = collections.Counter(rota.next(list(weights)) for _ in range(3 * sum(weights.values())))
    assert turns == {name: 3 * weight for name, weight in weights.items()}


def test_who_has_no_work_is_passed_over_and_gets_nothing_in_arrears() -> None:
    rota = Rota({"a": 1, "b": 1})
    assert {rota.next(["a"]) for _ in range(100)} == {"a"}
    turns = [rota.next(["a", "b"]) for _ in range(4)]
    assert collections.Counter(turns) == {"a": 2, "b": 2}


def test_nobody_has_a_turn_where_nobody_has_work() -> None:
    assert Rota({"a": 1}).next([]) is None
