"""Whatever lies on a stream, a reader of it neither crashes nor keeps it.

`make fuzz` hunts longer: FUZZ_INPUTS sets how many bodies are mutated (much faster than hypothesis finds them),
FUZZ_EXAMPLES how many streams hypothesis makes up.
"""

from __future__ import annotations

import json
import os
import random
import tracemalloc
from collections import Counter
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limelight import events as contract
from limelight.events import Event
from limelight_exporter import catalog
from limelight_exporter.exposition import Exposition, Renderer
from limelight_exporter.fold import DECODERS, Told
from limelight_exporter.metric_state import QueueState
from limelight_exporter.queue_fold import take_in
from limelight_exporter.stream_source import Batch, Position, StreamSource

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))
INPUTS = int(os.environ.get("FUZZ_INPUTS", "5000"))
KEYS = Event.__struct_fields__
REASONS = set(catalog.MALFORMED_REASONS)

numbers = st.one_of(
    st.integers(), st.floats(), st.sampled_from([2**53, 2**63, 2**64, -(2**63), 1e308, -0.0, 10**400])
)
scalars = st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=30))
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)
statuses = st.one_of(st.sampled_from(sorted(contract.STATUSES)), st.text(max_size=10))
plausible = st.fixed_dictionaries(
    {"status": statuses, "queue": st.just("mail"), "seq": st.integers(-1, 20), "timestamp": st.floats(0, 1e10)},
    optional={
        "task": st.one_of(st.none(), st.text(max_size=300)), "outcome": st.sampled_from(contract.OUTCOMES),
        "end": st.sampled_from(contract.ENDS), "duration": numbers, "wait": numbers, "waited_seconds": numbers,
        "error": st.booleans(), "error_type": st.text(max_size=300), "dropped": st.integers(),
        "tasks": st.lists(st.text(max_size=20), max_size=5), "v": st.integers(0, 3), "a later key": anything,
    },
)  # fmt: skip
spoiled = st.dictionaries(st.sampled_from(KEYS), anything, max_size=6)


def as_json(value: object) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


@st.composite
def cut(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> bytes:
    """A body of which something is missing, or doubled, or other."""
    body = draw(bodies)
    at = draw(st.integers(0, len(body)))
    return body[:at] + draw(st.binary(max_size=4)) + body[at + draw(st.integers(0, 4)) :]


sound = plausible.map(as_json)
bodies = st.one_of(
    st.binary(max_size=60),
    sound,
    st.builds(lambda good, bad: as_json({**good, **bad}), plausible, spoiled),
    anything.map(as_json),
    cut(sound),
)
number = st.floats()
"""MessagePack knows what JSON does not: infinity, and what is no number."""
packed = st.builds(
    lambda status, seq, wait, duration, end: msgspec.msgpack.encode(
        [
            *(1, 1.0, "e", "worker", status, seq, "id", "send", 0, None, 0, 1.0, 0, 0, 1, 1, 1, None, 1.0),
            *("a" * 32, "b" * 16, None, 1, None, None, None, None, None, 1.0, wait, 1.0, None),
            *(duration, 1, 2, "success", None, *end),
        ]
    ),
    st.sampled_from(["started", "finished", "enqueued"]),
    st.integers(-5, 20),
    number,
    number,
    st.one_of(st.just([]), st.lists(number, min_size=5, max_size=6).map(lambda times: ["success", *times])),
)
fields = st.one_of(
    bodies.map(lambda body: [b"e", body]),
    st.lists(st.binary(max_size=5), min_size=2, max_size=6).map(lambda parts: parts[: len(parts) // 2 * 2]),
    bodies.map(lambda body: [b"x", b"1", b"e", body]),
    st.one_of(packed, cut(packed)).map(lambda body: [b"m", body]),
)


def walked(entries: list[tuple[bytes, list[bytes]]], start: Position, last_seq: int) -> Batch[Told]:
    """What a reader makes of entries, without a Redis."""
    source: StreamSource[Told] = StreamSource.__new__(StreamSource)
    source._own, source._decoders = (None, "mail"), DECODERS
    batch: Batch[Told] = Batch(start)
    source._walk(batch, entries, last_seq, last_seq)
    return batch


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(fields, max_size=12), st.integers(0, 20), st.integers(0, 25), st.booleans())
def test_no_bytes_crash_the_fold_and_everything_is_accounted_for(
    stream: list[list[bytes]], seq: int, last_seq: int, begun: bool
) -> None:
    entries = [(f"{1_700_000_000_000 + n * 1_000_000}-0".encode(), body) for n, body in enumerate(stream)]
    batch = walked(entries, Position(epoch="e", id="1-0", seq=seq, begun=begun), last_seq)
    assert len(batch.events) + sum(batch.malformed.values()) == len(entries), "counted or skipped, each once"
    assert set(batch.malformed) <= REASONS
    assert 0 <= batch.lost <= max(last_seq, seq)
    state = QueueState("mail")
    take_in(state, batch)
    saved = state.save()
    assert all(value >= 0 for cells in saved.counters.values() for _, value in cells)
    assert QueueState("mail", saved).save() == saved
    exposition = Exposition()
    state.collect(exposition, current=True)
    body, _ = Renderer().render(exposition, "application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")


def plain(seq: int) -> list[bytes]:
    return [
        b"e",
        as_json({"status": "enqueued", "queue": "mail", "seq": seq, "timestamp": 1.0, "task": "send"}),
    ]


odd = st.one_of(
    st.integers(1, 40).map(plain),  # a number that is missing before it, was there, or was never given
    st.just([b"e", b"junk"]),
    st.just([b"e", plain(1)[1], b"e", b"junk"]),
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.one_of(st.none(), st.none(), st.none(), odd), max_size=30), st.data())
def test_what_is_read_does_not_depend_on_how_the_stream_was_cut_into_batches(
    stream: list[list[bytes] | None], data: st.DataObject
) -> None:
    entries, seq = [], 0
    for n, body in enumerate(stream):
        seq += body is None
        entries.append((f"{n * 1_000_000}-1".encode(), body or plain(seq)))
    start, last = Position(epoch="e", begun=True), data.draw(st.integers(0, len(entries)))
    whole = walked(entries, start, last) if entries else Batch(start)
    pieces: list[Batch[Told]] = []
    position, rest = start, entries
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        pieces.append(walked(rest[:size], position, last))
        position, rest = pieces[-1].position, rest[size:]
    assert [event.seq for piece in pieces for event in piece.events] == [event.seq for event in whole.events]
    assert [hour for piece in pieces for hour in piece.hours] == whole.hours
    assert sum((piece.malformed for piece in pieces), Counter()) == whole.malformed
    assert sum(piece.lost for piece in pieces) == whole.lost
    assert msgspec.structs.replace(position, marks=()) == msgspec.structs.replace(whole.position, marks=())


POOL: list[Any] = [
    None, True, -1, 0, 1, 2**53, 2**63, 2**64, 10**400, 1e308, -1e-320, "", "x" * 300, "\ud800", "\x00", "_other",
    [], {}, [[[[]]]], {"a": {"b": [1, None]}}, "NaN", "1e999", "Ünï", '"', "\\", "\n", *sorted(contract.STATUSES),
    *contract.OUTCOMES, *contract.ENDS,
]  # fmt: skip


def mutated(chance: random.Random) -> bytes:
    """A whole event of which keys and bytes were changed at random."""
    row: dict[str, Any] = {
        "status": chance.choice(sorted(contract.STATUSES)), "queue": "mail", "seq": chance.randint(1, 10),
        "timestamp": 1.0, "task": f"task{chance.randint(0, 400)}", "outcome": chance.choice(contract.OUTCOMES),
    }  # fmt: skip
    for _ in range(chance.randint(0, 4)):
        row[chance.choice(KEYS)] = chance.choice(POOL)
    body = bytearray(as_json(row))
    for _ in range(chance.choice((0, 0, 1, 3))):
        at = chance.randrange(len(body))
        body[at : at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
    return bytes(body)


def test_no_mutation_of_an_event_crashes_the_fold() -> None:
    seed = random.SystemRandom().getrandbits(32)
    chance, state, seen = random.Random(seed), QueueState("mail"), 0
    position = Position(begun=True)
    try:
        while seen < INPUTS:
            entries = [
                (f"{1_700_000_000_000 + (seen + n) * 60_000}-0".encode(), [b"e", mutated(chance)])
                for n in range(100)
            ]
            batch = walked(entries, position, chance.randint(0, 10))
            assert len(batch.events) + sum(batch.malformed.values()) == len(entries)
            take_in(state, batch)
            position, seen = chance.choice((batch.position, Position())), seen + len(entries)
    except Exception as error:
        raise AssertionError(f"seed {seed}, after {seen} inputs") from error
    assert state.series < catalog.SERIES_LIMIT
    assert all(value >= 0 for cells in state.save().counters.values() for _, value in cells)


def test_a_flood_of_hostile_events_takes_no_more_memory_than_its_limits() -> None:
    state = QueueState("mail")

    def flood(begin: int) -> None:
        for number in range(begin, begin + 4):
            names = [f"{'n' * 300}{number}-{other}" for other in range(220)]
            rows: list[dict[str, Any]] = [
                {
                    "status": name,
                    "task": name,
                    "error": True,
                    "error_type": name,
                    "outcome": name,
                    "end": name,
                }
                for name in names
            ]
            rows.append({"status": "consumer-started", "tasks": names})
            common = {"queue": "mail", "timestamp": 1.0}
            entries = [
                (f"{number * 3_600_000}-{n}".encode(), [b"e", as_json({**common, "seq": n + 1, **row})])
                for n, row in enumerate(rows)
            ]
            take_in(state, walked(entries, Position(), len(rows)))

    flood(1)
    tracemalloc.start()
    flood(5)
    before, _ = tracemalloc.get_traced_memory()
    flood(9)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 1_000_000
    assert state.series < catalog.SERIES_LIMIT


def test_what_a_later_version_adds_is_ignored_and_what_it_changes_is_counted() -> None:
    row = {"status": "enqueued", "queue": "mail", "seq": 1, "timestamp": 1.0, "task": "send"}
    added = {**row, "colour": {"deep": [1, {"er": None}]}, "v": contract.VERSION}
    changed = {**row, "seq": 2, "v": contract.VERSION + 1, "task": ["now a list"]}
    news = {
        **row,
        "seq": 3,
        "status": "teleported",
        "outcome": "sublime",
        "end": "ascended",
        "ran_seconds": 1,
    }
    entries = [(f"{n}-0".encode(), [b"e", as_json(one)]) for n, one in enumerate((added, changed, news), 1)]
    batch = walked(entries, Position(), 3)
    assert [event.seq for event in batch.events] == [1, 3]
    assert batch.malformed == {"version": 1}
    assert batch.lost == 0
    state = QueueState("mail")
    take_in(state, batch)
    counters = {name: dict(cells) for name, cells in state.save().counters.items()}
    assert counters[catalog.EVENTS][("_other",)] == 1
    assert counters[catalog.ATTEMPTS] == {("send", "_other"): 1}
    assert counters[catalog.COMPLETED] == {("send", "_other"): 1}
