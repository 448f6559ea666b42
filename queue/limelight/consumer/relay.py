"""What a worker process and its parent say to each other: words over a pipe, and a board in shared memory."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from enum import IntEnum
from multiprocessing.connection import Connection
from typing import Any, Final, Protocol

import msgspec

from limelight.storage.base import Handed, Lease


class Word(IntEnum):
    """What is said. A child says READY once and then the rest; a parent says GO and STOP.

    READY      it is set up and begins to work
    TOOK       tasks were started for it: queue, [[number, id, token, name, run, attempt, retries, delay,
               leaves, heirs], …]
    DROPPED    tasks are settled, or not its any more: queue, [number, …]
    IDLE       it waits to be called; BUSY: it does not wait any more, though nobody called
    MORE       more is ready on a queue than it took: queue
    SCHEDULED  it put something on the schedule of a queue: queue
    PASS       it was called for queues when it was busy already: [queue, …]
    GO         something may be ready: [queue, …]
    STOP       begin nothing new, settle what is done, end
    """

    READY = 1
    TOOK = 2
    DROPPED = 3
    IDLE = 4
    BUSY = 5
    MORE = 6
    SCHEDULED = 7
    PASS = 8
    GO = 9
    STOP = 10


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode


class Line:
    """One end of the pipe. Any thread may speak; one listens."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._lock = threading.Lock()

    def say(self, word: Word, *rest: Any) -> None:
        """Speak; raises OSError if nobody listens any more."""
        message = _encode([word, *rest])
        with self._lock:
            self.connection.send_bytes(message)

    def hear(self) -> tuple[Word, list[Any]]:
        """The next thing that was said; raises EOFError or OSError when the other side is gone."""
        word, *rest = _decode(self.connection.recv_bytes())
        return Word(word), rest


def packed(number: int, handed: Handed, *, whole: bool = False) -> list[Any]:
    """A task as a parent must know it to renew and to settle it; `whole`: also to show it to signal handlers."""
    lease = handed.lease
    shown = (handed.priority, handed.expires_at, handed.execute_at, handed.body) if whole else ()
    return [
        *(number, lease.task_id, lease.token, handed.name),
        *(handed.run, handed.attempt, handed.retries, handed.retry_delay, handed.leaves, handed.heirs),
        *shown,
    ]


def unpacked(item: Sequence[Any]) -> tuple[int, Handed]:
    """The number and the task that `packed` made; it has no span, and a body only if it is whole."""
    number, task_id, token, name, run, attempt, retries, delay, leaves, heirs, *shown = item
    priority, expires_at, execute_at, body = shown or (0, 0.0, 0.0, b"")
    handed = Handed(
        lease=Lease(task_id, token),
        started=True,
        name=name,
        run=run,
        attempt=attempt,
        retries=retries,
        retry_delay=delay,
        redeliveries=0,
        trace_id="",
        span_id="",
        trace_flags=0,
        traced_at=0.0,
        started_at=0.0,
        body=body,
        leaves=leaves,
        priority=priority,
        expires_at=expires_at,
        execute_at=execute_at,
        heirs=tuple(heirs),
    )
    return number, handed


class _Cells(Protocol):
    def __getitem__(self, at: int) -> float: ...

    def __setitem__(self, at: int, value: float) -> None: ...


class Board:
    """What a child shows in shared memory, so that it can be read when the child is dead.

    Only the child writes, but for what the parent takes away; and the parent clears it before a next one begins.

    Attributes:
        SIZE: Cells that it needs, beside one per queue.

    Args:
        cells: Shared doubles.
    """

    SIZE: Final = 5

    def __init__(self, cells: _Cells) -> None:
        self._cells = cells

    @property
    def begun(self) -> int:
        """Number of the last task that was begun; tasks are begun in the order of their numbers."""
        return int(self._cells[0])

    @property
    def since(self) -> float:
        """Monotonic seconds when that was."""
        return self._cells[1]

    def begin(self, number: int, now: float) -> None:
        """Show that a task begins."""
        self._cells[1] = now
        self._cells[0] = number

    @property
    def deadline(self) -> float:
        """Monotonic seconds at which the time of the running task is over; infinity if none applies."""
        return self._cells[2] or math.inf

    @deadline.setter
    def deadline(self, at: float) -> None:
        self._cells[2] = at

    def take_away(self, after: int, up_to: int) -> None:
        """Parent: forbid to begin tasks of these numbers.

        One that is begun at this very moment may still be: the child shows it before it looks here, so whoever
        reads `begun` a few milliseconds later knows.
        """
        self._cells[4] = up_to
        self._cells[3] = after

    def is_taken_away(self, number: int) -> bool:
        """Child, having shown that the task begins: whether it must not."""
        return self._cells[3] < number <= self._cells[4]

    def request(self, queue: int) -> int:
        """Number of the last request for tasks of a queue, 0 if there was none."""
        return int(self._cells[self.SIZE + queue])

    def note_request(self, queue: int, number: int) -> None:
        """Show which request is about to be sent."""
        self._cells[self.SIZE + queue] = number

    def clear(self) -> None:
        """Forget what ran: its deadline is not that of the next child. The requests go on."""
        for at in range(self.SIZE):
            self._cells[at] = 0.0
