"""Signals of the consumer's command."""

import subprocess
import sys

AT_EVERY_STEP = """
import os, signal, sys, threading
from limelight.cli.consumer import Signals

signals, never, left = Signals(), threading.Event(), 0

def one_step(frame, event, arg):
    global left
    frame.f_trace_opcodes = True
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGTERM)
    return one_step

for left in range(1, 60):
    signals.stops = 0
    in_the_end = threading.Timer(0.03, os.kill, (os.getpid(), signal.SIGTERM))
    in_the_end.start()
    sys.settrace(one_step)
    signals.wait(never)
    sys.settrace(None)
    in_the_end.join()
print("heard all")
"""


def test_a_signal_may_come_at_any_moment_of_waiting_for_it() -> None:
    """Also while a lock is held: a handler that wants the same lock would never return."""
    done = subprocess.run(
        [sys.executable, "-c", AT_EVERY_STEP], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "heard all\n"
