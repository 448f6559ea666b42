"""Idle workers wait to be called, each call is for one of them, and none is lost."""

import threading
import time
from collections.abc import Callable

from servers import wait_until

from limelight.consumer.door import Door
from limelight.consumer.lounge import Lounge


def never() -> bool:
    return False


def idlers(lounge: Lounge, count: int, needed: Callable[[], bool] = never) -> list[threading.Thread]:
    threads = [threading.Thread(target=lounge.wait, args=(needed, 30), daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def gone(threads: list[threading.Thread]) -> int:
    return sum(not thread.is_alive() for thread in threads)


def test_each_call_sends_one_idle_worker_away() -> None:
    lounge = Lounge()
    threads = idlers(lounge, 3)
    wait_until(lambda: len(lounge) == 3)
    assert lounge.call() == 1
    wait_until(lambda: gone(threads) == 1)
    assert lounge.call(5) == 2
    wait_until(lambda: gone(threads) == 3)
    assert lounge.call() == 0


def test_who_was_called_counts_as_idle_no_more() -> None:
    lounge = Lounge()
    idlers(lounge, 1)
    assert lounge.wait_for_idle(5)
    assert lounge.call() == 1
    assert lounge.call() == 0
    assert not len(lounge)


def test_who_is_needed_anyway_does_not_wait() -> None:
    lounge = Lounge()
    began = time.monotonic()
    lounge.wait(lambda: True, 30)
    assert time.monotonic() - began < 5


def test_a_ring_between_the_answer_and_the_wait_is_not_lost() -> None:
    """The worker asked Redis, then somebody rings, then it shuts the door by the old answer, and goes to wait."""
    door, lounge = Door(), Lounge()
    ring = door.last_ring()
    door.ring()
    door.shut(ring)
    assert door.is_open
    lounge.wait(lambda: door.is_open, 30)
    door.shut(door.last_ring())
    assert not door.is_open


def test_a_closed_lounge_keeps_nobody() -> None:
    lounge = Lounge()
    threads = idlers(lounge, 3)
    assert lounge.wait_for_idle(5)
    lounge.close()
    wait_until(lambda: gone(threads) == 3)
    lounge.wait(never, 30)
    assert not lounge.wait_for_idle(30)
