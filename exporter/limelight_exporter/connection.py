"""Clients for Redis, and one clear line for whatever is wrong with it."""

from __future__ import annotations

from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from limelight.errors import ConfigurationError

from .config import Settings

CONNECT_SECONDS: Final = 2.0
READ_SECONDS: Final = 5.0


def connect(settings: Settings) -> redis.Redis:
    """A client that never repeats a command by itself and never waits for longer than its time-outs.

    Nothing is sent yet. Raises ConfigurationError where redis-py cannot use the URL.
    """
    options: dict[str, Any] = {"password": settings.redis_password} if settings.redis_password else {}
    try:
        return redis.Redis.from_url(
            settings.redis_url,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=READ_SECONDS,
            protocol=2,
            decode_responses=False,
            **options,
        )
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"Redis URL for {settings.redis_address}: {error}") from None


def explain(error: BaseException, address: str) -> str:
    """What is wrong and what to do, in one line without any secret.

    Args:
        error: What redis-py raised.
        address: Where Redis is, as it may be shown.
    """
    text = str(error)
    if "NOAUTH" in text or "Authentication required" in text:
        return (
            f"Redis at {address} wants a password: "
            "put it in a file and name that with LIMELIGHT_REDIS_PASSWORD_FILE, or put it in the URL"
        )
    if "WRONGPASS" in text or "invalid password" in text or isinstance(error, redis.AuthenticationError):
        return f"Redis at {address} refuses the password: check LIMELIGHT_REDIS_PASSWORD_FILE or the URL"
    if "NOPERM" in text:
        return f"Redis at {address} denies the exporter a right it needs: {text}"
    if isinstance(error, redis.TimeoutError):
        return f"Redis at {address} does not answer in time: is it overloaded, paused or behind a firewall?"
    if isinstance(error, redis.ConnectionError):
        return f"Redis at {address} cannot be reached: is it running, and is --redis-url right?"
    return f"Redis at {address} answered with an error: {text}"
