"""An application that uses every hook and signal; what was called is kept in a file, as in app_under_test."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

from app_under_test import note

from limelight import CancelExecution, RedisQueue, Task


def place() -> str:
    """This process and thread, as a word."""
    return f"{os.getpid()}:{threading.current_thread().name}"


def declare(queue: RedisQueue) -> RedisQueue:
    """Declare tasks, hooks and handlers; each note begins with the name of the task."""

    @queue.task(context=True, team="billing", retries=2)
    def plain(number: int, task: Task | None = None) -> tuple[str, int, str]:
        assert task is not None
        note(f"plain ran {number} in {place()}")
        return task.id, task.retries, task.settings["team"]

    @queue.task(context=True)
    async def awaited(task: Task | None = None) -> str:
        assert task is not None
        note("awaited ran")
        return task.id

    @queue.task(retries=1)
    def failing() -> None:
        note("failing ran")
        raise ValueError("no luck")

    @queue.task()
    def refused() -> None:
        note("refused ran")

    @queue.task()
    def long(number: int) -> None:
        note(f"long ran {number}")
        time.sleep(30)

    @queue.task(timeout=0.3)
    def deaf(number: int) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
        time.sleep(60)

    @queue.pre_execute()
    def before(task: Task) -> None:
        note(f"{task.name} before")
        if task.name == "refused":
            raise CancelExecution("not today")

    @queue.post_execute()
    def after(task: Task, value: Any, exc: BaseException | None) -> None:
        note(f"{task.name} after {exc!r}")

    @queue.on_startup()
    def up() -> None:
        note(f"up {place()}")

    @queue.on_shutdown()
    def down() -> None:
        note(f"down {place()}")

    @queue.signal()
    def heard(signal: str, task: Task, *exc: BaseException) -> None:
        note(" ".join([task.name, signal, repr(task.args), *map(repr, exc)]))

    return queue


queue = declare(RedisQueue("hooked"))
