"""An application with tasks of every kind, for the main job from end to end."""

import os

from limelight import CancelExecution, RedisQueue, RetryTask, crontab

queue = RedisQueue("orders", service_name="shop")
_failed: set[str] = set()


@queue.task()
def quick(number: int) -> int:
    """Return."""
    return number


@queue.task(retries=2, retry_delay=0.05)
def flaky(key: str) -> str:
    """Fail once."""
    if key not in _failed:
        _failed.add(key)
        raise ConnectionError("the shop's bank does not answer")
    return key


@queue.task(retries=1)
def hopeless() -> None:
    """Fail always."""
    raise ValueError("no such order")


@queue.task()
def again(key: str) -> None:
    """Ask for another run once."""
    if key not in _failed:
        _failed.add(key)
        raise RetryTask


@queue.task()
def stop() -> None:
    """Cancel."""
    raise CancelExecution


@queue.task()
def unstorable() -> object:
    """Return what cannot be stored."""
    return object()


@queue.task()
def parent(number: int) -> str:
    """Enqueue another task."""
    return quick(number).id


@queue.task()
def crash() -> None:
    """Take the whole worker process down, once per task; the second run returns."""
    mark = f"{os.environ['TRUTH_FILE']}.crash"
    if not os.path.exists(mark):  # noqa: PTH110
        with open(mark, "w", encoding="utf-8"):  # noqa: PTH123
            pass
        os._exit(9)


@queue.periodic_task(crontab(minute="*"))
def tick() -> None:
    """Run once a minute."""
