"""The way to Redis, and one clear line for whatever is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from limelight.errors import OutcomeUnknown, RedisRefused, RedisUnavailable
from limelight.inspection import queue_names
from limelight.storage.address import Address
from limelight.storage.links import Links

from .config import Settings

CONNECT_SECONDS: Final = 2.0
READ_SECONDS: Final = 5.0
NO_ANSWER: Final = (RedisUnavailable, OutcomeUnknown)
"""What says that Redis is away, and not that it will not do a thing."""


def connect(settings: Settings) -> Links:
    """Links that never wait for longer than their time-outs. Nothing is sent yet.

    Raises ConfigurationError where the URL cannot be used.
    """
    options: dict[str, Any] = {"socket_connect_timeout": CONNECT_SECONDS, "socket_timeout": READ_SECONDS}
    if settings.redis_password:
        options["password"] = settings.redis_password
    return Links(Address(settings.redis_url, options))


def exported_queues(links: Links, settings: Settings) -> Sequence[str]:
    """The queues that announced themselves and are wanted. Raises limelight's RedisError."""
    return [queue for queue in queue_names(links) if settings.file.queues.takes(queue)]


def explain(error: BaseException) -> str:
    """What is wrong and what to do, in one line without any secret."""
    text = str(error).rstrip(".")
    if isinstance(error, RedisRefused) and "password" in text:
        return f"{text}; or put the password in a file and name that with LIMELIGHT_REDIS_PASSWORD_FILE"
    return text
