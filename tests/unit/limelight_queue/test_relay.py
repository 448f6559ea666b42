"""What a worker process and its parent say to each other, and what is left when one of them dies."""

import math
import multiprocessing
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from limelight import RedisQueue
from limelight.consumer.relay import Board, Line, Word, packed, unpacked
from limelight.consumer.remote_lounge import RemoteLounge
from limelight.consumer.reporter import Reporter
from limelight.consumer.trips import Trips
from limelight.storage.base import Handed, Lease

QUEUE = RedisQueue("relay")


@pytest.fixture
def lines() -> Iterator[tuple[Line, Line]]:
    here, there = multiprocessing.Pipe()
    yield Line(here), Line(there)
    here.close()
    there.close()


def trips() -> Trips:
    made = Trips(QUEUE, reporter=Reporter(QUEUE.storage), on_scheduled=lambda: None, lease_seconds=30)
    made.door.shut(made.door.last_ring())
    return made


def handed() -> Handed:
    some: dict[str, Any] = dict.fromkeys(("trace_id", "span_id"), "")
    some |= dict.fromkeys(("redeliveries", "trace_flags", "traced_at", "started_at"), 0)
    lease = Lease("a task", "owner:1")
    return Handed(
        lease=lease, started=True, name="ä", run=3, attempt=2, retries=7, retry_delay=1.5, body=b"", **some
    )


def test_a_parent_hears_what_a_child_says_in_order(lines: tuple[Line, Line]) -> None:
    parent, child = lines
    child.say(Word.READY)
    child.say(Word.TOOK, 1, [packed(5, handed())])
    assert parent.hear() == (Word.READY, [])
    word, (queue, (item,)) = parent.hear()
    assert (word, queue) == (Word.TOOK, 1)
    assert unpacked(item) == (5, handed())


def test_a_message_goes_to_the_parent_only_where_handlers_want_to_see_it() -> None:
    whole = replace(handed(), body=b"message", priority=3, execute_at=1.0, expires_at=2.0)
    assert unpacked(packed(1, whole)) == (1, handed())
    assert unpacked(packed(1, whole, whole=True)) == (1, whole)


def test_what_a_dead_child_said_last_is_still_heard(lines: tuple[Line, Line]) -> None:
    parent, child = lines
    child.say(Word.DROPPED, 0, [1, 2])
    child.connection.close()
    assert parent.hear() == (Word.DROPPED, [0, [1, 2]])
    with pytest.raises(EOFError):
        parent.hear()
    with pytest.raises(OSError):
        parent.say(Word.STOP)


def test_a_board_shows_what_was_begun_and_forgets_it_for_the_next_but_not_its_requests() -> None:
    board = Board([0.0] * (Board.SIZE + 2))
    assert (board.begun, board.deadline) == (0, math.inf)
    board.begin(7, 12.5)
    board.deadline = 13.5
    board.note_request(1, 42)
    assert (board.begun, board.since, board.deadline) == (7, 12.5, 13.5)
    board.clear()
    assert (board.begun, board.deadline) == (0, math.inf)
    assert (board.request(0), board.request(1)) == (0, 42)


def test_what_the_parent_takes_away_is_not_begun_and_later_numbers_are() -> None:
    board = Board([0.0] * Board.SIZE)
    assert not board.is_taken_away(1)
    board.begin(3, 1.0)
    board.take_away(3, 6)
    assert [board.is_taken_away(number) for number in (3, 4, 6, 7)] == [False, True, True, False]
    board.clear()
    assert not board.is_taken_away(4)


def test_an_idle_child_says_so_and_its_parents_call_opens_the_doors_that_rang(
    lines: tuple[Line, Line],
) -> None:
    parent, child = lines
    queues = [trips(), trips()]
    lounge = RemoteLounge(child, queues)
    thread = threading.Thread(target=lounge.wait, args=(lambda: False, 30), daemon=True)
    thread.start()
    assert parent.hear() == (Word.IDLE, [])
    lounge.go([1])
    thread.join(10)
    assert [one.door.is_open for one in queues] == [False, True]


def test_a_call_for_a_child_that_is_busy_already_is_passed_back(lines: tuple[Line, Line]) -> None:
    parent, child = lines
    queues = [trips()]
    RemoteLounge(child, queues).go([0])
    assert parent.hear() == (Word.PASS, [[0]])
    assert not queues[0].door.is_open


def test_a_child_that_stops_waiting_by_itself_says_so(lines: tuple[Line, Line]) -> None:
    parent, child = lines
    RemoteLounge(child, [trips()]).wait(lambda: False, 0.01)
    assert [parent.hear(), parent.hear()] == [(Word.IDLE, []), (Word.BUSY, [])]


def test_a_child_that_is_needed_or_stops_does_not_wait(lines: tuple[Line, Line]) -> None:
    parent, child = lines
    lounge = RemoteLounge(child, [trips()])
    lounge.wait(lambda: True, 30)
    lounge.close()
    lounge.wait(lambda: False, 30)
    assert not parent.connection.poll()
