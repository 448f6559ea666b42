"""A master that three Sentinels watch over: found at each connect, followed when it fails over."""

import contextlib
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from exporters import ExporterProcess
from kinds import KINDS
from running import client_of, consuming, has_ended, is_accounted_for, told
from servers import free_port, wait_until
from topology import SentinelGroup

from limelight import ConfigurationError, RedisQueue, RedisRefused, RedisUnavailable
from limelight.embedded import find_binary
from limelight.storage.address import Address
from limelight.storage.link import Link


@pytest.fixture(scope="module")
def shared_group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelGroup]:
    with SentinelGroup(find_binary(), tmp_path_factory.mktemp("sentinel")) as group:
        yield group


@pytest.fixture
def group(shared_group: SentinelGroup) -> SentinelGroup:
    """The module's group, empty, whose master stays."""
    shared_group.master.client.flushall()
    return shared_group


def test_tasks_run_on_the_master_that_sentinels_name_and_are_counted(
    group: SentinelGroup, tmp_path: Path
) -> None:
    queue = RedisQueue("mail", url=group.url)
    task = queue.task(name="double")(lambda x: 2 * x)
    with ExporterProcess(group.url, tmp_path / "log").wait_until_ready() as exporter, consuming(queue):
        handles = [task(x) for x in range(20)]
        assert [handle.get(blocking=True, timeout=10) for handle in handles] == [2 * x for x in range(20)]
        for handle in handles:
            wait_until(lambda task_id=handle.id: has_ended(queue, task_id))
        finished = {"queue": "mail", "task": "double", "outcome": "success"}
        scraped = exporter.scrape()
        assert scraped.value("limelight_tasks_completed_total", **finished) == 20
        assert scraped.value("limelight_redis_up", redis=group.url) == 1
    assert client_of(queue).connection_pool.connection_kwargs["port"] == group.master.port
    is_accounted_for(queue)


def test_other_databases_are_for_sentinels_too(group: SentinelGroup) -> None:
    queue = RedisQueue("mail", url=f"{group.url.removesuffix('/0')}/3")
    assert queue.storage.address.db == 3
    queue.task(name="f")(lambda: 1)()
    with redis.Redis(port=group.master.port, db=3) as client:
        assert client.zcard(queue.keys["ready"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["on_path", "redis_6.2", "valkey_9"])
def test_after_the_master_is_killed_everybody_goes_on_at_the_next(kind: str, tmp_path: Path) -> None:
    if not KINDS[kind].fits:
        pytest.skip(f"{kind} cannot be had for this Python and machine")
    with SentinelGroup(KINDS[kind].binary(), tmp_path) as group, contextlib.ExitStack() as running:
        queue = RedisQueue("mail", url=group.url, patience=30)
        began: list[int] = []

        @queue.task()
        def slow(x: int) -> int:
            began.append(x)
            time.sleep(0.05)
            return 2 * x

        exporter = running.enter_context(ExporterProcess(group.url, tmp_path / "log").wait_until_ready())
        live = running.enter_context(listening(queue))
        running.enter_context(consuming(queue, workers=4))
        before = [slow(x) for x in range(40)]
        wait_until(lambda: len(began) > 8)
        assert client_of(queue).execute_command("WAIT", 1, 5_000) == 1
        group.master.kill()
        after = [slow(x) for x in range(40, 60)]
        results = [handle.get(blocking=True, timeout=30) for handle in before + after]
        assert results == [2 * x for x in range(60)]
        group.wait_for_failover()
        for handle in after:
            wait_until(lambda task_id=handle.id: has_ended(queue, task_id))
        assert client_of(queue).connection_pool.connection_kwargs["port"] == group.replica.port
        is_accounted_for(queue)
        finished = {"queue": "mail", "task": "slow", "outcome": "success"}
        ended = len(told(queue, status="finished"))
        wait_until(
            lambda: exporter.scrape().value("limelight_tasks_completed_total", **finished) == ended, 20
        )
        wait_until(lambda: {handle.id for handle in after} <= set(live), 20, "live events after the failover")


@contextlib.contextmanager
def listening(queue: RedisQueue) -> Iterator[list[str]]:
    """Ids of tasks that were heard to finish, from now on."""
    heard: list[str] = []

    def run() -> None:
        heard.extend(event["id"] for event in queue.storage if event["status"] == "finished")

    threading.Thread(target=run, daemon=True).start()
    wait_until(lambda: client_of(queue).pubsub_numsub(queue.storage.channel)[0][1] == 1)
    yield heard


@pytest.mark.slow
def test_nothing_is_written_to_a_master_that_was_demoted(tmp_path: Path) -> None:
    options = ["--min-replicas-to-write", "1", "--min-replicas-max-lag", "1"]
    with SentinelGroup(find_binary(), tmp_path, options=options) as group:
        queue = RedisQueue("mail", url=group.url, patience=30)
        task = queue.task(name="double")(lambda x: 2 * x)
        link = Link(queue.storage.address)
        assert link.read("ROLE")[0] == b"master"
        with consuming(queue, workers=4):
            before = [task(x) for x in range(50)]
            group.sentinels[0].client.execute_command("SENTINEL", "FAILOVER", group.SERVICE)
            after = [task(x) for x in range(50, 100)]
            group.wait_for_failover()
            wait_until(lambda: group.master.role == "slave", 30, "demotion")
            later = [task(x) for x in range(100, 120)]
            results = [handle.get(blocking=True, timeout=30) for handle in before + after + later]
        assert results == [2 * x for x in range(120)]
        assert link.idempotent(queue.storage._call("revoke", ["0"])) == 0, "a link that slept follows"
        assert link.read("ROLE")[0] == b"master"
        is_accounted_for(queue)
        assert len(told(queue, status="enqueued")) == 120


# -- What is set up wrongly, or lags behind --------------------------------------------------------------
class Liar(socketserver.ThreadingTCPServer):
    """Says of every service that its master is at a port: a Sentinel that has heard nothing new."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), LyingHandler)
        self.named = port
        threading.Thread(target=self.serve_forever, daemon=True).start()


class LyingHandler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while request := self.request.recv(4_096):
            port = b"%d" % self.server.named
            reply = b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%s\r\n" % (len(port), port)
            asked = b"GET-MASTER-ADDR-BY-NAME" in request
            self.request.sendall(reply if asked else b"+OK\r\n" * request.count(b"SETINFO"))


def test_a_replica_that_a_sentinel_takes_for_the_master_is_not_written_to(group: SentinelGroup) -> None:
    with Liar(group.replica.port) as liar:
        queue = RedisQueue("mail", url=f"redis+sentinel://127.0.0.1:{liar.server_address[1]}/shop")
        with pytest.raises(RedisUnavailable, match=f"{group.replica.port}.* is a slave, no master"):
            queue.task(name="f")(lambda: 1)()


def test_a_sentinel_that_lags_behind_holds_nobody_up(group: SentinelGroup) -> None:
    with Liar(group.replica.port) as liar, Liar(free_port()) as other:
        first = f"127.0.0.1:{liar.server_address[1]},127.0.0.1:{other.server_address[1]}"
        queue = RedisQueue("mail", url=group.url.replace("://", f"://{first},"))
        queue.task(name="f")(lambda: 1)()
        assert len(told(queue, status="enqueued")) == 1


def test_a_name_that_no_sentinel_knows_is_said(group: SentinelGroup) -> None:
    queue = RedisQueue("mail", url=group.url.replace("/shop/", "/shoop/"))
    with pytest.raises(RedisUnavailable, match="knows no master named 'shoop'"):
        queue.task(name="f")(lambda: 1)()


def test_sentinels_that_are_away_are_all_named() -> None:
    ports = free_port(), free_port()
    url = f"redis+sentinel://:geheim@127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}/shop?sentinel_password=secret"
    queue = RedisQueue("mail", url=url)
    with pytest.raises(RedisUnavailable, match=f"{ports[0]}: connection refused; .*{ports[1]}") as raised:
        queue.task(name="f")(lambda: 1)()
    for text in (str(raised.value), repr(queue)):
        assert "geheim" not in text
        assert "secret" not in text


def test_sentinels_and_master_may_have_passwords_of_their_own(tmp_path: Path) -> None:
    lines = ["sentinel auth-pass shop geheim", "requirepass secret"]
    options = ["--requirepass", "geheim", "--masterauth", "geheim"]
    with SentinelGroup(
        find_binary(), tmp_path, options=options, sentinel_options=lines, passwords=("geheim", "secret")
    ) as group:
        address = f"{group.url.replace('://', '://:geheim@')}"
        RedisQueue("mail", url=f"{address}?sentinel_password=secret").task(name="f")(lambda: 1)()
        RedisQueue("mail", url=address, sentinel_password="secret").task(name="f")(lambda: 1)()
        with pytest.raises(RedisUnavailable, match=r"(?i)authentication required"):
            RedisQueue("mail", url=address).task(name="f")(lambda: 1)()
        with pytest.raises(RedisRefused, match="wants a password"):
            RedisQueue("mail", url=f"{group.url}?sentinel_password=secret").task(name="f")(lambda: 1)()


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://h",
        "redis+sentinel://h/",
        "redis+sentinel:///shop",
        "redis+sentinel://h/shop/x",
        "unix+sentinel://h/shop",
        "redis+sentinels://h/shop",
        "redis+sentinel://:geheim@h:port/shop",
    ],
)
def test_a_url_that_names_no_master_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"redis\+sentinel://host1:26379") as raised:
        Address(url, {})
    assert "geheim" not in str(raised.value)


def test_a_password_for_sentinels_without_sentinels_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="only a redis"):
        RedisQueue("mail", url="redis://h", sentinel_password="x")
