"""Live events over pub/sub: from the subscription on, at most once, in order."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import redis
from redis.client import PubSub

from limelight.errors import RedisUnavailable
from limelight.storage.address import Address
from limelight.storage.answers import reason

__all__ = ["Feed", "PubSub", "live_events", "subscribed"]

_CONFIRM_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 0.5
_PULSE_SECONDS: Final = 3.0
_SILENT_SECONDS: Final = 8.0


def subscribed(address: Address, channel: str) -> PubSub:
    """A PubSub whose subscription is confirmed; later confirmations, after a reconnect, are not shown.

    Raises RedisUnavailable if Redis is away or does not confirm in time.
    """
    pubsub: PubSub = address.client(channel).pubsub()
    try:
        pubsub.subscribe(channel)
        confirmed = pubsub.get_message(timeout=_CONFIRM_SECONDS)
    except (redis.exceptions.RedisError, OSError) as error:
        raise RedisUnavailable(f"cannot listen to events at {address.shown}: {reason(error)}") from error
    if not confirmed or confirmed["type"] != "subscribe":
        raise RedisUnavailable(f"Redis at {address.shown} did not confirm the subscription in time")
    pubsub.ignore_subscribe_messages = True
    return pubsub


def live_events(pubsub: PubSub, subscribe_again: Callable[[], PubSub]) -> Iterator[dict[str, Any]]:
    """Events as dicts for ever; over an outage it subscribes again. What is no event is skipped."""
    while True:
        try:
            for message in pubsub.listen():
                event = _decoded(message["data"])
                if event is not None:
                    yield event
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
            pubsub = _patiently(subscribe_again)


def _decoded(data: bytes) -> dict[str, Any] | None:
    try:
        event = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):  # whoever may publish there may publish nonsense
        return None
    return event if isinstance(event, dict) else None


def _patiently(subscribe: Callable[[], PubSub]) -> PubSub:
    while True:
        try:
            return subscribe()
        except RedisUnavailable:
            time.sleep(_RETRY_SECONDS)


class Feed:
    """Raw messages of one channel, over one connection that is heard of regularly or given up. For one thread.

    Args:
        address: Where Redis is.
        channel: What to subscribe to.

    Raises:
        RedisUnavailable: Redis is away, or does not let us subscribe.
    """

    def __init__(self, address: Address, channel: str) -> None:
        self._shown = address.shown
        self._pubsub = subscribed(address, channel)
        self._heard_at = self._asked_at = time.monotonic()

    def read(self, timeout_seconds: float) -> bytes | None:
        """The next message, or None if there was none in time.

        Raises:
            RedisUnavailable: The subscription is broken, and messages may be lost; make another.
        """
        try:
            message = self._pubsub.get_message(timeout=timeout_seconds)
            self._check_pulse(heard=message is not None)
        except (redis.exceptions.RedisError, OSError) as error:
            raise RedisUnavailable(f"the subscription at {self._shown} broke: {reason(error)}") from error
        is_message = message is not None and message["type"] == "message"
        return message["data"] if is_message else None

    def close(self) -> None:
        """End the subscription."""
        with contextlib.suppress(redis.exceptions.RedisError, OSError):
            self._pubsub.close()

    def _check_pulse(self, *, heard: bool) -> None:
        """A connection may be gone without a word, and then nothing but silence tells of it."""
        now = time.monotonic()
        if heard:
            self._heard_at = now
        elif now - self._heard_at > _SILENT_SECONDS:
            raise RedisUnavailable(f"the subscription at {self._shown} broke: Redis no longer answers")
        if now - max(self._heard_at, self._asked_at) > _PULSE_SECONDS:
            self._asked_at = now
            self._pubsub.ping()
