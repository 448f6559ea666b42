"""Servers for tests. Each session has its own, on free ports, so that parallel sessions never meet."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from kinds import KINDS
from missing import missing
from otlp import OtlpReceiver
from proxy import FaultyProxy
from servers import Prometheus
from starters import MakeQueue, OwnRedis, StartPrometheus

from limelight import MemoryQueue, RedisQueue
from limelight.embedded import EmbeddedRedis, find_binary
from limelight.errors import ConfigurationError
from limelight.memory import MemoryStore

# How long an example takes says how busy the machine is, and no more.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_configure() -> None:
    """Have commands that tests start be interrupted by SIGINT: where we run in the background, it is ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[EmbeddedRedis]:
    """The session's Redis: what `limelight demo` would run on, or the kind that REDIS_KIND names."""
    with EmbeddedRedis(binary=_binary()) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """The URL of the session's Redis, empty."""
    return _emptied(redis_server)


@pytest.fixture(scope="session")
def server_of_kind() -> Iterator[Callable[[str], EmbeddedRedis]]:
    """The session's server of a kind: see ``kinds``."""
    with ExitStack() as servers:

        @cache
        def started(name: str) -> EmbeddedRedis:
            kind = KINDS[name]
            if not kind.fits:
                pytest.skip(f"{name} cannot be had for this Python and machine")
            return servers.enter_context(EmbeddedRedis(binary=kind.binary()))

        yield started


@pytest.fixture(scope="session", params=KINDS)
def any_redis_server(
    request: pytest.FixtureRequest, server_of_kind: Callable[[str], EmbeddedRedis]
) -> EmbeddedRedis:
    """The session's server of each kind in turn."""
    return server_of_kind(request.param)


@pytest.fixture
def any_redis_url(any_redis_server: EmbeddedRedis) -> str:
    """The URL of each kind of Redis in turn, empty."""
    return _emptied(any_redis_server)


@pytest.fixture(params=["memory", *KINDS])
def make_queue(request: pytest.FixtureRequest, server_of_kind: Callable[[str], EmbeddedRedis]) -> MakeQueue:
    """Makes queues in memory and on each kind of Redis in turn; those of one test share it, empty at first."""
    if request.param == "memory":
        return partial(MemoryQueue, store=MemoryStore())
    return partial(RedisQueue, url=_emptied(server_of_kind(request.param)))


@pytest.fixture(params=["memory", "redis"])
def make_either_queue(request: pytest.FixtureRequest) -> MakeQueue:
    """`make_queue` for rules that need not be seen on every kind: in memory, and on the session's Redis."""
    if request.param == "memory":
        return partial(MemoryQueue, store=MemoryStore())
    return partial(RedisQueue, url=request.getfixturevalue("redis_url"))


@pytest.fixture
def own_redis() -> Iterator[OwnRedis]:
    """Starts servers that a test may kill, restart and configure; all end with the test."""
    with ExitStack() as servers:

        def start(**settings: Any) -> EmbeddedRedis:
            binary = settings.pop("binary", None) or _binary()
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


def _binary() -> Path:
    if name := os.environ.get("REDIS_KIND"):
        return KINDS[name].binary()
    try:
        return find_binary()
    except ConfigurationError as error:
        missing(str(error))


def _emptied(server: EmbeddedRedis) -> str:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    return server.url
