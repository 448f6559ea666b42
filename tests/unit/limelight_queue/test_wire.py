import contextlib
import datetime as dt
import enum
import importlib
import math
import pickle
import pkgutil
import struct
import sys
import threading
import zoneinfo
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
import tzdata
from hypothesis import given
from hypothesis import strategies as st

from limelight import wire
from limelight.errors import CannotCarry, ConfigurationError, UndecodableMessage
from limelight.retry import STEADY, Backoff

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.timezones()),
    st.timedeltas(),
    st.times(),
    st.decimals(allow_nan=False),
    st.uuids(),
)
HASHABLE = st.one_of(SCALARS, st.tuples(SCALARS, SCALARS), st.frozensets(SCALARS, max_size=3))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(HASHABLE, inner, max_size=4),
        st.sets(HASHABLE, max_size=4),
        st.frozensets(HASHABLE, max_size=4),
    ),
    max_leaves=12,
)


def exact(value: Any) -> Any:
    """A value with every type in it, all the way down, so that ``1``, ``1.0`` and ``True`` differ."""
    kind, inside = type(value), value
    if kind in {list, tuple}:
        inside = [exact(item) for item in value]
    elif kind in {set, frozenset}:
        inside = sorted(repr(exact(item)) for item in value)
    elif kind is dict:
        inside = [(exact(key), exact(item)) for key, item in value.items()]
    elif kind is float:
        inside = struct.pack("d", value)
    elif kind is Decimal:
        inside = value.as_tuple()
    elif kind in {dt.datetime, dt.time}:
        inside = value.replace(tzinfo=None).isoformat(), str(value.tzinfo), value.fold
    return kind, inside


@given(VALUES)
def test_a_value_comes_back_equal_in_value_and_type(value: Any) -> None:
    serializer = wire.MessagePack()
    assert exact(serializer.loads(serializer.dumps(value))) == exact(value)


NAMES = st.text(st.characters(exclude_categories=["Cs"]))
BACKOFFS = st.builds(Backoff, st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1))


@given(
    NAMES,
    st.lists(VALUES, max_size=3),
    st.dictionaries(NAMES, VALUES, max_size=3),
    BACKOFFS,
    NAMES,
    st.none() | st.floats(0, 1e10),
)
def test_a_call_comes_back_with_all_it_carried(
    name: str, args: list[Any], kwargs: dict[str, Any], backoff: Backoff, state: str, due: float | None
) -> None:
    serializer = wire.MessagePack()
    body = wire.encode_call(
        name, args, kwargs, serializer=serializer, backoff=backoff, trace_state=state, due=due
    )
    message = wire.decode_message(body)
    assert (message.name, message.backoff, message.trace_state, message.due) == (name, backoff, state, due)
    assert exact(wire.decode_arguments(message, serializer)) == exact((args, kwargs))


@given(VALUES)
def test_a_result_comes_back_equal_in_value_and_type(value: Any) -> None:
    serializer = wire.MessagePack()
    back, failure = wire.decode_result(wire.encode_result(value, serializer), serializer)
    assert (exact(back), failure) == (exact(value), None)


def test_nan_and_zones_survive() -> None:
    serializer = wire.MessagePack()
    assert math.isnan(serializer.loads(serializer.dumps(math.nan)))
    when = dt.datetime(2026, 10, 25, 2, 30, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"), fold=1)
    back = serializer.loads(serializer.dumps(when))
    assert (back.tzinfo, back.fold, back.utcoffset()) == (when.tzinfo, 1, dt.timedelta(hours=1))


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize(
    ("args", "kwargs", "path"),
    [
        ((object(),), {}, "argument [0] is a builtins.object"),
        ((1, {"when": [1, Colour.RED]}), {}, "argument [1]['when'][1] is a "),
        ((), {"to": lambda: 1}, "argument ['to'] is a "),
        (("half \ud800",), {}, "argument [0] holds half a surrogate pair"),
        ((enum.IntEnum("Size", "S")(1),), {}, "argument [0] is a "),
    ],
)
def test_what_cannot_travel_is_refused_with_the_name_of_the_argument(
    args: tuple[Any, ...], kwargs: dict[str, Any], path: str
) -> None:
    with pytest.raises(CannotCarry) as raised:
        wire.encode_call("send", args, kwargs, serializer=wire.MessagePack(), backoff=STEADY, trace_state="")
    assert str(raised.value).startswith(f"send(): {path}")


def test_nesting_without_end_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(CannotCarry, match="nested more than 100 deep"):
        wire.MessagePack().dumps(endless)


# -- Bytes that somebody else wrote --------------------------------------------------------------------
PLAIN = {
    type(None), bool, int, float, str, bytes, list, tuple, dict, set, frozenset, Decimal, UUID,
    dt.datetime, dt.date, dt.time, dt.timedelta,
}  # fmt: skip
WATCHED = (
    "exec",
    "compile",
    "import",
    "open",
    "os.",
    "subprocess.",
    "socket.",
    "pickle.",
    "marshal.",
    "ctypes.",
)
ZONES = ("tzdata", str(Path(tzdata.__file__).parent), *zoneinfo.TZPATH)
for package in pkgutil.walk_packages(tzdata.__path__, "tzdata."):
    importlib.import_module(package.name)  # once, so that reading a zone imports nothing
seen: list[tuple[str, tuple[Any, ...]]] | None = None


def note(event: str, args: tuple[Any, ...]) -> None:
    """An audit hook: what this thread does while something is being read; those of other tests may do more."""
    if (
        seen is not None
        and event.startswith(WATCHED)
        and threading.current_thread() is threading.main_thread()
    ):
        seen.append((event, args))


sys.addaudithook(note)


def read_by_everybody(data: bytes) -> None:
    """Have all who read bytes from Redis read these; they may find a plain value or nothing."""
    global seen
    serializer, seen = wire.MessagePack(), []
    try:
        for read in (
            lambda raw: wire.decode_arguments(wire.decode_message(raw), serializer),
            lambda raw: wire.decode_result(raw, serializer),
            serializer.loads,
            wire.SignedPickle("x" * 16).loads,
        ):
            with contextlib.suppress(UndecodableMessage):
                assert_plain(read(data))
    finally:
        done, seen = seen, None
    assert all(str(args[0]).startswith(ZONES) for _, args in done), done


def assert_plain(value: Any) -> None:
    assert type(value) in PLAIN
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        for item in value:
            assert_plain(item)


@given(st.binary(max_size=200))
def test_garbage_is_undecodable_and_nothing_worse(data: bytes) -> None:
    read_by_everybody(data)


def packed(code: int, value: Any) -> msgspec.msgpack.Ext:
    return msgspec.msgpack.Ext(code, msgspec.msgpack.encode(value))


TEXTS = ["Europe/Berlin", "../../etc/passwd", "os", "builtins/eval", "1e9", "ff", "2026-01-01", ""]
ODD = st.sampled_from(TEXTS)
NATIVE = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | ODD | st.binary(max_size=20)
)
CODES = st.sampled_from([1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15]) | st.integers(-128, 127)
FORGED = st.recursive(
    NATIVE,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(ODD, inner, max_size=3),
        st.builds(packed, CODES, ODD | inner | st.lists(inner, max_size=3)),
        st.builds(msgspec.msgpack.Ext, st.integers(-128, 127), st.binary(max_size=20)),
    ),
    max_leaves=10,
)


def test_no_extension_runs_what_it_is_given() -> None:
    for code in range(-128, 128):
        for text in TEXTS:
            read_by_everybody(msgspec.msgpack.encode(packed(code, text)))
            read_by_everybody(msgspec.msgpack.encode(packed(code, [text, text, 0])))


@given(FORGED)
def test_forged_extensions_are_plain_values_or_undecodable_and_run_nothing(value: Any) -> None:
    payload = msgspec.msgpack.encode(value)
    read_by_everybody(payload)
    read_by_everybody(msgspec.msgpack.encode([1, "send", "msgpack", payload, 0.0, "", None, None]))
    read_by_everybody(msgspec.msgpack.encode([1, "msgpack", payload, None]))
    read_by_everybody(msgspec.msgpack.encode([1, "msgpack", b"", value]))


@given(st.lists(VALUES, max_size=3), st.data())
def test_a_message_that_was_damaged_is_read_or_undecodable_and_nothing_worse(
    args: list[Any], data: st.DataObject
) -> None:
    body = bytearray(
        wire.encode_call("send", args, {}, serializer=wire.MessagePack(), backoff=STEADY, trace_state="")
    )
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(body) - 1))
        match data.draw(st.sampled_from(["change", "cut", "insert"])):
            case "change":
                body[place] = data.draw(st.integers(0, 255))
            case "cut":
                del body[place:]
                break
            case "insert":
                body[place:place] = data.draw(st.binary(min_size=1, max_size=4))
    read_by_everybody(bytes(body))


@pytest.mark.parametrize(
    "data",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x91" * 100_000 + b"\xc0",
        b"\x94\x01\xa0\xc4\x00\x81\xa1a" + b"\x91" * 100_000,
    ],
    ids=["a huge list", "a huge map", "huge bytes", "nested without end", "nested in a result"],
)
def test_what_would_eat_the_memory_or_the_stack_is_undecodable(data: bytes) -> None:
    with pytest.raises(UndecodableMessage):
        wire.MessagePack().loads(data)
    read_by_everybody(data)


@pytest.mark.parametrize(
    "field",
    [
        {4: -1.0}, {4: math.nan}, {4: math.inf}, {6: [-1.0, 0.0]}, {6: [1.0, 1.5]}, {6: [math.nan, 0.0]}, {6: [1.0]},
        {7: -1.0}, {7: math.inf}, {7: 1e18},
    ],
)  # fmt: skip
def test_numbers_that_the_rules_could_not_take_are_undecodable(field: dict[int, Any]) -> None:
    fields = [1, "send", "msgpack", b"", 0.0, "", None, None]
    for place, value in field.items():
        fields[place] = value
    with pytest.raises(UndecodableMessage):
        wire.decode_message(msgspec.msgpack.encode(fields))


def test_a_message_of_the_first_version_without_later_fields_is_read() -> None:
    message = wire.decode_message(msgspec.msgpack.encode([1, "send", "msgpack", b"", 2.0, "a=b"]))
    assert (message.backoff, message.due) == (Backoff(2.0), None)


def test_text_that_is_not_utf_8_is_undecodable() -> None:
    body = b"\x96\x01\xa2\xff\xfe\xa7msgpack\xc4\x00\x00\xa0"
    with pytest.raises(UndecodableMessage):
        wire.decode_message(body)
    with pytest.raises(UndecodableMessage):
        wire.decode_result(body, wire.MessagePack())


def test_a_message_of_a_later_version_says_update() -> None:
    message = wire.Message(2, "send", "msgpack", b"", 0.0, "")
    with pytest.raises(UndecodableMessage, match="version 2, this worker reads 1"):
        wire.decode_message(msgspec.msgpack.encode(message))


def call(serializer: wire.Serializer, *args: Any, **kwargs: Any) -> wire.Message:
    backoff = Backoff(factor=2, longest_seconds=60, jitter=0.5)
    body = wire.encode_call("send", args, kwargs, serializer=serializer, backoff=backoff, trace_state="a=b")
    return wire.decode_message(body)


def test_a_call_comes_back_whole() -> None:
    message = call(wire.MessagePack(), (1, 2), to=UUID(int=7), price=Decimal("1.10"))
    assert (message.name, message.trace_state) == ("send", "a=b")
    assert message.backoff == Backoff(factor=2, longest_seconds=60, jitter=0.5)
    arguments = wire.decode_arguments(message, wire.MessagePack())
    assert arguments == ([(1, 2)], {"to": UUID(int=7), "price": Decimal("1.10")})


def test_another_codec_than_ours_is_refused() -> None:
    pickled = call(wire.SignedPickle("secret of 16 byte"), 1)
    with pytest.raises(UndecodableMessage, match=r"written with 'pickle', this queue reads 'msgpack'"):
        wire.decode_arguments(pickled, wire.MessagePack())


class Explosive:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("code from the message ran",))


def test_pickle_is_read_only_when_we_signed_it() -> None:
    ours = wire.SignedPickle("secret of 16 byte")
    assert ours.loads(ours.dumps(Colour.RED)) is Colour.RED
    forged = b"\0" * 32 + pickle.dumps(Explosive())
    with pytest.raises(UndecodableMessage, match="signature"):
        ours.loads(forged)
    other = wire.SignedPickle("another secret of 16")
    with pytest.raises(UndecodableMessage, match="signature"):
        ours.loads(other.dumps(1))


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least 16 bytes"):
        wire.SignedPickle("short")


def test_a_failure_is_stored_and_read_as_one() -> None:
    stored = wire.encode_failure({"error": "ValueError: no", "task_id": "1"})
    assert wire.decode_result(stored, wire.MessagePack()) == (
        None,
        {"error": "ValueError: no", "task_id": "1"},
    )
