"""The end of a demo: the exporter's numbers are held against the events."""

from collections import Counter

import pytest

from limelight.events import Event
from limelight_exporter.demo.account import Account, Key, balance, counts_of, read

QUEUES = {"mail"}
EXPOSITION = """\
# HELP limelight_tasks_enqueued_total Tasks.
# TYPE limelight_tasks_enqueued_total counter
limelight_tasks_enqueued_total{queue="mail",task="send"} 1290.0
limelight_tasks_enqueued_total{queue="other",task="send"} 7.0
# TYPE limelight_task_attempts_total counter
limelight_task_attempts_total{queue="mail",task="send",outcome="success"} 1283.0
limelight_task_attempts_total{queue="mail",task="send",outcome="error"} 30.0
limelight_task_attempts_total{queue="mail",task="send",outcome="timeout"} 7.0
limelight_task_attempts_total{queue="mail",task="send",outcome="retry"} 2.0
limelight_task_attempts_total{queue="mail",task="send",outcome="lost"} 0.0
# TYPE limelight_tasks_completed_total counter
limelight_tasks_completed_total{queue="mail",task="send",outcome="success"} 1283.0
limelight_tasks_completed_total{queue="mail",task="send",outcome="dead"} 1.0
# TYPE limelight_queue_tasks gauge
limelight_queue_tasks{queue="mail",state="ready"} 3.0
limelight_queue_tasks{queue="mail",state="scheduled"} 2.0
limelight_queue_tasks{queue="mail",state="running"} 1.0
limelight_queue_tasks{queue="mail",state="dead"} 1.0
# TYPE limelight_exporter_queue_current gauge
limelight_exporter_queue_current{queue="mail"} 1.0
# TYPE limelight_exporter_events_lost_total counter
limelight_exporter_events_lost_total{queue="mail"} 0.0
"""


def test_the_numbers_of_the_exporter_make_the_last_sentence() -> None:
    served = read(EXPOSITION, QUEUES)
    result = balance(served, Counter(served.counts), missed=0)
    assert str(result) == "Stopped. 1,284 tasks ran, 37 attempts failed, 1 dead, nothing lost."
    assert (result.faults, result.undone) == ((), 6)


def test_what_was_there_before_the_demo_does_not_count() -> None:
    before = read(EXPOSITION, QUEUES)
    after = read(
        EXPOSITION.replace(" 1290.0", " 1291.0").replace(
            'outcome="success"} 1283.0', 'outcome="success"} 1284.0'
        ),
        QUEUES,
    )
    result = balance(after.since(before), after.since(before).counts, missed=0)
    assert str(result) == "Stopped. 1 task ran, 0 attempts failed, 0 dead, nothing lost."
    assert result.faults == ()


@pytest.mark.parametrize(
    ("key", "by_events"),
    [
        (Key("limelight_tasks_completed_total", "mail", "send", "success"), 1282),
        (Key("limelight_task_attempts_total", "mail", "send", "lost"), 1),
        (Key("limelight_tasks_enqueued_total", "mail", "send"), 0),
    ],
)
def test_any_series_that_differs_from_the_events_is_named(key: Key, by_events: int) -> None:
    served = read(EXPOSITION, QUEUES)
    told = Counter(served.counts)
    told[key] = by_events
    result = balance(served, told, missed=0)
    assert len(result.faults) == 1
    assert str(key) in result.faults[0]
    assert str(result).endswith("but the numbers do not add up.")


def test_lost_events_are_said_plainly() -> None:
    served = read(EXPOSITION.replace('lost_total{queue="mail"} 0.0', 'lost_total{queue="mail"} 3.0'), QUEUES)
    result = balance(served, Counter(served.counts), missed=0)
    assert str(result).endswith("1 dead, 3 events lost.")
    assert result.faults == ("the exporter missed 3 events",)


def test_a_task_that_is_nowhere_is_a_fault() -> None:
    served = read(EXPOSITION.replace('state="ready"} 3.0', 'state="ready"} 2.0'), QUEUES)
    result = balance(served, Counter(served.counts), missed=0)
    assert len(result.faults) == 1
    assert "1 too few" in result.faults[0]


def test_an_exporter_that_is_behind_proves_nothing() -> None:
    result = balance(Account(behind=("mail",)), Counter({Key("a", "mail", "send"): 3}), missed=2)
    assert result.faults == (
        "the demo itself missed 2 events",
        "the exporter had not read all events of mail",
    )


def test_an_event_counts_by_its_outcome_and_its_end() -> None:
    last = Event(
        status="dead",
        queue="mail",
        seq=9,
        timestamp=1,
        id="a",
        task="send",
        outcome="error",
        end="dead",
        error=True,
    )
    assert list(counts_of(last)) == [
        Key("limelight_task_attempts_total", "mail", "send", "error"),
        Key("limelight_tasks_completed_total", "mail", "send", "dead"),
    ]
    assert (
        list(counts_of(Event(status="started", queue="mail", seq=2, timestamp=1, id="a", task="send"))) == []
    )
