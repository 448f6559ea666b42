"""The worker processes of a consumer: who cannot be replaced at once is replaced later."""

import threading
import time

import pytest
from servers import wait_until

from limelight.consumer.fleet import Fleet
from limelight.consumer.lounge import Lounge
from limelight.consumer.plan import Plan
from limelight.consumer.warden import Warden


class Launch:
    """Refuses to start processes so many times."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals

    def __call__(self, warden: Warden) -> None:
        if self.refusals > 0:
            self.refusals -= 1
            raise ConnectionRefusedError("the fork server was just killed")


def with_one_dead(launch: Launch, monkeypatch: pytest.MonkeyPatch, exhausted: threading.Event) -> Fleet:
    monkeypatch.setattr(Warden, "start", lambda warden: launch(warden))  # noqa: PLW0108 - a method
    plan = Plan(workers=1, kind="process")
    fleet = Fleet(
        [], plan, consumer="c", lounge=Lounge(), stopping=threading.Event(), exhausted=exhausted.set
    )
    fleet._waiting.append((time.monotonic(), fleet._running.pop()))
    return fleet


def replaced(fleet: Fleet) -> bool:
    fleet._replace_those_accounted_for()
    assert len(fleet._running) + len(fleet._waiting) == 1
    return bool(fleet._running)


def test_a_place_is_kept_for_whom_nothing_can_start_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    exhausted = threading.Event()
    fleet = with_one_dead(Launch(2), monkeypatch, exhausted)
    assert not replaced(fleet)
    wait_until(lambda: replaced(fleet))
    assert not exhausted.is_set()


def test_a_consumer_that_can_start_nobody_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    exhausted = threading.Event()
    monkeypatch.setattr("limelight.consumer.fleet._RESTART_SECONDS", (0.001, 0.01))
    fleet = with_one_dead(Launch(100), monkeypatch, exhausted)
    wait_until(lambda: replaced(fleet) or exhausted.is_set())
    assert not fleet._running
