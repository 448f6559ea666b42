"""Enqueues by the protocol of docs/delivery.md, and notes what came of it before and after."""

from __future__ import annotations

import contextlib
import random
import time
from typing import Any, Final

import redis

from limelight import OutcomeUnknown, RedisQueue, Task, chord
from limelight.errors import LimelightError, RedisError

from .ledger import Ledger

_PAUSE_SECONDS: Final = 0.1
_WAIT_SECONDS: Final = 0.5


class Sender:
    """Puts tasks on a queue and keeps its own account of it.

    Each task is noted as ``try`` before anything is sent, and as ``promised`` if it is to follow others. ``ok``: Redis
    has it. ``unknown``: the answer never came; the same object is sent again until it is ``ok``. ``refused``: nothing
    was enqueued; it is sent again or ``given up``. Who is killed meanwhile leaves a ``try`` without an outcome.

    Attributes:
        queue: Where they go.
        ledger: Where it is noted.

    Args:
        queue: Where they go.
        ledger: Where it is noted.
        chance: Decides whether what was refused is tried again.
    """

    def __init__(self, queue: RedisQueue, ledger: Ledger, chance: random.Random) -> None:
        self.queue = queue
        self.ledger = ledger
        self._chance = chance

    def put(self, work: Task | chord, *entries: dict[str, Any]) -> bool:
        """Enqueue; False if it was given up, so that nothing of it must ever be told of.

        Args:
            work: What is enqueued in one write.
            entries: What to note of each task in it.
        """
        for entry in entries:
            self.ledger.note(**{"say": "try", **entry})
        ids = [entry["id"] for entry in entries if entry.get("say") != "promised"]
        unknown = False
        while True:
            try:
                self.queue.enqueue(work)
            except OutcomeUnknown:
                unknown = True
                self._note("unknown", ids)
            except RedisError as error:
                if unknown:  # an earlier try may have arrived, so this is no answer
                    self._note("fault", ids, why=f"after an unknown outcome: {error!r}")
                self._note("refused", ids, why=str(error))
                if not unknown and self._chance.random() < 0.5:
                    self._note("given up", [entry["id"] for entry in entries])
                    return False
            except LimelightError as error:
                self._note("fault", ids, why=str(error))
                return False
            else:
                self._note("ok", ids)
                return True
            time.sleep(_PAUSE_SECONDS)

    def _note(self, say: str, ids: list[str], **more: Any) -> None:
        for task_id in ids:
            self.ledger.note(say=say, id=task_id, **more)

    def revoke(self, task_id: str) -> None:
        """Revoke a task and note the number of the newest event after that: no run may start later."""
        with contextlib.suppress(LimelightError, redis.RedisError):
            count = self.queue.revoke_by_id(task_id)
            newest: Any = self.queue.storage.address.client().hget(self.queue.keys["meta"], "seq")
            self.ledger.note(say="revoked", id=task_id, count=count, seq=int(newest or 0))

    def wait(self, task_id: str) -> None:
        """Wait a little for a task's result and note it, if it comes."""
        with contextlib.suppress(LimelightError, redis.RedisError):
            value = self.queue.result(task_id, blocking=True, timeout=_WAIT_SECONDS)
            self.ledger.note(say="got", id=task_id, value=value)
