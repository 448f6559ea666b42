"""The faulty proxy that reliability tests rely on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import redis
from proxy import FaultyProxy
from redis.backoff import NoBackoff
from redis.retry import Retry
from servers import wait_until


@pytest.fixture
def client(faulty_proxy: FaultyProxy) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(faulty_proxy.url, retry=Retry(NoBackoff(), 0), socket_timeout=0.3) as through:
        yield through


def test_it_passes_everything_on(client: redis.Redis, redis_url: str) -> None:
    value = b"x" * 1_000_000
    client.set("a", value)
    assert client.get("a") == value == redis.Redis.from_url(redis_url).get("a")


def test_cut_resets_connections_and_refuses_new_ones(client: redis.Redis, faulty_proxy: FaultyProxy) -> None:
    client.ping()
    faulty_proxy.cut()
    for _ in range(2):
        with pytest.raises(redis.ConnectionError):
            client.ping()
    faulty_proxy.pass_on()
    assert client.ping()


def test_reset_connections_are_served_again_at_once(client: redis.Redis, faulty_proxy: FaultyProxy) -> None:
    client.ping()
    faulty_proxy.reset_connections()
    assert client.ping()
    assert faulty_proxy.connections == 2


def test_a_hole_swallows_until_it_passes_on(
    client: redis.Redis, faulty_proxy: FaultyProxy, redis_url: str
) -> None:
    client.set("n", 0)
    faulty_proxy.hole()
    with pytest.raises(redis.TimeoutError):
        client.incr("n")
    direct = redis.Redis.from_url(redis_url)
    assert direct.get("n") == b"0"
    faulty_proxy.pass_on()
    wait_until(lambda: direct.get("n") == b"1", 5, "the held request")
    assert client.ping()


def test_delay_slows_each_piece_down(client: redis.Redis, faulty_proxy: FaultyProxy) -> None:
    client.ping()
    faulty_proxy.delay(0.05)
    started = time.monotonic()
    client.ping()
    assert time.monotonic() - started >= 0.1


def test_a_dropped_reply_leaves_the_command_executed_once(
    client: redis.Redis, faulty_proxy: FaultyProxy, redis_url: str
) -> None:
    client.set("n", 0)
    faulty_proxy.drop_reply(b"INCR")
    with pytest.raises(redis.ConnectionError):
        client.incr("n")
    assert faulty_proxy.dropped == 1
    assert redis.Redis.from_url(redis_url).get("n") == b"1"
    assert client.incr("n") == 2


def test_a_proxy_before_nothing_resets() -> None:
    with FaultyProxy(1) as proxy, pytest.raises(redis.ConnectionError):
        redis.Redis.from_url(proxy.url, retry=Retry(NoBackoff(), 0)).ping()


def test_a_closed_proxy_leaves_no_thread() -> None:
    before = threading.active_count()
    with FaultyProxy(1):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
