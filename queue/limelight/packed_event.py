"""The packed form of an event, as the frequent ones stand on the stream in field ``m``: a MessagePack array.

What stands at which place is the order of `PackedEvent`'s attributes; docs/events.md prints it. Later versions add at
the end only, and readers ignore what they do not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, Final

import msgspec

from .events import Event, decode


class PackedEvent(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What stands in the array, place by place; a key that an event does not have is nil.

    The queue is the stream's, and `error` is false. Times are Unix seconds, durations seconds; `span_start` and
    `span_end` nanoseconds. `service` and `links` are JSON text, and so are `trace` and `further`: objects with the
    keys that have no place of their own, `trace` with those of every event about the span. In ``enqueued`` a
    `span_start` or `span_end` of nil is the event's time.
    """

    v: int
    timestamp: float
    emitter: str
    source: str
    status: str
    seq: int
    id: str
    task: str
    priority: int
    group_id: str | None
    group_size: int
    enqueued_at: float
    retries: int
    retry_delay: float
    run: int
    attempt: int
    max_attempts: int
    execute_time: float | None
    ready_at: float
    trace_id: str
    span_id: str | None
    parent_span_id: str | None
    trace_flags: int
    trace: str | None = None
    host: str | None = None
    pid: int | None = None
    worker: str | None = None
    service: str | None = None
    started_at: float | None = None
    wait: float | None = None
    trace_started_at: float | None = None
    links: str | None = None
    duration: float | None = None
    span_start: str | int | None = None
    span_end: str | int | None = None
    outcome: str | None = None
    further: str | None = None
    end: str | None = None
    first_ready_at: float | None = None
    waited_seconds: float | None = None
    ran_seconds: float | None = None
    backed_off_seconds: float | None = None
    parked_seconds: float | None = None
    retries_used: int | None = None

    def keys(self, queue: str) -> dict[str, Any]:
        """The event as JSON has it. Raises msgspec's DecodeError where a text that should be JSON is none."""
        keys = {name: value for name in _PLAIN if (value := getattr(self, name)) is not None}
        keys |= {"execute_time": self.execute_time, "error": False, "queue": queue}
        if self.group_id is not None:
            keys |= {"group_id": self.group_id, "group_size": self.group_size}
        for name in _TEXTS:
            if (text := getattr(self, name)) is not None:
                keys[name] = _json(text)
        for name in ("span_start", "span_end"):
            told = getattr(self, name)
            if told is not None or self.started_at is None:
                keys[name] = f"{round(self.timestamp * 1e6)}000" if told is None else str(told)
        for name in _OBJECTS:
            if (text := getattr(self, name)) is not None:
                keys |= _json_object(text)
        return keys


_TEXTS: Final = ("service", "links")
_OBJECTS: Final = ("trace", "further")
_APART: Final = frozenset(
    {*_TEXTS, *_OBJECTS, "execute_time", "group_id", "group_size", "span_start", "span_end"}
)
_PLAIN: Final = tuple(name for name in PackedEvent.__struct_fields__ if name not in _APART)
_unpack: Final = msgspec.msgpack.Decoder(PackedEvent).decode
_json: Final = msgspec.json.Decoder().decode
_json_object: Final = msgspec.json.Decoder(dict[str, Any]).decode


def decode_packed(queue: str, raw: bytes) -> Event:
    """The event that stands packed on a queue's stream; raises ``msgspec.DecodeError`` on anything else."""
    told = _unpack(raw)
    if told.further is not None or told.links is not None or told.trace is not None:
        return msgspec.convert(told.keys(queue), Event)
    here = {"start": told.span_start, "end": told.span_end}
    if told.started_at is None:
        now = f"{round(told.timestamp * 1e6)}000"
        here = {name: now if at is None else at for name, at in here.items()}
    return Event(
        status=told.status, queue=queue, seq=told.seq, timestamp=told.timestamp, v=told.v, emitter=told.emitter,
        source=told.source, id=told.id, task=told.task, retries=told.retries, retry_delay=told.retry_delay,
        execute_time=told.execute_time, run=told.run, attempt=told.attempt, max_attempts=told.max_attempts,
        priority=told.priority, enqueued_at=told.enqueued_at, ready_at=told.ready_at, started_at=told.started_at,
        wait=told.wait, duration=told.duration, outcome=told.outcome, end=told.end,
        first_ready_at=told.first_ready_at, waited_seconds=told.waited_seconds or 0.0,
        ran_seconds=told.ran_seconds or 0.0, backed_off_seconds=told.backed_off_seconds or 0.0,
        parked_seconds=told.parked_seconds or 0.0, retries_used=told.retries_used or 0, host=told.host, pid=told.pid,
        worker=told.worker, service=None if told.service is None else _service(told.service),
        trace_id=told.trace_id, span_id=told.span_id, parent_span_id=told.parent_span_id,
        trace_flags=told.trace_flags, trace_started_at=told.trace_started_at,
        span_start=_text(here["start"]), span_end=_text(here["end"]),
        group_id=told.group_id, group_size=told.group_size if told.group_id is not None else 0,
    )  # fmt: skip


def _text(nanoseconds: str | int | None) -> str | None:
    return None if nanoseconds is None else str(nanoseconds)


_service: Final = lru_cache(maxsize=1_000)(_json_object)
"""Of a text that is the same for all events of a process; nobody changes what it says."""


def decoders(queue: str) -> Mapping[bytes, Callable[[bytes], Event]]:
    """Of the events on a queue's stream, by the field that holds them; they raise ``msgspec.DecodeError``."""
    return {b"e": decode, b"m": partial(decode_packed, queue)}


def decode_whole(fields: Mapping[bytes, bytes]) -> Event | PackedEvent:
    """What an entry of a stream holds, as it stands there; raises ``msgspec.DecodeError`` where that is no event."""
    return _unpack(fields[b"m"]) if b"m" in fields else decode(fields[b"e"])


def as_json(queue: str, fields: Mapping[bytes, bytes]) -> bytes:
    """The JSON of an entry of a queue's stream, as the live channel has it; b"" of one that holds no event.

    Raises ``msgspec.DecodeError`` where a packed event cannot be read; JSON is given as it is.
    """
    packed = fields.get(b"m")
    return fields.get(b"e", b"") if packed is None else msgspec.json.encode(_unpack(packed).keys(queue))
