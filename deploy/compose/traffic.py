"""Enqueue tasks of examples/tasks.py without end: RATE tasks per second, every fourth one a fetch that may fail."""

from __future__ import annotations

import itertools
import os
import signal
import threading

from tasks import add, fetch

from limelight.errors import LimelightError

told_to_stop = threading.Event()
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: told_to_stop.set())

pause_seconds = 1 / float(os.environ.get("RATE", "5"))
for count in itertools.count():
    try:
        fetch(f"https://example.org/{count}") if count % 4 == 3 else add(count, count)
    except LimelightError as error:
        print(error, flush=True)
    if told_to_stop.wait(pause_seconds):
        break
