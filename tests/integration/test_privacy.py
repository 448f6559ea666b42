"""What a task is given, and what it says when it fails, stays where its declaration and its queue want it."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from running import client_of, consuming, has_ended, told
from servers import wait_until

from limelight import MessagePack, Privacy, RedisQueue, TaskException

SECRET = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"


class Sealed(MessagePack):
    """As whoever must not have arguments readable in Redis would do it; here so that any other copy is found."""

    name = "sealed"

    def dumps(self, value: Any) -> bytes:
        return bytes(byte ^ 0x5A for byte in super().dumps(value))

    def loads(self, data: bytes) -> Any:
        return super().loads(bytes(byte ^ 0x5A for byte in data))


@contextlib.contextmanager
def everything_published(queue: RedisQueue) -> Iterator[list[bytes]]:
    heard: list[bytes] = []
    pubsub = queue.storage.listener()
    stop = threading.Event()

    def listen() -> None:
        while not stop.is_set():
            message = pubsub.get_message(timeout=0.1)
            if message and message["type"] == "message":
                heard.append(message["data"])

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield heard
    finally:
        stop.set()
        thread.join()
        pubsub.close()


def everything_stored(queue: RedisQueue) -> bytes:
    """Every value of the server, not compressed."""
    client = client_of(queue)
    before = client.config_get("rdbcompression")
    client.config_set("rdbcompression", "no")
    try:
        return b"\n".join(client.dump(key) or b"" for key in client.keys("*"))
    finally:
        client.config_set("rdbcompression", before["rdbcompression"])


def fail_with_a_secret(queue: RedisQueue, **options: Any) -> str:
    """Have a task fail that gets a secret, keeps it on its span, and shouts it; returns the task's id."""

    @queue.task(**options)
    def charge(order_id: int, card: str) -> None:
        span = trace.get_current_span()
        span.set_attribute("shop.card", card)
        try:
            int(card)
        except ValueError as error:
            span.record_exception(error)
            span.set_status(trace.StatusCode.ERROR, card)
            raise LookupError(f"cannot charge {card}") from error

    handle = charge(7, card=SECRET)
    with consuming(queue):
        wait_until(lambda: has_ended(queue, handle.id))
    return handle.id


def test_a_secret_that_is_redacted_is_nowhere_in_redis(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    queue = RedisQueue("shop", url=redis_url, serializer=Sealed(), privacy=Privacy(redact=(r"sk_live_\w+",)))
    with everything_published(queue) as heard:
        task_id = fail_with_a_secret(queue, trace_arguments=("order_id", "card"), retries=1)
        wait_until(lambda: any(b'"dead"' in one for one in heard))
    (first, last) = (event for event in told(queue, id=task_id) if "outcome" in event)
    assert last["arguments"] == {"order_id": 7, "card": "[redacted]"}
    assert last["error_message"] == "cannot charge [redacted]"
    assert last["span"]["attributes"] == {"shop.card": "[redacted]"}
    assert "cannot charge [redacted]" in last["traceback"]
    assert first["span"]["description"] == "[redacted]"
    for place in (
        b"\n".join(heard),
        everything_stored(queue),
        json.dumps(told(queue)).encode(),
        caplog.text.encode(),
    ):
        assert b"sk_live" not in place
    with pytest.raises(TaskException, match=r"\[redacted\]"):
        queue.result(task_id)


def test_without_privacy_the_same_secret_would_be_found_everywhere(redis_url: str) -> None:
    queue = RedisQueue("shop", url=redis_url, serializer=Sealed())
    with everything_published(queue) as heard:
        fail_with_a_secret(queue)
        wait_until(lambda: any(b'"dead"' in one for one in heard))
    for place in (b"\n".join(heard), everything_stored(queue), json.dumps(told(queue)).encode()):
        assert SECRET.encode() in place


def test_what_a_declaration_does_not_name_is_in_no_event(redis_url: str) -> None:
    queue = RedisQueue("shop", url=redis_url)

    @queue.task(trace_arguments=("order_id", "note"))
    def charge(order_id: int, card: str, note: str = "", amount: float = 1.5) -> str:
        return SECRET

    with everything_published(queue) as heard:
        handle = charge(7, SECRET, note="n" * 1_000)
        with consuming(queue):
            wait_until(lambda: has_ended(queue, handle.id))
        wait_until(lambda: any(b'"finished"' in one for one in heard))
    (event,) = (event for event in told(queue, id=handle.id) if "outcome" in event)
    assert event["arguments"] == {"order_id": 7, "note": "n" * 256}
    assert SECRET not in json.dumps(told(queue))
    assert SECRET.encode() not in b"\n".join(heard)
    assert handle.get() == SECRET, "the result is the caller's"


@pytest.mark.parametrize(
    "off",
    [
        {"LIMELIGHT_ERROR_MESSAGES": "off"},
        {"LIMELIGHT_ERROR_MESSAGES": "off", "LIMELIGHT_TRACEBACKS": "off"},
    ],
)
def test_messages_can_be_turned_off_from_outside(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, off: dict[str, str]
) -> None:
    for name, value in off.items():
        monkeypatch.setenv(name, value)
    queue = RedisQueue("shop", url=redis_url, serializer=Sealed())
    handle = queue.task(name="shout")(shout)(SECRET)
    with consuming(queue):
        wait_until(lambda: has_ended(queue, handle.id))
    (event,) = (event for event in told(queue, id=handle.id) if "outcome" in event)
    assert event["error_type"] == "ValueError"
    assert "error_message" not in event
    assert ("traceback" in event) == ("LIMELIGHT_TRACEBACKS" not in off)
    assert SECRET.encode() not in everything_stored(queue)
    with pytest.raises(TaskException, match="ValueError"):
        handle.get()


def shout(card: str) -> None:
    """Fail, and say too much."""
    raise ValueError(card)
