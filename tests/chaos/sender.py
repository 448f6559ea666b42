"""Enqueues by the protocol of docs/delivery.md, and notes what came of it before and after."""

from __future__ import annotations

import contextlib
import random
import time
from typing import Final

import redis

from limelight import OutcomeUnknown, RedisQueue, Task
from limelight.errors import LimelightError, RedisError

from .ledger import Ledger

_PAUSE_SECONDS: Final = 0.1


class Sender:
    """Puts tasks on a queue and keeps its own account of it.

    Each task is noted as ``try`` before anything is sent. ``ok``: Redis has it. ``unknown``: the answer never came;
    the same task object is sent again until it is ``ok``. ``refused``: nothing was enqueued; it is sent again or
    ``given up``. Who is killed meanwhile leaves a ``try`` without an outcome.

    Args:
        queue: Where they go.
        ledger: Where it is noted.
        chance: Decides whether what was refused is tried again.
    """

    def __init__(self, queue: RedisQueue, ledger: Ledger, chance: random.Random) -> None:
        self.ledger = ledger
        self._queue = queue
        self._chance = chance

    def put(self, task: Task, kind: str) -> bool:
        """Enqueue; False if it was given up, so that it must never be told of."""
        self.ledger.note(say="try", id=task.id, kind=kind, key=task.args[0])
        unknown = False
        while True:
            try:
                self._queue.enqueue(task)
            except OutcomeUnknown:
                unknown = True
                self.ledger.note(say="unknown", id=task.id)
            except RedisError as error:
                if unknown:  # an earlier try may have arrived, so this is no answer
                    self.ledger.note(say="fault", id=task.id, why=f"after an unknown outcome: {error!r}")
                self.ledger.note(say="refused", id=task.id, why=str(error))
                if not unknown and self._chance.random() < 0.5:
                    self.ledger.note(say="given up", id=task.id)
                    return False
            except LimelightError as error:
                self.ledger.note(say="fault", id=task.id, why=str(error))
                return False
            else:
                self.ledger.note(say="ok", id=task.id)
                return True
            time.sleep(_PAUSE_SECONDS)

    def revoke(self, task_id: str) -> None:
        """Revoke a task and note the number of the newest event after that: no run may start later."""
        with contextlib.suppress(LimelightError, redis.RedisError):
            count = self._queue.revoke_by_id(task_id)
            newest = self._queue.storage.address.client().hget(self._queue.keys["meta"], "seq")
            self.ledger.note(say="revoked", id=task_id, count=count, seq=int(newest or 0))
