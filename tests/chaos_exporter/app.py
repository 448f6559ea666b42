"""The tasks whose counts are checked: each run notes in a file what it does before it does it.

Wants CHAOS_LEDGER (a path), CHAOS_MARKS (a folder) and LIMELIGHT_REDIS_URL in the environment.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from chaos.ledger import Ledger

from limelight import RedisQueue

from .target import HOPELESS_RETRIES, QUEUE_NAME

queue = RedisQueue(QUEUE_NAME, max_redeliveries=1_000)
ledger = Ledger(os.environ["CHAOS_LEDGER"])


@queue.task(name="fine")
def fine(key: int) -> int:
    """Return."""
    ledger.note(ran="fine", key=key)
    return key


@queue.task(name="hopeless", retries=HOPELESS_RETRIES)
def hopeless(key: int) -> None:
    """Fail, each time."""
    ledger.note(ran="hopeless", key=key)
    raise ValueError(key)


@queue.task(name="deadly")
def deadly(key: int) -> None:
    """Kill the worker, and whatever else it runs, the first time; then return."""
    ledger.note(ran="deadly", key=key)
    mark = Path(os.environ["CHAOS_MARKS"], str(key))
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
