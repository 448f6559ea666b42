"""A producer: ``python -m chaos.producer SLOT COUNT BEGIN SECONDS SEED``.

It enqueues COUNT tasks, spread over SECONDS from BEGIN (Unix time). Its n-th task is of the kind that seed, slot
and n decide, whatever happened before; started again after a kill, it goes on behind the last one that it tried.
"""

from __future__ import annotations

import os
import random
import sys
import time

from .kinds import KINDS, drawn
from .ledger import Ledger, facts
from .plants import plant_from
from .sender import Sender
from .target import chaos_queue

ANSWER_SECONDS = 1.5
"""Short, so that a stalled connection is an unknown outcome soon."""


def produce(slot: int, count: int, begin: float, seconds: float, seed: str) -> None:
    """Enqueue what is still to be enqueued, in time."""
    path = os.environ["CHAOS_LEDGER"]
    done = sum(fact["say"] == "turn" for fact in facts(path))
    ledger = Ledger(path)
    queue = chaos_queue(os.environ["LIMELIGHT_REDIS_URL"], socket_timeout=ANSWER_SECONDS)
    for number in range(done, count):
        chance = random.Random(f"{seed}/{slot}/{number}")
        time.sleep(max(0.0, begin + number * seconds / count - time.time()))
        ledger.note(say="turn", number=number)
        kind = drawn(chance)
        kind.send(kind, KINDS, Sender(queue, ledger, chance), chance)


if __name__ == "__main__":
    plant_from(os.environ)
    produce(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]), sys.argv[5])
