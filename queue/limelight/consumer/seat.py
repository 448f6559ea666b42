"""One worker's place in a consumer: it outlives the thread that sits there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from limelight.slot import Slot
from limelight.task_queue import RedisQueue

from .errand import Errand
from .rota import Rota
from .workbench import Workbench


class Seat:
    """What belongs to a worker, and goes to its successor when its thread is replaced.

    Attributes:
        name: As events and logs have it.
        errands: Its business with each queue. Requests are numbered on, whoever sits here.
        rota: Whose turn it is to be asked for tasks.
        bench: What lies before it.
        slot: Where its tasks' code runs.
        expect: Told when something on it will have to be seen to.

    Args:
        name: As events and logs have it.
        errands: Its business with each queue.
        weights: How often each is asked, compared with the others.
        expect: Told when something on it will have to be seen to.
    """

    def __init__(
        self,
        name: str,
        errands: Sequence[Errand],
        weights: Sequence[int],
        expect: Callable[[float], None],
    ) -> None:
        self.name = name
        self.errands: dict[RedisQueue, Errand] = {errand.trips.queue: errand for errand in errands}
        self.rota = Rota(dict(zip(errands, weights, strict=True)))
        self.bench = Workbench()
        self.slot = Slot(expect)
        self.expect = expect

    def vacated(self) -> Seat:
        """The same seat with a new bench and a new slot, for a thread that does not meet the one that had it."""
        seat = Seat(self.name, [], [], self.expect)
        seat.errands, seat.rota = self.errands, self.rota
        return seat
