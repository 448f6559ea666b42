"""What scripts are given and what they answer, as words of Redis' protocol. Pure."""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from limelight.emitter import fragment
from limelight.errors import UndecodableMessage
from limelight.events import EVENT_FINISHED
from limelight.storage.base import (
    GroupParcel,
    Handed,
    Lease,
    Parcel,
    Reservation,
    Scheduled,
    Settlement,
    SpanIds,
)

Word = str | bytes | int | float

_encode: Final = msgspec.msgpack.Encoder().encode
_FIXARRAY: Final = 1
"""Bytes of MessagePack that open an array of up to 15 items."""
_split: Final = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode


def micros(seconds: float) -> str:
    """Whole microseconds as text."""
    return str(round(seconds * 1e6))


def number(seconds: float) -> str:
    """A number as JSON has it, without an exponent or a needless fraction."""
    if seconds == 0:
        return "0"
    text = format(seconds, ".6f").rstrip("0").rstrip(".")
    return text or "0"


# -- Given ------------------------------------------------------------------------------------------------
def item(parcel: Parcel) -> tuple[Word, ...]:
    """The words of one task; see ``lua/_new.lua``."""
    followers = _followers(parcel)
    head = _head(parcel)
    retries = parcel.retries
    return (
        parcel.id,
        head,
        _fixed(parcel, len(head), len(followers)),
        _values(retries, parcel.retry_delay or 0, 0, 0, retries + 1),
        _span(parcel),
        place(parcel.where),
        parcel.span_start_ns // 1000,
        parcel.priority,
        _when(parcel),
        followers,
        parcel.body,
    )


def _packed_item(parcel: Parcel) -> bytes:
    return raw(*(word if isinstance(word, bytes) else str(word).encode() for word in item(parcel)))


def _when(parcel: Parcel) -> str:
    times = (parcel.execute_at, parcel.delay, parcel.expires_at, parcel.expires_in)
    if times == (None, None, None, None):
        return ""
    eta, delay, expires_at, expires_in = times
    return (
        f"{_whole_micros(eta, 0)} {_whole_micros(delay, -1)} "
        f"{_whole_micros(expires_at, 0)} {_whole_micros(expires_in, -1)}"
    )


def _head(parcel: Parcel) -> bytes:
    """The keys that all events of a task have: id, task, priority, group_id, group_size."""
    group = parcel.group
    return _values(
        parcel.id, parcel.name, parcel.priority, group.group_id if group else None, group.size if group else 0
    )


def _span(parcel: Parcel) -> bytes:
    """Of an enqueue span: trace_id, span_id, parent_span_id, trace_flags, and as JSON what else there is."""
    told = parcel.enqueue_span
    state = _trace_state(parcel.trace_state, parcel.origin)
    if told is None:
        trace_id, span_id, parent_span_id, more = (
            parcel.trace_id,
            parcel.span_id,
            parcel.parent_span_id,
            state,
        )
    else:
        trace_id, span_id, parent_span_id, links, batch, within = told
        linked = [link._asdict() for link in links] or None
        more = state + fragment(
            {"links": linked, "batch": batch if batch > 1 else None, "within": within or None}
        )
    return _values(
        trace_id,
        span_id or None,
        parent_span_id or None,
        parcel.trace_flags,
        f"{{{more[1:]}}}" if more else None,
    )


@functools.lru_cache(maxsize=1_000)
def place(where: str) -> bytes:
    """A fragment that tells host, pid, worker and service, as it is packed in events."""
    told = msgspec.json.decode("{" + where[1:] + "}")
    service = told.get("service")
    return _values(
        told.get("host"), told.get("pid"), told.get("worker"), None if service is None else _json(service)
    )


@functools.lru_cache(maxsize=100)
def _trace_state(state: str, origin: SpanIds | None) -> str:
    """What else is told of a span, with all its events; the tasks of a bulk have it in common."""
    return fragment({"trace_state": state or None, "origin": origin and origin._asdict()})


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _values(*values: Any) -> bytes:
    """Up to 15 values, packed one after the other."""
    return _encode(values)[_FIXARRAY:]


_NUMBERS: Final = struct.Struct(">qqhqBQII").pack


def _fixed(parcel: Parcel, head: int, followers: int) -> bytes:
    """The FIXED fields of ``lua/_record.lua``: texts that end in a zero, then numbers."""
    group, retries = parcel.group, parcel.retries
    trace_state = _trace_state(parcel.trace_state, parcel.origin)
    membership = f"{group.group_id}:{group.place}" if group else ""
    texts = (
        f"{parcel.name}\0{number(parcel.retry_delay)}\0{parcel.trace_id}\0{parcel.span_id}\0{trace_state}\0"
        f"{parcel.periodic}\0{membership}\0{parcel.gathers}\0"
    )
    return texts.encode() + _NUMBERS(
        retries + 1,
        retries,
        parcel.priority,
        parcel.max_redeliveries,
        parcel.trace_flags,
        round(parcel.traced_at * 1e6),
        head,
        followers,
    )


def _whole_micros(seconds: float | None, absent: int) -> int:
    return absent if seconds is None else round(seconds * 1e6)


def _followers(parcel: Parcel) -> bytes:
    if parcel.on_success is None and parcel.on_error is None:
        return b""
    words: list[bytes] = []
    for follower in (parcel.on_success, parcel.on_error):
        words += [_packed_item(follower), _ids(follower)] if follower else [b"", b""]
    return raw(*words)


def _ids(parcel: Parcel) -> bytes:
    """The task and all that hang on it, itself first."""
    return " ".join(_descent(parcel)).encode()


def _descent(parcel: Parcel) -> Iterator[str]:
    yield parcel.id
    for follower in (parcel.on_success, parcel.on_error):
        if follower:
            yield from _descent(follower)


def group(parcel: GroupParcel) -> tuple[str, bytes]:
    """The arguments of one group: its name and its packed array; see ``lua/_end.lua``."""
    return parcel.group_id, raw(
        str(parcel.size).encode(), _packed_item(parcel.callback), _ids(parcel.callback)
    )


def group_size(packed: bytes) -> int:
    """How many members a group has, by its packed array; raises UndecodableMessage."""
    try:
        return int(msgspec.msgpack.decode(_split(packed)[0], type=str))
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, IndexError) as error:
        raise UndecodableMessage(f"not a group of ours: {error}") from error


def raw(*words: bytes) -> bytes:
    """A MessagePack array of byte strings, in the form that Redis' ``cmsgpack`` reads (it knows no bin type)."""
    head = b"\xdc" + len(words).to_bytes(2, "big")
    return head + b"".join(b"\xdb" + len(word).to_bytes(4, "big") + word for word in words)


def settlement(given: Settlement, result_ttl_ms: int) -> tuple[bytes, bytes, bytes]:
    """The arguments of one run that closes: its array, its closing keys and what it leaves; see ``lua/settle.lua``."""
    decision = given.decision
    return (
        _encode(
            (
                given.lease.task_id,
                given.lease.token,
                decision.status,
                decision.outcome,
                decision.fate,
                decision.end,
                given.fragment,
                given.traceback,
                result_ttl_ms if given.stored else 0,
                round(decision.delay_seconds * 1e6),
                number(decision.next_delay_seconds),
                decision.granted,
                decision.parked,
                len(given.heirs),
                given.reason,
            )
        ),
        _closing(given) if decision.status == EVENT_FINISHED else b"",
        given.result,
    )


def _closing(given: Settlement) -> bytes:
    """From "duration" to "outcome", and the keys that have no place of their own as JSON."""
    keys = msgspec.json.decode("{" + (given.fragment + given.traceback)[1:] + "}")
    duration, start, end = (
        keys.pop("duration", None),
        keys.pop("span_start", None),
        keys.pop("span_end", None),
    )
    return _values(
        duration,
        start and int(start),
        end and int(end),
        given.decision.outcome,
        _json(keys) if keys else None,
    )


# -- Answered ---------------------------------------------------------------------------------------------
class _Handed(msgspec.Struct, array_like=True, gc=False):
    """What ``lua/_start.lua`` packs of one task."""

    token: str
    verdict: str
    name: str
    run: int
    attempt: int
    retries: int
    retry_delay: str
    redeliveries: int
    span: str
    trace_flags: int
    traced_at: int
    started_at: int
    gathers: str
    leaves: bool
    priority: int
    expires_at: int
    heirs: str
    execute_at: int


_ENDS: Final = frozenset({"revoked", "expired"})
_decode_handed: Final = msgspec.msgpack.Decoder(_Handed).decode


def reservation(reply: list[Any], token: str) -> Reservation:
    """The answer of ``lua/reserve.lua`` to the owner of that token."""
    delayed, ready, *tasks = reply
    all_handed = [handed(task, token) for task in tasks]
    return Reservation(
        tuple(task for task in all_handed if not task.ended),
        int(delayed),
        int(ready),
        tuple(task for task in all_handed if task.ended),
    )


def scheduled(reply: list[Any]) -> Scheduled:
    """One task as ``lua/schedule.lua`` tells of it."""
    task_id, name, retries, delay, priority, due, expires_at, body = reply
    return Scheduled(
        task_id.decode(),
        name.decode(),
        int(retries),
        float(delay),
        int(priority),
        int(due) / 1e6,
        int(expires_at) / 1e6,
        body,
    )


def handed(reply: list[Any], token: str) -> Handed:
    """One task as ``lua/_start.lua`` hands it over; what cannot be read has no name that anybody knows."""
    task_id, packed, left, body = reply
    try:
        given = _decode_handed(packed)
    except (msgspec.DecodeError, UnicodeDecodeError):
        given = _Handed(token, "reserved", "", 0, 0, 0, "0", 0, "", 0, 0, 0, "", False, 0, 0, "", 0)
    trace_id, _, span_id = given.span.partition(":")
    return Handed(
        lease=Lease(task_id.decode(), given.token),
        started=given.verdict == "started",
        name=given.name,
        run=given.run,
        attempt=given.attempt,
        retries=given.retries,
        retry_delay=float(given.retry_delay),
        redeliveries=given.redeliveries,
        trace_id=trace_id,
        span_id=span_id,
        trace_flags=given.trace_flags,
        traced_at=given.traced_at / 1e6,
        started_at=given.started_at / 1e6,
        body=body,
        gathers=given.gathers,
        leaves=given.leaves,
        priority=given.priority,
        expires_at=given.expires_at / 1e6,
        execute_at=given.execute_at / 1e6,
        ended=given.verdict if given.verdict in _ENDS else "",
        input=left,
        heirs=tuple(given.heirs.split()) if given.heirs else (),
    )
