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


def test_as_many_as_there_are_places_stand_at_the_door_and_the_others_wait_in_the_lounge() -> None:
    lounge, called = Lounge(places=2), list[int]()
    doors = [lambda number=number: called.append(number) for number in range(3)]
    assert [lounge.stand(call_away, never) for call_away in doors] == [True, True, False]
    lounge.leave_door(doors[0])
    assert not lounge.stand(doors[2], lambda: True)
    assert lounge.stand(doors[2], never)
    assert not called


def test_nobody_stands_at_the_door_where_a_doorman_does() -> None:
    assert not Lounge().stand(lambda: None, never)


def test_somebody_idle_is_called_to_the_door_only_when_it_is_empty() -> None:
    lounge, away = Lounge(places=2), threading.Event()
    assert lounge.stand(away.set, never)
    threads = idlers(lounge, 2)
    wait_until(lambda: len(lounge) == 2)
    lounge.man_door()
    assert len(lounge) == 2
    lounge.leave_door(away.set)
    lounge.man_door()
    wait_until(lambda: gone(threads) == 1)
    assert not away.is_set()
    lounge.close()


def test_those_at_the_door_are_summoned_last_and_called_never() -> None:
    lounge, away = Lounge(places=2), threading.Event()
    assert lounge.stand(away.set, never)
    threads = idlers(lounge, 1)
    wait_until(lambda: len(lounge) == 1)
    lounge.summon(1)
    wait_until(lambda: gone(threads) == 1)
    assert not away.is_set()
    assert lounge.call() == 0
    lounge.summon(1)
    assert away.is_set()


def test_a_closed_lounge_has_nobody_at_the_door() -> None:
    lounge, away = Lounge(places=1), threading.Event()
    assert lounge.stand(away.set, never)
    lounge.close()
    assert away.is_set()
    lounge.leave_door(away.set)
    assert not lounge.stand(away.set, never)
