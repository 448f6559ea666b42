"""A real Prometheus before an exporter that wants TLS, a password and a client certificate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority, Pair
from servers import Prometheus, wait_until
from stream_writer import StreamWriter
from web_side import hashed

from limelight.embedded import EmbeddedRedis
from limelight_exporter.config import Settings
from limelight_exporter.exporter import Exporter

HOST = "127.0.0.1"
USERS = f"basic_auth_users: {{prometheus: {hashed('right')}}}\n"
COMPLETED = 'limelight_tasks_completed_total{outcome="success"}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


def serving(redis_url: str, folder: Path, name: str, authority: Authority, more: str = "") -> Exporter:
    pair = authority.server(HOST)
    path = folder / f"{name}.yml"
    path.write_text(
        f"tls_server_config:\n  cert_file: {pair.certificate}\n  key_file: {pair.key}\n{more}{USERS}"
    )
    return Exporter(Settings(redis_url=redis_url, port=0, web_config_file=str(path)))


def job(
    name: str, exporter: Exporter, authority: Authority, password: str = "right", client: Pair | None = None
) -> dict[str, Any]:
    """A scrape configuration as an operator would write it."""
    tls = {"ca_file": str(authority.certificate)}
    if client:
        tls |= {"cert_file": str(client.certificate), "key_file": str(client.key)}
    return {
        "job_name": name,
        "scheme": "https",
        "tls_config": tls,
        "basic_auth": {"username": "prometheus", "password": password},
        "static_configs": [{"targets": [exporter.url.partition("://")[2]]}],
    }


@pytest.fixture(scope="module")
def scraped(folder: Path, authority: Authority) -> Iterator[Prometheus]:
    """A Prometheus that tries both exporters in every way, the right one and the wrong ones."""
    (folder / "others").mkdir()
    stranger = Authority(folder / "others")
    mutual = f"  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: {authority.certificate}\n"
    mutual += "  client_allowed_sans: [app@example.org]\n  min_version: TLS13\n"
    with ExitStack() as stack:
        redis_url = stack.enter_context(EmbeddedRedis()).url
        StreamWriter(redis_url).finish_tasks(7)
        simple = stack.enter_context(serving(redis_url, folder, "simple", authority))
        both = stack.enter_context(serving(redis_url, folder, "mutual", authority, mutual))
        client = authority.client()
        plain = {**job("plain HTTP", simple, authority), "scheme": "http"}
        del plain["tls_config"]
        jobs = [
            job("password", simple, authority),
            job("password and certificate", both, authority, client=client),
            job("wrong password", simple, authority, "wrong"),
            job("certificate, wrong password", both, authority, "wrong", client),
            job("no certificate", both, authority),
            job("a stranger's certificate", both, authority, client=stranger.client()),
            job("an authority of somebody else", simple, stranger),
            plain,
        ]
        home = folder / "prometheus"
        home.mkdir()
        server = stack.enter_context(Prometheus(home, [], jobs=jobs))
        wait_until(lambda: len(server.query("up")) == len(jobs), 20, "a scrape by every job")
        yield server


@pytest.mark.parametrize("name", ["password", "password and certificate"])
def test_prometheus_scrapes_over_tls_with_what_the_file_asks_for(scraped: Prometheus, name: str) -> None:
    metric = COMPLETED.replace("{", f'{{job="{name}",')
    wait_until(lambda: scraped.value(metric) == 7, 20, "the tasks in Prometheus")
    assert scraped.value(f'up{{job="{name}"}}') == 1


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("wrong password", "401 Unauthorized"),
        ("certificate, wrong password", "401 Unauthorized"),
        ("no certificate", "403 Forbidden"),
        ("a stranger's certificate", "Get "),  # EOF, or a reset where the hang-up overtakes the request
        ("an authority of somebody else", "certificate signed by unknown authority"),
        ("plain HTTP", ""),
    ],
)
def test_prometheus_gets_nothing_without_it_and_says_why(scraped: Prometheus, name: str, told: str) -> None:
    assert scraped.value(f'up{{job="{name}"}}') == 0
    assert not scraped.query(f'limelight_exporter_build_info{{job="{name}"}}')
    (target,) = [one for one in scraped.targets() if one["labels"]["job"] == name]
    assert target["health"] == "down"
    assert told in target["lastError"]
