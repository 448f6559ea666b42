"""How queues are called and ordered, and how tables fit."""

from typing import Any

import pytest

from limelight.cli.queue.listing import ordered, row, state, word
from limelight.cli.queue.output import Column, fitted, moment, plain
from limelight.inspection import Consumer, QueueView

NOW = 10_000.0
SILENT = NOW - 3_600


def consumer(workers: int = 2, seen_at: float = NOW) -> Consumer:
    return Consumer(
        id="c",
        seen_at=seen_at,
        workers=workers,
        busy=0,
        interval=10,
        host="h",
        pid=1,
        version="1",
        started_at=None,
    )


def view(name: str = "mail", **values: Any) -> QueueView:
    counts = {"ready": 0, "scheduled": 0, "running": 0, "dead": 0} | {
        key: value for key, value in values.items() if isinstance(value, int) and key != "records"
    }
    defaults: dict[str, Any] = {
        "records": sum(counts.values()),
        "oldest_ready": NOW - 1 if counts["ready"] else None,
        "oldest_running": None,
        "oldest_due": None,
        "last_check": None,
        "consumers": (consumer(),),
        "periodic": (),
        "seq": 1,
        "epoch": "e",
        "last_event_id": "0-0",
    }
    return QueueView(name=name, now=NOW, **{**defaults, **counts, **values})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "idle"),
        ({"ready": 1}, "running"),
        ({"running": 1}, "running"),
        ({"running": 2}, "running"),
        ({"running": 2, "ready": 1}, "busy"),
        ({"running": 2, "ready": 1, "oldest_ready": NOW - 61}, "late"),
        ({"ready": 1, "oldest_ready": NOW - 61, "consumers": ()}, "no consumer"),
        ({"ready": 1, "consumers": (consumer(seen_at=SILENT),)}, "no consumer"),
        ({"ready": 1, "consumers": (), "paused": NOW - 5}, "paused"),
        ({"ready": 1, "paused": NOW - 5, "records": 3}, "mismatch"),
    ],
)
def test_a_queue_is_called_by_the_worst_that_is_true_of_it(values: dict[str, Any], expected: str) -> None:
    assert word(view(**values), NOW) == expected


def test_the_state_says_how_long_and_how_many() -> None:
    assert state(view(paused=NOW - 400), NOW)[0] == "paused for 6m40s"
    assert state(view(records=2), NOW)[0] == "2 tasks in no index"
    assert state(view(records=0, ready=1), NOW)[0] == "1 task in no index"


def test_a_queue_without_consumers_is_no_fault_while_nothing_waits() -> None:
    assert state(view(consumers=()), NOW) == ("no consumer", "")
    assert state(view(consumers=(), ready=1), NOW)[1]


def test_silent_consumers_have_no_workers() -> None:
    cells = row(view(running=1, consumers=(consumer(4), consumer(8, SILENT))), NOW, "–")
    assert cells[3].text == "1/4"


def test_the_queue_whose_task_waits_longest_comes_first_and_empty_ones_last() -> None:
    views = [view("b"), view("a"), view("young", ready=1), view("old", ready=1, oldest_ready=1.0)]
    assert [one.name for one in ordered(views, "oldest")] == ["old", "young", "a", "b"]
    assert [one.name for one in ordered(views, "name")] == ["a", "b", "old", "young"]
    assert next(one.name for one in ordered([*views, view("poor", dead=3)], "dead")) == "poor"


def test_only_columns_that_give_lose_width_and_the_widest_first() -> None:
    columns = [Column("ID"), Column("TASK", gives=True), Column("REASON", gives=True)]
    assert fitted([36, 10, 20], columns, 120) == [36, 10, 20]
    assert fitted([36, 10, 20], columns, 60) == [36, 10, 10]
    assert fitted([36, 10, 20], columns, 20) == [36, 8, 8], "an id is never cut"


def test_a_moment_beyond_the_calendar_is_shown_as_the_number_it_is() -> None:
    assert moment(1.5) == "1970-01-01T00:00:01.500Z"
    assert moment(1e18) == "1e+18"
    assert moment(float("inf")) == "inf"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, [True, None, "x"]), [1, [True, None, "x"]]),
        ({"a": {"b": 1.5}}, {"a": {"b": 1.5}}),
        ({1: 2}, "{1: 2}"),
        (2**64, "0x10000000000000000"),
        (float("inf"), "inf"),
        (b"\xff", "b'\\xff'"),
    ],
)
def test_values_become_what_json_can_hold(value: Any, expected: Any) -> None:
    assert plain(value) == expected
