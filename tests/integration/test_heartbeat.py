"""What a consumer holds and Redis says is not its own: told once, and never of what was only just settled."""

import logging
import threading
import time

import pytest
from running import consuming, told
from servers import wait_until

from limelight import RedisQueue


@pytest.fixture
def queue(redis_url: str) -> RedisQueue:
    return RedisQueue("beats", url=redis_url)


def test_tasks_that_are_being_settled_are_never_taken_for_lost(
    queue: RedisQueue, caplog: pytest.LogCaptureFixture
) -> None:
    note = queue.task(name="note")(lambda: 1)
    with consuming(queue, workers=8, lease_seconds=1) as consumer:
        heartbeat = consumer._stations[0]._heartbeat
        until = time.monotonic() + 2
        while time.monotonic() < until:
            parcels = [queue.parcel(note.s()) for _ in range(200)]
            queue.storage.producing.enqueue(parcels, queue.storage.producing.new_receipt())
            heartbeat.beat()
        wait_until(lambda: not queue.storage.address.client().hlen(queue.keys["tasks"]), 20)
    assert "not ours any more" not in caplog.text


def test_a_task_that_was_taken_from_us_is_told_once(
    queue: RedisQueue, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = threading.Event()
    hang = queue.task(name="hang")(lambda: go_on.wait(20))
    with consuming(queue, workers=1, lease_seconds=2), caplog.at_level(logging.WARNING):
        handle = hang()
        wait_until(lambda: told(queue, status="started"))
        queue.storage.address.client().hdel(queue.keys["tasks"], handle.id)
        wait_until(lambda: "not ours any more" in caplog.text, 10)
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 2.5, 5)
        go_on.set()
    assert caplog.text.count("not ours any more") == 1
