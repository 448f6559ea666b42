"""`limelight trace`, on what queues have told."""

from __future__ import annotations

import json

import pytest
from processes import run_limelight
from running import client_of, consuming, has_ended
from servers import wait_until

from limelight import RedisQueue, Tracing


@pytest.fixture
def queue(redis_url: str) -> RedisQueue:
    return RedisQueue("shop", url=redis_url, tracing=Tracing(mode="link"))


def shown(queue: RedisQueue, *args: str) -> tuple[int, str, str]:
    url = queue.storage.address.shown
    done = run_limelight("trace", *args, "--url", url if "://" in url else f"redis://{url}")
    return done.returncode, done.stdout, done.stderr


def test_a_task_whose_runs_are_traces_of_their_own_is_shown_with_all_of_them(queue: RedisQueue) -> None:
    work = queue.task(name="work", retries=1)(lambda: 1 / 0)
    handle = work()
    with consuming(queue):
        wait_until(lambda: has_ended(queue, handle.id))
    code, out, _ = shown(queue, handle.id[:10], "--json")
    spans = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert sorted(span["name"] for span in spans) == [
        "dead-letter work",
        "enqueue work",
        "process work",
        "process work",
    ]
    assert len({span["trace_id"] for span in spans}) == 2
    _, out, _ = shown(queue, handle.id.replace("-", ""))
    assert out.count("linked from trace") == 2
    assert "error ZeroDivisionError" in out


def test_a_task_that_waits_is_found_though_its_events_are_gone(queue: RedisQueue) -> None:
    handle = queue.task(name="work")(lambda: None)()
    client_of(queue).delete(queue.keys["events"])
    code, _, err = shown(queue, handle.id)
    assert code == 4
    assert handle.id.replace("-", "") in err
    assert "trimmed" in err


@pytest.mark.parametrize(
    ("typed", "code", "said"), [("abc", 2, "no id"), ("xyz!", 2, "no id"), ("12345678", 4, "no event")]
)
def test_what_cannot_be_found_is_said_with_the_way_out(
    queue: RedisQueue, typed: str, code: int, said: str
) -> None:
    queue.task(name="work")(lambda: None)()
    got, _, err = shown(queue, typed)
    assert (got, said in err) == (code, True), err
