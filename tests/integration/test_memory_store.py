"""The store in memory answers as Redis does: the same commands and scripts go to both, Redis is the judge."""

import gc
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from servers import wait_until

from limelight.memory import MemoryConnection, MemoryStore
from limelight.memory.luacodec import Table, Unpacker, packed
from limelight.storage.scripts import SCRIPTS

UNORDERED = {
    "SMEMBERS",
    "SUNION",
    "SINTER",
    "SDIFF",
    "HKEYS",
    "HVALS",
    "HGETALL",
    "KEYS",
    "SCAN",
    "HSCAN",
    "SSCAN",
}

# -- Commands as words, about few enough keys and members that they meet ------------------------------------
KEY = st.sampled_from(["k1", "k2", "k3"])
MEMBER = st.sampled_from(["a", "b", "c", "ä", ""])
NUMBER = st.sampled_from(["-2", "-1", "0", "1", "2", "3", "7"])
WRONG_TOO = NUMBER | st.sampled_from(["x", "1.5", "9223372036854775808"])
SCORE = st.sampled_from(["-1.5", "0", "1", "2", "2.5", "1700000000123456", "inf", "-inf", "nan", "x"])
BOUND = st.sampled_from(["-inf", "+inf", "0", "(1", "1", "2", "(2", "2.5", "x"])
ENTRY_ID = st.sampled_from(["1", "1-1", "2-5", "3", "3-0", "0-0", "*x"])
LOW = st.sampled_from(["-", "1", "(1-1", "2", "(3", "9"])
HIGH = st.sampled_from(["+", "1", "(1-1", "2", "(3", "9"])


def words(*parts: Any) -> st.SearchStrategy[list[str]]:
    """A command: each part is a word, a strategy for one, or a strategy for several."""
    drawn = [part if isinstance(part, st.SearchStrategy) else st.just(part) for part in parts]
    return st.tuples(*drawn).map(
        lambda found: [word for part in found for word in (part if isinstance(part, list) else [part])]
    )


def several(*parts: Any, most: int = 3) -> st.SearchStrategy[list[str]]:
    return st.lists(words(*parts), min_size=1, max_size=most).map(
        lambda found: [w for one in found for w in one]
    )


def maybe(*parts: Any) -> st.SearchStrategy[list[str]]:
    return words(*parts) | st.just(list[str]())


KEYS_AND_STRINGS = st.one_of(
    words("SET", KEY, MEMBER, maybe(st.sampled_from(["NX", "XX"])), maybe("KEEPTTL") | words("EX", NUMBER)),
    words("SET", KEY, MEMBER, maybe("GET"), maybe("PX", "100000")),
    *(words(name, KEY) for name in ("GET", "TYPE", "STRLEN", "INCR", "DECR", "GETDEL", "PERSIST", "TTL")),
    *(words(name, several(KEY)) for name in ("DEL", "EXISTS", "MGET", "UNLINK")),
    words("MSET", several(KEY, MEMBER)),
    words("SETNX", KEY, MEMBER),
    words("APPEND", KEY, MEMBER),
    words("GETSET", KEY, WRONG_TOO),
    words(st.sampled_from(["INCRBY", "DECRBY"]), KEY, WRONG_TOO),
    words("EXPIRE", KEY, "1000"),
    words("KEYS", st.sampled_from(["*", "k?", "k[12]", "x*"])),
    words("SCAN", "0", maybe("MATCH", "k*"), maybe("COUNT", "100")),
    words("DBSIZE"),
)
HASHES = st.one_of(
    words(st.sampled_from(["HSET", "HMSET"]), KEY, several(MEMBER, WRONG_TOO)),
    words("HSETNX", KEY, MEMBER, NUMBER),
    words(st.sampled_from(["HMGET", "HDEL"]), KEY, several(MEMBER)),
    words(st.sampled_from(["HGET", "HEXISTS", "HSTRLEN"]), KEY, MEMBER),
    words(st.sampled_from(["HLEN", "HKEYS", "HVALS", "HGETALL"]), KEY),
    words("HINCRBY", KEY, MEMBER, WRONG_TOO),
    words("HSCAN", KEY, "0", maybe("MATCH", "[ab]")),
)
LISTS = st.one_of(
    words(st.sampled_from(["LPUSH", "RPUSH"]), KEY, several(MEMBER)),
    words(st.sampled_from(["LPOP", "RPOP"]), KEY, maybe(st.sampled_from(["1", "2"]))),
    words(st.sampled_from(["LRANGE", "LTRIM"]), KEY, NUMBER, NUMBER),
    words("LLEN", KEY),
    words("LINDEX", KEY, NUMBER),
    words("LREM", KEY, NUMBER, MEMBER),
    words("LSET", KEY, NUMBER, MEMBER),
    words("LMOVE", KEY, KEY, st.sampled_from(["LEFT", "RIGHT"]), st.sampled_from(["LEFT", "RIGHT"])),
    words(st.sampled_from(["BLPOP", "BRPOP"]), several(KEY), "0.002"),
)
SETS = st.one_of(
    words(st.sampled_from(["SADD", "SREM", "SMISMEMBER"]), KEY, several(MEMBER)),
    words(st.sampled_from(["SMEMBERS", "SCARD"]), KEY),
    words("SISMEMBER", KEY, MEMBER),
    words(st.sampled_from(["SUNION", "SINTER", "SDIFF"]), several(KEY)),
    words("SSCAN", KEY, "0"),
)
FLAGS = st.lists(st.sampled_from(["NX", "XX", "GT", "LT", "CH", "INCR"]), max_size=2, unique=True)
SORTED_SETS = st.one_of(
    words("ZADD", KEY, several(SCORE, MEMBER)),
    words("ZADD", KEY, FLAGS, several(SCORE, MEMBER)),
    words(st.sampled_from(["ZREM", "ZMSCORE"]), KEY, several(MEMBER)),
    words(st.sampled_from(["ZSCORE", "ZRANK", "ZREVRANK"]), KEY, MEMBER),
    words("ZCARD", KEY),
    words("ZINCRBY", KEY, SCORE, MEMBER),
    words(st.sampled_from(["ZRANGE", "ZREVRANGE"]), KEY, NUMBER, NUMBER, maybe("WITHSCORES")),
    words("ZRANGE", KEY, BOUND, BOUND, "BYSCORE", maybe("REV"), maybe("LIMIT", NUMBER, NUMBER)),
    words("ZRANGEBYSCORE", KEY, BOUND, BOUND, maybe("WITHSCORES"), maybe("LIMIT", "0", NUMBER)),
    words("ZREVRANGEBYSCORE", KEY, BOUND, BOUND),
    words(st.sampled_from(["ZCOUNT", "ZREMRANGEBYSCORE"]), KEY, BOUND, BOUND),
    words("ZREMRANGEBYRANK", KEY, NUMBER, NUMBER),
    words(st.sampled_from(["ZPOPMIN", "ZPOPMAX"]), KEY, maybe("2")),
    words("BZPOPMIN", several(KEY), "0.002"),
)
STREAMS = st.one_of(
    words("XADD", KEY, maybe("NOMKSTREAM"), maybe("MAXLEN", maybe("="), "2"), ENTRY_ID, several("f", MEMBER)),
    words("XADD", KEY, maybe("MINID", "2"), ENTRY_ID, "f", MEMBER),
    words("XTRIM", KEY, st.sampled_from(["MAXLEN", "MINID"]), "2"),
    words("XDEL", KEY, several(ENTRY_ID)),
    words("XLEN", KEY),
    words("XRANGE", KEY, LOW, HIGH, maybe("COUNT", "2")),
    words("XREVRANGE", KEY, HIGH, LOW, maybe("COUNT", "2")),
    words("XREAD", maybe("COUNT", "1"), "STREAMS", KEY, ENTRY_ID),
)
EXAMPLES = int(os.environ.get("MEMORY_EXAMPLES", "20"))
"""Of each family on each kind of Redis; MEMORY_EXAMPLES=2000 hunts."""
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""Without shrinking: the failure names the command, and a shrink takes minutes."""
FAMILIES = {
    "keys and strings": KEYS_AND_STRINGS,
    "hashes": HASHES,
    "lists": LISTS,
    "sets": SETS,
    "sorted sets": SORTED_SETS,
    "streams": STREAMS,
    "all together": st.one_of(KEYS_AND_STRINGS, HASHES, LISTS, SETS, SORTED_SETS, STREAMS),
}


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def memory(store: MemoryStore) -> Iterator[redis.Redis]:
    with client_of(store) as client:
        yield client


@pytest.fixture
def real(any_redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(any_redis_url, protocol=2) as client:
        yield client


def client_of(store: MemoryStore) -> redis.Redis:
    pool = redis.ConnectionPool(connection_class=MemoryConnection, store=store, protocol=2)
    return redis.Redis.from_pool(pool)


def answers(client: redis.Redis, commands: list[list[str]]) -> list[Any]:
    """What it answers, as it comes over the wire. All errors are alike: which of two faults is told is no matter."""
    connection = client.connection_pool.get_connection()
    try:
        connection.send_packed_command(connection.pack_commands(commands))
        return [_shape(command[0], _answer(connection)) for command in commands]
    finally:
        client.connection_pool.release(connection)


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error


def _shape(name: str, answer: Any) -> Any:
    if isinstance(answer, Exception):
        return "refused"
    if name in {"SCAN", "HSCAN", "SSCAN"}:
        return sorted(answer[1])
    return sorted(answer) if name in UNORDERED and isinstance(answer, list) else answer


@pytest.mark.parametrize("family", FAMILIES)
def test_every_command_answers_as_redis_does(real: redis.Redis, memory: redis.Redis, family: str) -> None:
    @settings(
        max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=PHASES
    )
    @given(st.lists(FAMILIES[family], min_size=10, max_size=30))
    def compare(commands: list[list[str]]) -> None:
        for client in (real, memory):
            client.flushall()
        for command, expected, found in zip(
            commands, answers(real, commands), answers(memory, commands), strict=True
        ):
            assert found == expected, command

    compare()


def test_a_move_that_is_refused_takes_nothing(real: redis.Redis, memory: redis.Redis) -> None:
    moves = [
        ["RPUSH", "list", "a"],
        ["SET", "text", "x"],
        ["LMOVE", "list", "text", "LEFT", "LEFT"],
        ["LLEN", "list"],
    ]
    assert answers(memory, moves) == answers(real, moves) == [1, b"OK", "refused", 1]


# -- Scripts ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "script",
    [
        "return string.format('%.0f', 1700000000123456) .. ' ' .. 1700000000123456 .. ' ' .. 0.1 .. ' ' .. 1e14",
        "return {1, 2.9, -2.9, true, false, 'x', {'y', {}}, redis.status_reply('S')}",
        "return {1, nil, 3}",
        "return redis.error_reply('MY own')",
        "return redis.sha1hex('')",
        "return cjson.encode({'ä/\"\\\\\\1\\127\\n', 1.5, 1700000000123456, {a = true}})",
        'return cjson.decode(\'[1, "ä", null, {"a": [2]}]\')[4].a[1]',
        "return type(cjson.decode('null'))",
        "redis.call('HSET', 'h', 'n', 1.5, 'm', 12) return redis.call('HMGET', 'h', 'n', 'm', 'none')",
        "return type(redis.call('GET', 'none')) .. type(redis.call('SET', 'a', 1)) .. type(redis.call('TIME'))",
        "redis.call('SET', 'a', 1) return redis.pcall('HGET', 'a', 'b').err",
        "redis.call('SET', 'a', 1) return redis.call('HGET', 'a', 'b')",
        "redis.call('SET', 'a', 1) return pcall(redis.call, 'HGET', 'a', 'b')",
        "return redis.call('GET', {})",
        "return redis.call('NOSUCH')",
        "return redis.call('EVAL', 'return 1', 0)",
        "redis.call('ZADD', 'z', 1700000000123456, 'm') return redis.call('ZRANGE', 'z', 0, -1, 'WITHSCORES')",
        "return nothing",
        "thing = 1",
        "return require('os')",
        "error('why')",
        "error({err = 'MY why'})",
        "return this is no Lua",
        "local t = {} for n = 1, 7000 do t[n] = n end return #{unpack(t)}",
        "return {tonumber('0x10'), tonumber('1e3'), tostring(1/0), math.floor(-0.5)}",
    ],
)
def test_scripts_see_what_they_see_in_redis(real: redis.Redis, memory: redis.Redis, script: str) -> None:
    expected, found = (_outcome(client, script) for client in (real, memory))
    assert found == expected


def _outcome(client: redis.Redis, script: str) -> Any:
    client.flushall()
    try:
        return client.eval(script, 0)
    except redis.ResponseError:
        return "refused"


RECORDS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.binary(max_size=300),
    lambda inner: (
        st.lists(inner, max_size=20) | st.dictionaries(st.binary(max_size=5), inner, min_size=1, max_size=20)
    ),
)


def test_records_have_the_same_bytes(real: redis.Redis, memory: redis.Redis) -> None:
    packs = """
        local long, record = string.rep('x', 70000), {}
        for n = 1, 40 do record[n] = n * n * n * n * n * n * n end
        return cmsgpack.pack({
          1, -1, 127, 128, -32, -33, -129, 255, 256, 65536, 4294967296, -40000, -5000000000, 0.5, 0.1, 1e300, 1e30,
          '', 'a', string.rep('b', 31), string.rep('c', 32), string.rep('d', 256), true, false, {}, {a = {1}},
        }, record, {[2] = 'x'}) .. cmsgpack.pack(long)
    """
    bytes_of = real.eval(packs, 0)
    assert memory.eval(packs, 0) == bytes_of
    reads = (
        "return {cmsgpack.unpack_one(ARGV[1]), cmsgpack.unpack_one(ARGV[1], 3), #{cmsgpack.unpack(ARGV[1])}}"
    )
    assert memory.eval(reads, 0, bytes_of) == real.eval(reads, 0, bytes_of)
    for broken in (b"", b"\xc1", b"\xda\xff", b"\x93\x01"):
        script = "return pcall(cmsgpack.unpack_one, ARGV[1]) and 1 or 0"
        assert memory.eval(script, 0, broken) == real.eval(script, 0, broken)


def test_fields_of_a_fixed_layout_have_the_same_bytes(real: redis.Redis, memory: redis.Redis) -> None:
    layout = ">BHI4i8i2ssI8d"
    packs = f"return struct.pack('{layout}c0', 248, 220, 7, -3, -4095, 'ready', '', 1785385036362909, 0.1, 'tail')"
    bytes_of = real.eval(packs, 0)
    assert memory.eval(packs, 0) == bytes_of
    reads = f"local r = {{struct.unpack('{layout}', ARGV[1])}} r[9] = tostring(r[9]) return r"
    assert memory.eval(reads, 0, bytes_of) == real.eval(reads, 0, bytes_of)
    script = f"return pcall(struct.unpack, '{layout}', ARGV[1]) and 1 or 0"
    for broken in (b"", bytes_of[:3], bytes_of[:22], bytes_of[:-5]):
        assert memory.eval(script, 0, broken) == real.eval(script, 0, broken) == 0


@given(RECORDS)
def test_what_was_packed_is_unpacked(value: Any) -> None:
    assert list(Unpacker(packed(_as_seen(value)))) == [value]


def _as_seen(value: Any) -> Any:
    if isinstance(value, list):
        return Table(enumerate(map(_as_seen, value), start=1))
    return Table({key: _as_seen(one) for key, one in value.items()}) if isinstance(value, dict) else value


def test_a_script_is_known_by_its_sha_until_scripts_are_flushed(memory: redis.Redis) -> None:
    sha = memory.script_load("return ARGV[1]")
    assert memory.evalsha(sha, 0, "x") == b"x"
    assert memory.script_exists(sha, "0" * 40) == [True, False]
    memory.script_flush()
    with pytest.raises(redis.exceptions.NoScriptError):
        memory.evalsha(sha, 0, "x")


def test_every_script_of_ours_is_lua_to_it(memory: redis.Redis) -> None:
    for script in SCRIPTS.values():
        assert memory.script_load(script.source) == script.sha.decode()


# -- Waiting, listening, transactions -----------------------------------------------------------------------
def test_who_waits_on_a_list_is_served_when_something_comes(store: MemoryStore) -> None:
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(_blpop(store, 10))) for _ in range(2)]
    for thread in threads:
        thread.start()
    with client_of(store) as client:
        wait_until(lambda: _waiting(store) == 2)
        client.eval("redis.call('RPUSH', 'list', 'a', 'b')", 0)
        for thread in threads:
            thread.join(10)
    assert sorted(found) == [(b"list", b"a"), (b"list", b"b")]


def _blpop(store: MemoryStore, seconds: float) -> Any:
    with client_of(store) as client:
        return client.blpop(["none", "list"], seconds)


def _waiting(store: MemoryStore) -> int:
    return sum(session.waiting is not None for session in store._sessions)


def test_a_wait_ends_with_its_time_and_with_its_connection(store: MemoryStore) -> None:
    assert _blpop(store, 0.01) is None
    connection = MemoryConnection(store=store, protocol=2)
    connection.connect()
    connection.send_command("BLPOP", "list", 0)
    wait_until(lambda: _waiting(store) == 1)
    connection.disconnect()
    wait_until(lambda: not store._sessions)


def test_who_waits_on_a_stream_hears_what_comes_from_then_on(store: MemoryStore, memory: redis.Redis) -> None:
    memory.xadd("stream", {"n": 1})
    found: list[Any] = []
    thread = threading.Thread(
        target=lambda: found.append(client_of(store).xread({"stream": "$"}, block=10_000))
    )
    thread.start()
    wait_until(lambda: _waiting(store) == 1)
    memory.xadd("stream", {"n": 2})
    thread.join(10)
    ((_, ((_, fields),)),) = found[0]
    assert fields == {b"n": b"2"}


def test_listeners_hear_what_is_published_also_by_a_script(memory: redis.Redis) -> None:
    pubsub = memory.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("one", "two")
    pubsub.psubscribe("t*")
    wait_until(lambda: memory.pubsub_numsub("one", "two") == [(b"one", 1), (b"two", 1)])
    assert memory.eval("return redis.call('PUBLISH', 'two', 'x')", 0) == 2
    assert memory.publish("three", "y") == 1
    assert memory.publish("none", "z") == 0
    pubsub.unsubscribe("one")
    heard: list[Any] = []
    wait_until(lambda: [heard.append(m) for m in [pubsub.get_message(timeout=0.1)] if m] and len(heard) == 3)
    assert [(message["type"], message["data"]) for message in heard] == [
        ("message", b"x"),
        ("pmessage", b"x"),
        ("pmessage", b"y"),
    ]
    pubsub.close()


def test_a_listener_that_does_not_read_holds_nobody_up(memory: redis.Redis) -> None:
    pubsub = memory.pubsub()
    pubsub.subscribe("one")
    for _ in range(100):
        memory.publish("one", "x" * 100_000)
    assert memory.ping()
    pubsub.close()


def test_a_transaction_is_done_as_a_whole_and_one_refusal_spoils_no_other_answer(memory: redis.Redis) -> None:
    pipeline = memory.pipeline(transaction=True)
    pipeline.set("a", 1)
    pipeline.hget("a", "b")
    pipeline.incr("a")
    done, refused, two = pipeline.execute(raise_on_error=False)
    assert (done, two) == (True, 2)
    assert isinstance(refused, redis.ResponseError)
    memory.execute_command("MULTI")


# -- Time, and the end ---------------------------------------------------------------------------------------
def test_its_clock_can_be_moved(store: MemoryStore, memory: redis.Redis) -> None:
    memory.set("brief", "x", px=60_000)
    memory.set("long", "x", ex=7_200)
    seconds, _ = memory.time()
    store.advance(3_600)
    assert 3_600 <= memory.time()[0] - seconds < 3_700
    assert memory.get("brief") is None
    assert 0 < memory.ttl("long") <= 3_600
    assert memory.keys() == [b"long"]
    millis, _, _ = memory.xadd("stream", {"a": 1}).partition(b"-")
    assert 3_600 <= int(millis) / 1_000 - seconds < 3_700


def test_an_approximate_trim_takes_whole_lots(memory: redis.Redis) -> None:
    for n in range(250):
        memory.xadd("stream", {"n": n}, maxlen=100, approximate=True)
    assert 100 <= memory.xlen("stream") < 200


def test_a_command_that_it_does_not_know_is_named(memory: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError, match="unknown command 'GEOADD'"):
        memory.execute_command("GEOADD", "k", "1", "1", "m")


def test_its_thread_ends_with_the_last_connection_and_its_data_stays(store: MemoryStore) -> None:
    client = client_of(store)
    client.set("a", "1")
    assert _threads() >= 1
    client.close()
    del client
    gc.collect()
    wait_until(lambda: not store._sessions)
    with client_of(store) as again:
        assert again.get("a") == b"1"


def _threads() -> int:
    return sum(thread.name == "limelight-memory" for thread in threading.enumerate())


def test_a_forked_child_is_told_that_it_cannot_use_it(store: MemoryStore) -> None:
    client = client_of(store)
    client.ping()
    child = os.fork()
    if child == 0:
        try:
            client_of(store).ping()
        except redis.ConnectionError as error:
            os._exit(0 if "lives in the process that made it" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
