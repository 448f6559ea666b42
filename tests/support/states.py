"""Tasks in each state, brought there by the transitions that lead there."""

import itertools

from limelight import RedisQueue
from limelight.lifecycle import State
from limelight.storage.base import Burial, ReserveRequest

LIVING = (State.DELAYED, State.SCHEDULED, State.READY, State.RESERVED, State.RUNNING, State.DEAD)
REASON = ',"error_type":"app.NoLuck","error_message":"as planned"'
_owners = itertools.count(1)


def task_in(queue: RedisQueue, state: State, name: str = "send") -> str:
    """Enqueue a task and bring it into a state; returns its id. Nothing else may be ready."""
    task = queue.task(name=name)(lambda *args, **kwargs: None)
    if state in {State.DELAYED, State.SCHEDULED}:
        later = task.schedule(("a@b.c",), {"copies": 2}, delay=3_600).id
        if state is State.SCHEDULED:
            assert queue.storage.schedule_delayed(1, "")[0] == 1
        return later
    task_id = task("a@b.c", copies=2).id
    if state is State.READY:
        return task_id
    request = ReserveRequest(
        f"owner{next(_owners)}", 1, count=1, lease_seconds=60, names=[name] if state is State.RUNNING else []
    )
    _, reservation = queue.storage.settle_and_reserve([], request, where="", result_ttl_ms=1_000)
    (handed,) = reservation.tasks  # type: ignore[union-attr]
    assert handed.lease.task_id == task_id, "another task was ready"
    if state is State.DEAD:
        burial = Burial(handed.lease, REASON, ',"traceback":"Traceback: here"', b"")
        assert queue.storage.bury(burial, where="", result_ttl_ms=60_000)
    return task_id


def buried(queue: RedisQueue, count: int, name: str = "send") -> list[str]:
    """So many dead letters, the oldest first."""
    return [task_in(queue, State.DEAD, name) for _ in range(count)]


def spoil(queue: RedisQueue, task_id: str) -> None:
    """Make the record of a task bytes that are no record."""
    queue.storage.address.client().hset(queue.keys["tasks"], task_id, b"\xc1 no record")
