"""What a queue's events look like from outside: where they go, how many are kept, and who speaks."""

from __future__ import annotations

import os
import re
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from . import events
from .errors import ConfigurationError
from .privacy import EVERYTHING, Privacy

NO_TASK: Final = ',"id":null,"task":null,"retries":null,"retry_delay":null,"execute_time":null'
"""The task keys of an event about no task."""

_VALUE_LIMIT: Final = 1_024
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisEventEmitter:
    """Describes the events of a queue; the scripts append them together with the change they tell of.

    Attributes:
        channel: Pub/sub channel of live events; None for the queue's own, "" for none.
        max_events: Entries that the stream may hold (it holds few while an exporter runs; about 340 bytes each).
        max_age_seconds: How long an event may stay, 0 for as long as `max_events` allows; a reader of the stream that
            is away for longer is not waited for.
    """

    channel: str | None = None
    max_events: int = 500_000
    max_age_seconds: float = 86_400.0

    def __post_init__(self) -> None:
        if type(self.max_events) is not int or self.max_events < 1_000:
            raise ConfigurationError(f"max_events must be a whole number from 1000, not {self.max_events!r}")
        if self.max_age_seconds < 0:
            raise ConfigurationError(f"max_age_seconds must be 0 or more, not {self.max_age_seconds}")


def fragment(values: Mapping[str, Any]) -> str:
    """JSON object members with a leading comma, to be spliced into an event; None values are left out."""
    kept = {key: value for key, value in values.items() if value is not None}
    return "," + _encode(kept)[1:-1].decode() if kept else ""


def about_task(task_id: str, name: str, retries: int, retry_delay: float) -> str:
    """The task keys of an event that no script composes, because the task's state does not change."""
    return fragment({"id": task_id, "task": name, "retries": retries, "retry_delay": retry_delay}) + (
        ',"execute_time":null'
    )


def cut(text: str, limit: int) -> str:
    """Cut the middle out of a text so that at most `limit` bytes of UTF-8 remain."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit:
        return raw.decode()
    half = (limit - 40) // 2
    head, tail = raw[:half].decode("utf-8", "ignore"), raw[-half:].decode("utf-8", "ignore")
    return f"{head}\n… {len(raw) - 2 * half} bytes left out …\n{tail}"


def failure(
    error: BaseException, traceback: str | None = None, privacy: Privacy = EVERYTHING
) -> dict[str, str | None]:
    """The keys that tell of an exception: type, message (at most 1 kB), traceback (at most 32 kB).

    What may not be told is taken out before a text is cut, or half a secret might be left.
    """
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return {
        "error_type": name[: events.TYPE_LIMIT],
        "error_message": _told(_text(error), privacy, events.MESSAGE_LIMIT_BYTES)
        if privacy.messages
        else None,
        "traceback": (
            _told(traceback, privacy, events.TRACEBACK_LIMIT_BYTES)
            if traceback is not None and privacy.tracebacks
            else None
        ),
    }


def _told(text: str, privacy: Privacy, limit: int) -> str:
    return cut(privacy.text(text), limit)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return f"(its message could not be read: {type(error).__qualname__}.__str__ raised)"


def service_of(environment: Mapping[str, str], name: str) -> dict[str, str]:
    """The resource attributes of this process by OpenTelemetry's environment variables.

    Args:
        environment: ``OTEL_RESOURCE_ATTRIBUTES`` (``key=value,…``, percent-encoded) and ``OTEL_SERVICE_NAME``.
        name: ``service.name`` where the environment gives none.
    """
    pairs = (
        item.split("=", 1)
        for item in environment.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")
        if "=" in item
    )
    service = {"service.name": name} | {key.strip(): unquote(value.strip()) for key, value in pairs}
    if environment.get("OTEL_SERVICE_NAME"):
        service["service.name"] = environment["OTEL_SERVICE_NAME"]
    service = {key: value[:_VALUE_LIMIT] for key, value in service.items()}
    return {key: value for key, value in service.items() if re.fullmatch(r"[\w.\-/]{1,200}", key)}


class Speaker:
    """Who tells events: one per process, its id new at every start.

    Attributes:
        id: Random, never from Redis.
        where: Fragment with host, pid and service; `worker` adds the worker's name.
    """

    def __init__(self, service: Mapping[str, str]) -> None:
        self.id = uuid.uuid4().hex[:16]
        self.pid = os.getpid()
        self.host = socket.gethostname()
        self._service = dict(service)
        self.where = fragment({"host": self.host, "pid": self.pid, "service": self._service})

    def worker(self, name: str) -> str:
        """The `where` fragment of one worker of this process."""
        return fragment({"host": self.host, "pid": self.pid, "worker": name, "service": self._service})
