"""TLS, with certificates on either side; whatever is wrong with them is said, and what to do."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority, Pair, tls_options
from exporters import ExporterProcess
from kinds import KINDS
from processes import run_limelight
from running import consuming, is_accounted_for, statuses
from servers import free_port, wait_until
from starters import OwnRedis
from topology import Cluster, SentinelGroup

from limelight import ConfigurationError, LimelightError, RedisQueue, RedisRefused, RedisUnavailable
from limelight.storage.address import Address


@dataclass(frozen=True)
class Secured:
    """A server with TLS and without, and what its clients need."""

    port: int
    plain_port: int
    authority: Authority
    client: Pair

    def url(self, host: str = "localhost", **options: Any) -> str:
        """Over TLS; what is None is left out."""
        chosen = {"ssl_ca_certs": self.authority.certificate, **options}
        query = "&".join(f"{name}={value}" for name, value in chosen.items() if value is not None)
        return f"rediss://:geheim@{host}:{self.port}/0?{query}"


class Securing:
    """Starts servers with TLS."""

    def __init__(self, own_redis: OwnRedis, folder: Path) -> None:
        self._own_redis, self._folder = own_redis, folder

    def __call__(self, *names: str, expired: bool = False, clients: str = "no") -> Secured:
        authority, port = Authority(self._folder), free_port()
        pair = authority.server(*(names or ("localhost", "127.0.0.1")), expired=expired)
        server = self._own_redis(
            binary=KINDS["on_path"].binary(), options=tls_options(port, pair, authority, clients=clients)
        )
        return Secured(port, server.port, authority, authority.client())


@pytest.fixture
def secured(own_redis: OwnRedis, tmp_path: Path) -> Securing:
    return Securing(own_redis, tmp_path)


def refused(url: str, **options: Any) -> LimelightError:
    """The error of an enqueue."""
    with pytest.raises(LimelightError) as raised:
        RedisQueue("mail", url=url, **options).task(name="f")(lambda: 1)()
    assert "geheim" not in str(raised.value)
    return raised.value


# -- What works ------------------------------------------------------------------------------------------
def test_tasks_run_over_tls_and_are_counted(secured: Securing, tmp_path: Path) -> None:
    url = secured().url(host="127.0.0.1").replace(":geheim@", "")
    queue = RedisQueue("mail", url=url)
    task = queue.task(name="double")(lambda x: 2 * x)
    listener = queue.storage.listener()
    with consuming(queue, workers=4), ExporterProcess(url, tmp_path / "log").wait_until_ready() as exporter:
        handles = [task(x) for x in range(50)]
        assert [handle.get(blocking=True, timeout=10) for handle in handles] == [2 * x for x in range(50)]
        assert next(message for message in listener.listen() if b'"finished"' in message["data"])
        finished = {"queue": "mail", "task": "double", "outcome": "success"}
        wait_until(
            lambda: exporter.scrape().value("limelight_tasks_completed_total", **finished) == 50,
            message="all counted",
        )
        assert exporter.terminate() == 0
    listener.close()
    is_accounted_for(queue)


def test_waiting_workers_stop_at_once_over_tls_too(secured: Securing) -> None:
    queue = RedisQueue("mail", url=secured().url().replace(":geheim@", ""))
    task = queue.task(name="f")(lambda: 1)
    client = queue.storage.address.client()
    with consuming(queue, workers=4):
        task().get(blocking=True, timeout=10)
        wait_until(lambda: client.info("clients")["blocked_clients"] == 2)
        began = time.monotonic()
    assert time.monotonic() - began < 2


def test_a_server_that_asks_for_our_certificate_gets_it(secured: Securing) -> None:
    server = secured(clients="yes")
    ours = {"ssl_certfile": str(server.client.certificate), "ssl_keyfile": str(server.client.key)}
    by_url = RedisQueue("mail", url=server.url(**ours).replace(":geheim@", ""))
    ca = str(server.authority.certificate)
    by_name = RedisQueue("mail", host="localhost", port=server.port, ssl=True, ssl_ca_certs=ca, **ours)
    for queue in (by_url, by_name):
        queue.task(name="f")(lambda: 1)()
    assert statuses(by_url) == ["enqueued", "enqueued"]


def test_who_trusts_anybody_says_so(secured: Securing) -> None:
    server = secured("elsewhere.example")
    for options in ({"ssl_check_hostname": "false"}, {"ssl_ca_certs": None, "ssl_cert_reqs": "none"}):
        RedisQueue("mail", url=server.url(**options).replace(":geheim@", "")).task(name="f")(lambda: 1)()


def test_a_cluster_speaks_tls_between_all(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with Cluster(KINDS["on_path"].binary(), tmp_path, tls=authority) as cluster:
        for name in ("alpha", "beta", "delta"):
            url = f"{cluster.tls_url}?ssl_ca_certs={authority.certificate}"
            queue = RedisQueue(name, url=url)
            task = queue.task(name="f")(lambda: 1)
            with consuming(queue):
                assert task().get(blocking=True, timeout=10) == 1


def test_sentinels_and_their_master_speak_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with SentinelGroup(KINDS["on_path"].binary(), tmp_path, tls=authority) as group:
        queue = RedisQueue("mail", url=f"{group.tls_url}?ssl_ca_certs={authority.certificate}")
        task = queue.task(name="f")(lambda: 1)
        with consuming(queue):
            assert task().get(blocking=True, timeout=10) == 1


# -- What is wrong ---------------------------------------------------------------------------------------
def test_a_ca_that_did_not_sign_the_servers_certificate(secured: Securing, tmp_path: Path) -> None:
    server = secured()
    error = refused(server.url(ssl_ca_certs=Authority(tmp_path, "other").certificate))
    assert isinstance(error, RedisRefused)
    assert "its certificate is not trusted" in str(error)
    assert "ssl_ca_certs=/path/ca.crt" in str(error)
    assert "not trusted" in str(refused(server.url(ssl_ca_certs=None)))


def test_a_certificate_that_has_expired(secured: Securing) -> None:
    error = refused(secured(expired=True).url())
    assert isinstance(error, RedisRefused)
    assert "certificate has expired" in str(error)
    assert "Renew it on the server, or set this machine's clock" in str(error)
    assert error.may_pass


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_certificate_for_another_name(secured: Securing, host: str) -> None:
    error = refused(secured("elsewhere.example").url(host=host))
    assert isinstance(error, RedisRefused)
    assert f"'{host}'" in str(error)
    assert "Connect by a name that stands in the certificate" in str(error)


def test_a_port_that_does_not_speak_tls(secured: Securing) -> None:
    server = secured()
    error = refused(server.url().replace(str(server.port), str(server.plain_port)), socket_timeout=1)
    assert "does not speak TLS" in str(error) or "does not answer in TLS" in str(error)
    assert "redis://" in str(error)


def test_a_port_that_speaks_tls_alone(secured: Securing) -> None:
    error = refused(f"redis://:geheim@localhost:{secured().port}/0")
    assert isinstance(error, RedisUnavailable)
    assert "Does that port want TLS (rediss://)" in str(error)


def test_no_certificate_where_one_is_asked_for(secured: Securing) -> None:
    error = refused(secured(clients="yes").url().replace(":geheim@", ""))
    assert "certificate" in str(error)
    assert isinstance(error, RedisRefused | RedisUnavailable)


def test_a_certificate_of_ours_that_the_servers_ca_did_not_sign(secured: Securing, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other").client()
    options = {"ssl_certfile": other.certificate, "ssl_keyfile": other.key}
    error = refused(secured(clients="yes").url(**options).replace(":geheim@", ""))
    assert "certificate" in str(error)
    assert isinstance(error, RedisRefused | RedisUnavailable)


@pytest.mark.parametrize("option", ["ssl_ca_certs", "ssl_certfile", "ssl_keyfile"])
def test_a_file_that_is_not_there(option: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{option}: there is no file '/nowhere/x'"):
        Address(f"rediss://:geheim@h?{option}=/nowhere/x", {})


def test_options_of_tls_without_tls() -> None:
    with pytest.raises(ConfigurationError, match=r"'ssl_ca_certs' is for TLS: use a rediss:// URL"):
        Address("redis://h", {"ssl_ca_certs": "/nowhere/x"})


def test_a_consumer_that_does_not_trust_redis_ends_with_one_line(secured: Securing, tmp_path: Path) -> None:
    url = secured(expired=True).url()
    (tmp_path / "tasks.py").write_text("from limelight import RedisQueue\nqueue = RedisQueue('mail')\n")
    done = run_limelight("consumer", "tasks:queue", cwd=tmp_path, env={"LIMELIGHT_REDIS_URL": url})
    assert done.returncode == 3, done.stderr
    assert "certificate has expired" in done.stderr
    assert "Traceback" not in done.stderr
    assert "geheim" not in done.stderr


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CA that this machine was told to trust must not change what is tested."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
