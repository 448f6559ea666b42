"""What the live view knows, from events and looks."""

from typing import Any

import pytest

from limelight.events import Event
from limelight.inspection import Consumer, QueueView
from limelight_exporter.demo.watch import MOST_TASKS, MOST_UNPRINTED, QueueRow, Watch, verdict

NOW = 1_000_000.0


def view(queue: str = "mail", **values: Any) -> QueueView:
    worker = Consumer(
        id="c", seen_at=NOW, workers=4, busy=0, interval=1, host="h", pid=1, version="0", started_at=None
    )
    defaults: dict[str, Any] = dict.fromkeys(("ready", "scheduled", "running", "dead", "records", "seq"), 0)
    defaults |= dict.fromkeys(("oldest_ready", "oldest_running", "oldest_due", "last_check"))
    defaults |= {"consumers": (worker,), "periodic": (), "epoch": "1", "last_event_id": "0-0"}
    return QueueView(name=queue, now=NOW, **{**defaults, **values})


def event(seq: int, status: str = "enqueued", at: float = NOW - 1, **keys: Any) -> Event:
    return Event(
        status=status, queue="mail", seq=seq, timestamp=at, **{"id": str(seq), "task": "send", **keys}
    )


def watch(*, began: float = 100) -> Watch:
    return Watch({"mail": 0}, NOW - began)


def row(told: Watch) -> QueueRow:
    return told.frame(NOW, 5).queues[0]


def test_rates_are_those_of_the_last_ten_seconds() -> None:
    told = watch()
    told.look(view(), NOW)
    for seq in range(1, 31):
        told.tell(event(seq))
    for seq in range(31, 41):
        told.tell(event(seq, "finished", outcome="success", end="success"))
    assert (row(told).came, row(told).went) == (3.0, 1.0)


def test_a_missing_number_is_noticed() -> None:
    told = watch()
    for seq in (1, 2, 5):
        told.tell(event(seq))
    assert told.missed == 2


def test_all_memories_are_bounded() -> None:
    told = watch()
    for seq in range(1, MOST_UNPRINTED + 11):
        told.tell(event(seq, "finished", outcome="success", end="success", started_at=NOW - 2))
    events, skipped = told.unprinted()
    assert (len(events), skipped) == (MOST_UNPRINTED, 10)
    assert told.unprinted() == ([], 0)
    assert len(told.frame(NOW, MOST_TASKS * 2).tasks) == MOST_TASKS
    assert sum(told.counts.values()) == 2 * (MOST_UNPRINTED + 10)


def test_the_waterfall_gives_each_task_name_its_turn_and_failures_come_first() -> None:
    told = watch()
    for seq, (task, started) in enumerate([("slow", 9), ("slow", 8), ("slow", 7), ("quick", 1)], start=1):
        told.tell(
            event(seq, "finished", task=task, outcome="success", end="success", started_at=NOW - started)
        )
    told.tell(event(5, "error-task", task="slow", outcome="error", error=True, started_at=NOW - 2))
    shown = told.frame(NOW, 3).tasks
    assert [(row.id, row.task) for row in shown] == [("1", "slow"), ("5", "slow"), ("4", "quick")]


@pytest.mark.parametrize(
    ("look", "state"),
    [
        (view(), "idle"),
        (view(running=2), "busy"),
        (view(consumers=()), "no consumer"),
        (view(ready=3, oldest_ready=NOW - 6), "falling behind"),
        (view(ready=3, oldest_ready=NOW - 1, running=1), "busy"),
    ],
)
def test_a_queue_s_state_is_said_in_words(look: QueueView, state: str) -> None:
    told = watch()
    told.look(view(), NOW - 5)
    told.look(look, NOW)
    assert row(told).state == state


def test_errors_of_the_last_minute_show_in_the_state() -> None:
    told = watch()
    told.look(view(running=1), NOW)
    told.tell(event(1, "error-task", outcome="error", error=True, at=NOW - 70))
    assert row(told).state == "busy"
    told.tell(event(2, "error-task", outcome="error", error=True, at=NOW - 50))
    assert row(told).state == "1 error in 1m"


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([QueueRow(name="a", state="idle"), QueueRow(name="b", state="idle")], "Nothing to do."),
        (
            [QueueRow(name="a", state="busy", running=1), QueueRow(name="b", state="idle")],
            "Both queues keep up.",
        ),
        (
            [
                QueueRow(name="a", state="1 error in 1m", failing=True),
                QueueRow(name="b", state="busy", running=1),
            ],
            "a is failing a little, as it should. Everything else keeps up.",
        ),
        (
            [QueueRow(name="a", state="falling behind", late=True), QueueRow(name="b", failing=True)],
            "a falls behind: more comes in than goes out.",
        ),
        (
            [QueueRow(name="a", state="no consumer", late=True), QueueRow(name="b", state="falling behind")],
            "Nobody works on a: tasks wait for a consumer.",
        ),
        (
            [QueueRow(name="a", state="starting"), QueueRow(name="b", state="idle")],
            "The consumers are starting.",
        ),
    ],
)
def test_the_verdict_names_the_worst(rows: list[QueueRow], sentence: str) -> None:
    assert verdict(tuple(rows)) == sentence
