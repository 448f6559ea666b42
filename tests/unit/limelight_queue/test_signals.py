"""Who hears which signal."""

import logging
from typing import Any

import pytest

from limelight import ConfigurationError, RedisQueue, Task, signals
from limelight.lifecycle import (
    AskedRetry,
    Canceled,
    Interrupted,
    Outcome,
    Raised,
    ResultRefused,
    Retries,
    Returned,
    settle,
)
from limelight.signals import SIGNAL_COMPLETE, SIGNAL_ENQUEUED, SIGNAL_ERROR, SIGNALS
from limelight.task import TaskOptions

TASK = Task(options=TaskOptions(name="send"))


@pytest.fixture
def queue() -> RedisQueue:
    return RedisQueue("mail")


def test_there_are_hueys_thirteen_signals_with_hueys_strings() -> None:
    named = {name: getattr(signals, name) for name in dir(signals) if name.startswith("SIGNAL_")}
    assert named == {f"SIGNAL_{value.upper().replace('-', '_')}": value for value in SIGNALS}
    assert len(SIGNALS) == 13
    assert signals.SIGNAL_RATE_LIMITED == "rate-limited"


def test_a_handler_hears_what_it_asked_for_and_who_asked_for_it_comes_first(queue: RedisQueue) -> None:
    heard: list[Any] = []
    queue.signal()(lambda *args: heard.append(("all", *args)))
    queue.signal(SIGNAL_COMPLETE, SIGNAL_ERROR)(lambda *args: heard.append(("some", *args)))
    error = ValueError("no")
    queue.signals.send(SIGNAL_ENQUEUED, TASK)
    queue.signals.send(SIGNAL_ERROR, TASK, error)
    assert heard == [
        ("all", SIGNAL_ENQUEUED, TASK),
        ("some", SIGNAL_ERROR, TASK, error),
        ("all", SIGNAL_ERROR, TASK, error),
    ]


def test_a_handler_is_disconnected_from_some_signals_or_from_all(queue: RedisQueue) -> None:
    heard: list[str] = []

    @queue.signal(SIGNAL_COMPLETE, SIGNAL_ERROR)
    def note(signal: str, task: Task, *_: Any) -> None:
        heard.append(signal)

    queue.disconnect_signal(note, SIGNAL_ERROR)
    assert queue.signals.wants(SIGNAL_COMPLETE)
    assert not queue.signals.wants(SIGNAL_ERROR)
    queue.signal()(note)
    queue.disconnect_signal(note)
    queue.disconnect_signal(note)
    for signal in SIGNALS:
        queue.signals.send(signal, TASK)
    assert not heard
    assert not queue.signals


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1)])
def test_a_handler_that_raises_is_logged_and_stops_no_other(
    queue: RedisQueue, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    heard: list[str] = []

    @queue.signal(SIGNAL_COMPLETE)
    def broken(signal: str, task: Task) -> None:
        raise error

    queue.signal(SIGNAL_COMPLETE)(lambda signal, task: heard.append(signal))
    with caplog.at_level(logging.ERROR):
        queue.signals.send(SIGNAL_COMPLETE, TASK)
    assert heard == [SIGNAL_COMPLETE]
    assert "of signal complete raised" in caplog.text


@pytest.mark.parametrize("wrong", ["finished", "", None, print])
def test_a_signal_that_is_never_sent_is_refused_with_those_that_are(queue: RedisQueue, wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"no signal .*\(canceled, complete, .*timeout\)"):
        queue.signal(wrong)


@pytest.mark.parametrize(
    ("outcome", "retries", "delay", "expected"),
    [
        (Returned(), 0, 0, ["complete"]),
        (ResultRefused(), 0, 0, []),
        (Raised(), 0, 0, []),
        (Raised(), 1, 0, ["retrying", "enqueued"]),
        (Raised(), 1, 5, ["retrying", "scheduled"]),
        (AskedRetry(3), 0, 0, ["retrying", "scheduled"]),
        (Canceled(retry=True), 0, 0, ["retrying", "enqueued"]),
        (Canceled(), 1, 0, []),
        (Interrupted(), 1, 0, ["interrupted"]),
    ],
)
def test_what_became_of_a_task_is_told_as_huey_tells_it(
    queue: RedisQueue, outcome: Outcome, retries: int, delay: float, expected: list[str]
) -> None:
    heard: list[str] = []
    queue.signal()(lambda signal, task: heard.append(signal))
    queue.signals.send_settled(settle(outcome, Retries(retries, delay)), TASK)
    assert heard == expected
