"""The handshake between a thread that runs a task and the watchdog that may drive it out."""

import math
import threading
import time
from typing import Any

import pytest

from limelight import TaskTimeout
from limelight import slot as slot_module
from limelight.slot import KICKS, Slot

Set = tuple[int, type[BaseException] | None]


@pytest.fixture
def set_exceptions(monkeypatch: pytest.MonkeyPatch) -> list[Set]:
    """What would have been set in which thread; nothing is."""
    done: list[Set] = []
    monkeypatch.setattr(slot_module, "_set_exception", lambda thread, kind: done.append((thread, kind)))
    return done


def later() -> float:
    return time.monotonic() + 100


def test_the_watchdog_is_told_when_to_look() -> None:
    told: list[float] = []
    slot, before = Slot(told.append), time.monotonic()
    assert slot.call(lambda: slot.kick_at, 5) == told[0]
    assert before + 5 <= told[0] <= time.monotonic() + 5
    assert slot.kick_at == math.inf


def test_code_without_a_timeout_is_left_alone(set_exceptions: list[Set]) -> None:
    slot = Slot(lambda _: None)
    slot.call(lambda: slot.kick(later()), None)
    assert not set_exceptions


def test_nobody_is_kicked_before_their_time_or_after_they_left(set_exceptions: list[Set]) -> None:
    slot = Slot(lambda _: None)
    slot.call(lambda: slot.kick(time.monotonic()), 5)
    slot.kick(later())
    assert not set_exceptions


def test_what_was_not_delivered_is_taken_back(set_exceptions: list[Set]) -> None:
    slot = Slot(lambda _: None)
    assert slot.call(lambda: slot.kick(later()), 5) is None
    me = threading.get_ident()
    assert set_exceptions == [(me, TaskTimeout), (me, None)]


def test_an_exception_that_comes_when_the_code_had_ended_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = [TaskTimeout(), TaskTimeout()]

    def arrive(_thread: int, kind: type[BaseException] | None) -> None:
        if kind is None and late:
            raise late.pop()

    monkeypatch.setattr(slot_module, "_set_exception", arrive)
    slot = Slot(lambda _: None)

    def code() -> str:
        slot.kick(later())
        return "done"

    assert slot.call(code, 5) == "done"
    assert not late


def test_who_does_not_leave_is_kicked_again_and_then_given_up(set_exceptions: list[Set]) -> None:
    slot = Slot(lambda _: None)

    def code() -> None:
        now = later()
        for _ in range(KICKS):
            slot.kick(now)
            assert not slot.is_abandoned
            slot.kick(now)  # too early for the next one
            now = slot.kick_at
        slot.kick(now)

    slot.call(code, 5)
    assert slot.is_abandoned
    assert [kind for _, kind in set_exceptions] == [*[TaskTimeout] * KICKS, None]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(1)])
def test_what_the_code_raises_comes_out(error: BaseException) -> None:
    def code() -> Any:
        raise error

    for seconds in (None, 5):
        with pytest.raises(type(error)) as raised:
            Slot(lambda _: None).call(code, seconds)
        assert raised.value is error


def test_a_thread_is_driven_out_for_real() -> None:
    slot = Slot(lambda _: None)
    raised: list[BaseException] = []

    def spin() -> None:
        while True:
            pass

    def run() -> None:
        try:
            slot.call(spin, 0.05)
        except TaskTimeout as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        slot.kick(time.monotonic())
        thread.join(0.01)
    assert raised
