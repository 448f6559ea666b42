"""An event in its packed form says what its JSON says, and later versions can be read as far as they are known."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limelight import events
from limelight.packed_event import PackedEvent, as_json, decoders

STARTED = [
    *(1, 1_700_000_000.25, "e1", "worker", "started", 7, "id-1", "send", 3, None, 0, 1_700_000_000.0),
    *(2, 0.5, 1, 1, 3, None, 1_700_000_000.0, "a" * 32, "b" * 16, "c" * 16, 1, '{"trace_state":"k=v"}'),
    *("web-1", 12, "worker-1", '{"service.name":"shop"}', 1_700_000_000.25, 0.25, 1_699_999_999.5, None),
]
ENQUEUED = [
    *STARTED[:4],
    "enqueued",
    *STARTED[5:23],
    None,
    "web-1",
    12,
    None,
    None,
    None,
    None,
    None,
    None,
    None,
]


def read(places: list[Any]) -> dict[str, Any]:
    raw = msgspec.msgpack.encode(places)
    told: dict[str, Any] = json.loads(as_json("mail", {b"m": raw}))
    assert decoders("mail")[b"m"](raw) == events.decode(json.dumps(told).encode())
    return told


def test_a_packed_event_has_the_keys_of_its_json() -> None:
    assert read(STARTED) == {
        "v": 1, "timestamp": 1_700_000_000.25, "emitter": "e1", "source": "worker", "status": "started", "seq": 7,
        "id": "id-1", "task": "send", "priority": 3, "enqueued_at": 1_700_000_000.0, "retries": 2, "retry_delay": 0.5,
        "run": 1, "attempt": 1, "max_attempts": 3, "execute_time": None, "ready_at": 1_700_000_000.0,
        "trace_id": "a" * 32, "span_id": "b" * 16, "parent_span_id": "c" * 16, "trace_flags": 1, "trace_state": "k=v",
        "host": "web-1", "pid": 12, "worker": "worker-1", "service": {"service.name": "shop"},
        "started_at": 1_700_000_000.25, "wait": 0.25, "trace_started_at": 1_699_999_999.5,
        "queue": "mail", "error": False,
    }  # fmt: skip


def test_keys_without_a_place_of_their_own_are_keys_of_the_event() -> None:
    told = read([*STARTED, 0.5, 1, 2, "success", '{"batch":3}'])
    assert (told["batch"], told["duration"], told["outcome"]) == (3, 0.5, "success")
    assert (told["span_start"], told["span_end"]) == ("1", "2"), "nanoseconds are text in JSON"


def test_a_span_that_ends_with_its_event_need_not_say_so() -> None:
    told = read([*ENQUEUED, "1699999999000000000", None])
    assert told["span_start"] == "1699999999000000000"
    assert told["span_end"] == "1700000000250000000"


def test_an_event_with_nothing_unusual_says_the_same() -> None:
    plain = [*STARTED[:23], None, *STARTED[24:]]
    assert "trace_state" not in read(plain)
    assert (
        read([*plain, 0.5, 1, 2, "success", None, "success", 1.0, 0.25, 0.5, 0.0, 0.0, 0])["retries_used"]
        == 0
    )
    assert read([*plain[:9], "group", 4, *plain[11:]])["group_size"] == 4


def test_places_that_a_later_version_adds_are_ignored() -> None:
    whole = [*STARTED, *[None] * (len(PackedEvent.__struct_fields__) - len(STARTED))]
    assert read([*whole, "news", {"deep": [1]}]) == read(STARTED)


@pytest.mark.parametrize("broken", [b"", b"\xc1", b"{}", msgspec.msgpack.encode([1, 2]), b"\xdc\x00\x20\x01"])
def test_what_is_no_packed_event_is_refused(broken: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        as_json("mail", {b"m": broken})


@given(st.integers(0, 2**53 // 10))
def test_seconds_of_a_packed_event_are_those_of_its_json(micros: int) -> None:
    assert micros / 1_000_000 == float(f"{micros // 1_000_000}.{micros % 1_000_000:06d}")
