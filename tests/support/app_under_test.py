"""The application that consumer processes of the tests run; its truth is kept in files, outside Redis.

Run with LIMELIGHT_REDIS_URL and TRUTH_FILE in the environment. Each execution appends one line to the file,
by one O_APPEND write, so that lines of many processes never mix.
"""

import os
import time

from limelight import RedisQueue

queue = RedisQueue("faults", max_redeliveries=5)


def note(line: str) -> None:
    """Append one line to the file of truth."""
    handle = os.open(os.environ["TRUTH_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(handle, f"{line}\n".encode())
    finally:
        os.close(handle)


@queue.task()
def slow(number: int, seconds: float) -> int:
    """Begin, take its time, end."""
    note(f"begin {number}")
    time.sleep(seconds)
    note(f"end {number}")
    return number


@queue.task(retries=2)
def flaky(number: int) -> int:
    """Fail the first time."""
    note(f"begin {number}")
    mark = f"{os.environ['TRUTH_FILE']}.{number}"
    if not os.path.exists(mark):  # noqa: PTH110
        with open(mark, "w", encoding="utf-8"):  # noqa: PTH123
            pass
        raise ValueError("the first time")
    return number


@queue.task()
def deadly() -> None:
    """Kill the worker's process."""
    note("deadly")
    os._exit(9)
