"""The application whose tasks worker processes of the tests run; its truth is kept in files, as in app_under_test."""

import asyncio
import ctypes
import os
import signal
import threading
import time

from app_under_test import note
from running import timed

from limelight import RedisQueue

queue = RedisQueue("procs", max_redeliveries=3)
other = RedisQueue("others")


@queue.task()
def quick(number: int) -> int:
    """Return at once."""
    return number


@queue.task()
def slow(number: int, seconds: float) -> int:
    """Begin, take its time, end."""
    note(f"begin {number}")
    time.sleep(seconds)
    note(f"end {number}")
    return number


@queue.task()
def die(number: int) -> None:
    """Die by a signal."""
    note(f"die {number}")
    os.kill(os.getpid(), signal.SIGKILL)


@queue.task()
def leave() -> None:
    """End the process from inside, as C code that calls exit does."""
    os._exit(7)


@queue.task()
async def coroutine(number: int) -> int:
    """Await something."""
    await asyncio.sleep(0.001)
    return number


@queue.task()
def where() -> tuple[int, bool]:
    """Say which process this is, and whether it runs in the main thread."""
    return os.getpid(), threading.current_thread() is threading.main_thread()


@queue.task()
def hold_the_interpreter(seconds: float) -> int:
    """C code that lets no other thread run."""
    ctypes.PyDLL(None).usleep(round(seconds * 1e6))
    return 1


def sleep_long() -> None:
    """Sleep far longer than its timeout."""
    time.sleep(60)


def deaf() -> None:
    """Look at no signal: the handler runs only when C code returns."""
    note(f"deaf {os.getpid()}")
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    time.sleep(60)


sleep_long_task = timed(queue, sleep_long, 0.3)
deaf_task = timed(queue, deaf, 0.3, retries=1)


@other.task()
def echo(value: int) -> int:
    """Return the value."""
    return value
