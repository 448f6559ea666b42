import datetime as dt
import enum
import math
import pickle
import zoneinfo
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
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


def same(left: Any, right: Any) -> bool:
    """Equal in value and in type, all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(map(type, left)) == list(map(type, right)) and all(
            same(left[key], right[key]) for key in left
        )
    if isinstance(left, dt.datetime):
        return left == right and left.utcoffset() == right.utcoffset() and left.fold == right.fold
    return bool(left == right)


@given(VALUES)
def test_a_value_comes_back_equal_in_value_and_type(value: Any) -> None:
    serializer = wire.MessagePack()
    assert same(serializer.loads(serializer.dumps(value)), value)


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


@given(st.binary(max_size=200))
def test_garbage_is_undecodable_and_nothing_worse(data: bytes) -> None:
    for read in (
        wire.decode_message,
        lambda raw: wire.decode_result(raw, wire.MessagePack()),
        wire.MessagePack().loads,
        wire.SignedPickle("x" * 16).loads,
    ):
        try:
            read(data)
        except UndecodableMessage:
            continue


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
