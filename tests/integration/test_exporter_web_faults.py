"""The web server over real sockets: slow, silent, mistaken and malicious clients, and files that change under it."""

from __future__ import annotations

import logging
import os
import resource
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
from certificates import Authority, Pair
from exporters import ExporterProcess, get
from servers import wait_until
from web_side import BODY, Pages, Serving, basic, hashed, hung_up_on

from limelight_exporter.web import protocol, server


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def plain() -> Iterator[Serving]:
    with Serving() as serving:
        yield serving


def tls_file(folder: Path, pair: Pair, more: str = "") -> Path:
    path = folder / "web.yml"
    replace(path, f"tls_server_config:\n  cert_file: {pair.certificate}\n  key_file: {pair.key}\n{more}")
    return path


def replace(path: Path, text: str) -> None:
    """As Kubernetes and editors do it: in one step."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def client(authority: Authority, pair: Pair | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    if pair:
        context.load_cert_chain(pair.certificate, pair.key)
    return context


# -- Slow and silent clients ---------------------------------------------------------------------------


def test_clients_that_never_finish_a_request_stop_no_scrape_and_are_hung_up_on(
    plain: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 1.0)
    slow = [plain.connect() for _ in range(100)]
    for number, connection in enumerate(slow):
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: "[: number % 40])
    assert plain.get()[:2] == (200, BODY)
    began = time.monotonic()
    while time.monotonic() - began < 1.5:  # one byte now and then does not buy more time
        for connection in slow[40:]:
            try:
                connection.send(b"x")
            except ConnectionError:
                break
        assert plain.get("/-/healthy")[0] == 200
    assert all(hung_up_on(connection, 5) for connection in slow)


def test_more_connections_than_there_may_be_push_out_the_longest_idle(
    plain: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "MOST_CONNECTIONS", 20)
    idle = [plain.connect() for _ in range(60)]
    assert plain.get()[0] == 200
    assert all(hung_up_on(connection, 5) for connection in idle[:40])
    late = plain.connect()
    late.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
    assert late.recv(100).startswith(b"HTTP/1.1 200")


def test_tls_clients_that_say_nothing_stop_no_scrape_and_are_hung_up_on(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HANDSHAKE_SECONDS", 1.0)
    with Serving(tls_file(tmp_path, authority.server("localhost"))) as serving:
        silent = [serving.connect() for _ in range(50)]
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # the beginning of a handshake
        for connection in silent[25:]:
            connection.sendall(hello)
        assert serving.get(tls=client(authority))[:2] == (200, BODY)
        assert all(hung_up_on(connection, 5) for connection in silent)


def test_who_takes_no_answer_holds_no_copy_and_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "ANSWER_SECONDS", 1.5)
    pages = Pages()
    pages.body = b"# " + os.urandom(8_000_000) + b"\n"
    with Serving(pages=pages) as serving:
        before = resident_bytes()
        greedy = [serving.connect() for _ in range(40)]
        for connection in greedy:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        for connection in greedy:
            connection.recv(1)
        assert serving.get("/-/healthy")[0] == 200
        assert resident_bytes() - before < 100_000_000
        assert len(serving.server._server._door._busy) >= 40
        wait_until(lambda: not serving.server._server._door._busy, 10)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_a_hundred_scrapes_at_once_are_all_answered_and_share_their_rendering() -> None:
    with Serving() as serving:
        serving.pages.gate.clear()
        with ThreadPoolExecutor(100) as scrapers:
            answers = [scrapers.submit(serving.get, Accept_Encoding="gzip") for _ in range(100)]
            wait_until(lambda: len(serving.server._server._door._busy) == 100)
            assert serving.get("/-/healthy")[0] == 200
            serving.pages.gate.set()
            assert {answer.result()[0] for answer in answers} == {200}
    assert serving.pages.rendered <= 5  # four at once, and one for all that waited


def test_one_hung_scrape_stops_no_other() -> None:
    with Serving() as serving, ThreadPoolExecutor(1) as other:
        serving.pages.gate.clear()
        hung = other.submit(serving.get, X_Prometheus_Scrape_Timeout_Seconds="4")
        wait_until(lambda: serving.pages.rendered == 1)
        began = time.monotonic()
        assert serving.get(X_Prometheus_Scrape_Timeout_Seconds="1")[0] == 200
        assert time.monotonic() - began < 2.5
        assert not hung.done()
        serving.pages.gate.set()
        assert hung.result()[0] == 200


def test_one_connection_serves_many_scrapes(plain: Serving) -> None:
    request = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n"
    with plain.connect() as connection:
        for together in (1, 1, 1, 20, 1):
            connection.sendall(request * together)
            received = b""
            while received.count(b"healthy\n") < together:
                received += connection.recv(65_536)


# -- Requests that are none ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40_000,
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 10_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n" + b"x" * 1_000_000,
    ],
)
def test_what_is_no_request_is_refused_and_hung_up_on(plain: Serving, sent: bytes) -> None:
    with plain.connect() as connection:
        try:
            connection.sendall(sent)
            answer = connection.recv(4_096)
        except ConnectionError:  # hung up while we were still sending: allowed
            answer = b"HTTP/1.1 4"
        assert answer.startswith(b"HTTP/1.1 4"), answer
        assert hung_up_on(connection, 5)
    assert plain.get()[0] == 200


def test_wrong_methods_and_paths_are_told_apart(plain: Serving) -> None:
    for request, status in (
        (b"POST /metrics", b"405"),
        (b"DELETE /-/healthy", b"405"),
        (b"GET /metricz", b"404"),
        (b"GET /../etc/passwd", b"404"),
        (b"OPTIONS *", b"404"),
        (b"HEAD /metrics", b"200"),
    ):
        with plain.connect() as connection:
            connection.sendall(request + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert connection.recv(4_096).startswith(b"HTTP/1.1 " + status), request


# -- Who is served -------------------------------------------------------------------------------------


def test_with_users_only_they_see_metrics_and_probes_answer_everybody(tmp_path: Path) -> None:
    rules = tmp_path / "web.yml"
    rules.write_text(f"basic_auth_users: {{alice: {hashed('right')}, bob: {hashed('other')}}}")
    with Serving(rules) as serving:
        status, _, headers = serving.get()
        assert (status, headers["www-authenticate"][:5]) == (401, "Basic")
        for path in ("/", "/metrics", "/nowhere"):
            assert serving.get(path)[0] == 401
        for wrong in (
            ("alice", "wrong"),
            ("alice", "other"),
            ("carol", "right"),
            ("", ""),
            ("alice", "x" * 80),
        ):
            assert serving.get(login=wrong)[0] == 401
        assert serving.get(login=("alice", "right"))[:2] == (200, BODY)
        assert serving.get(login=("bob", "other"))[0] == 200
        for mangled in ("Basic", "Basic !", "Bearer x", basic("alice", "right").replace("Basic ", "Basic x")):
            assert serving.get(Authorization=mangled)[0] == 401
        assert serving.get("/-/healthy")[0] == serving.get("/-/ready")[0] == 200


def test_guessing_passwords_keeps_nobody_out_who_knows_theirs(tmp_path: Path) -> None:
    rules = tmp_path / "web.yml"
    rules.write_text(f"basic_auth_users: {{alice: {hashed('right', rounds=9)}}}")
    with Serving(rules) as serving:
        assert serving.get(login=("alice", "right"))[0] == 200
        with ThreadPoolExecutor(40) as guessers:
            guesses = [guessers.submit(serving.get, login=("alice", str(number))) for number in range(60)]
            began = time.monotonic()
            assert serving.get(login=("alice", "right"))[0] == 200
            assert serving.get("/-/healthy")[0] == 200
            assert time.monotonic() - began < 3
            statuses = {guess.result()[0] for guess in guesses}
        assert statuses <= {401, 503}
        assert 401 in statuses


def test_requests_beyond_the_rate_are_told_so_and_probes_are_not(tmp_path: Path) -> None:
    rules = tmp_path / "web.yml"
    rules.write_text("rate_limit: {interval: 1h, burst: 3}")
    with Serving(rules) as serving:
        assert [serving.get()[0] for _ in range(5)] == [200, 200, 200, 429, 429]
        assert serving.get("/-/healthy")[0] == 200


def test_headers_of_the_file_go_with_every_answer(tmp_path: Path) -> None:
    rules = tmp_path / "web.yml"
    rules.write_text("http_server_config: {headers: {Strict-Transport-Security: max-age=9}}")
    with Serving(rules) as serving:
        for path in ("/", "/metrics", "/-/healthy", "/nowhere"):
            assert serving.get(path)[2]["strict-transport-security"] == "max-age=9"


def test_tls_is_served_and_plain_http_is_not(tmp_path: Path, authority: Authority) -> None:
    with Serving(tls_file(tmp_path, authority.server("localhost"), "  min_version: TLS13\n")) as serving:
        assert serving.server.url.startswith("https://")
        assert serving.get(tls=client(authority))[:2] == (200, BODY)
        with pytest.raises(OSError):
            serving.get()
        old = client(authority)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError):
            serving.get(tls=old)


def test_clients_refuse_a_certificate_that_expired_or_is_anothers(
    tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    with Serving(tls_file(tmp_path, authority.server("localhost", expired=True))) as serving:
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
            serving.get(tls=client(authority))
        assert "expired" in caplog.text
        trusting = client(authority)
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        assert serving.get(tls=trusting)[0] == 200
    with (
        Serving(tls_file(tmp_path, authority.server("example.org"))) as serving,
        pytest.raises(ssl.SSLCertVerificationError, match=r"[Hh]ostname"),
    ):
        serving.get(tls=client(authority))


def test_mutual_tls_serves_the_right_certificates_and_probes_answer_without_one(
    tmp_path: Path, authority: Authority
) -> None:
    more = "  client_auth_type: RequireAndVerifyClientCert\n"
    more += f"  client_ca_file: {authority.certificate}\n"
    rules = tls_file(tmp_path, authority.server("localhost"), more)
    stranger = Authority(tmp_path, "stranger").client()
    with Serving(rules) as serving:
        assert serving.get(tls=client(authority, authority.client()))[0] == 200
        assert serving.get(tls=client(authority))[0] == 403
        assert serving.get("/", tls=client(authority))[0] == 403
        assert serving.get("/-/healthy", tls=client(authority))[0] == 200
        for wrong in (stranger, authority.server("old-client", expired=True)):
            with pytest.raises(OSError):
                serving.get(tls=client(authority, wrong))
        replace(rules, rules.read_text() + "  client_allowed_sans: [prometheus.example.org]\n")
        wait_until(lambda: serving.get(tls=client(authority, authority.client()))[0] == 403)
        named = authority.server("prometheus.example.org")
        assert serving.get(tls=client(authority, named))[0] == 200


# -- Files that change ---------------------------------------------------------------------------------


def test_a_new_version_of_the_file_holds_at_once_and_a_bad_one_never(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "limelight_exporter")
    rules = tmp_path / "web.yml"
    rules.write_text(f"basic_auth_users: {{alice: {hashed('one')}}}")
    with Serving(rules) as serving:
        assert serving.get(login=("alice", "one"))[0] == 200
        replace(rules, f"basic_auth_users: {{alice: {hashed('two')}}}")
        wait_until(lambda: serving.get(login=("alice", "two"))[0] == 200)
        assert serving.get(login=("alice", "one"))[0] == 401
        for bad in ("basic_auth_users: {alice: plain}", "nonsense: [", ""):
            replace(rules, bad) if bad else rules.unlink()
            wait_until(lambda: "stays" in caplog.text)
            caplog.clear()
            assert serving.get(login=("alice", "two"))[0] == 200
            assert serving.get()[0] == 401
        replace(rules, "")
        wait_until(lambda: serving.get()[0] == 200)
    assert "took the new" in caplog.text


def test_a_renewed_certificate_is_shown_to_the_next_client_and_half_a_renewal_is_not(
    tmp_path: Path, authority: Authority
) -> None:
    now = authority.server("localhost")
    rules = tls_file(tmp_path, now)
    with Serving(rules) as serving:
        kept = client(authority).wrap_socket(serving.connect(), server_hostname="localhost")
        first = kept.getpeercert(binary_form=True)
        renewed = Authority(tmp_path, "next")
        fresh = renewed.server("localhost")
        now.certificate.write_bytes(fresh.certificate.read_bytes())  # its key is still the old one
        wait_until(lambda: serving.rules._trouble)
        assert serving.get(tls=client(authority))[0] == 200
        now.key.write_bytes(fresh.key.read_bytes())
        wait_until(lambda: not serving.rules._trouble)
        shown = client(renewed).wrap_socket(serving.connect(), server_hostname="localhost")
        assert shown.getpeercert(binary_form=True) != first
        kept.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")  # who is connected stays so
        assert kept.recv(4_096).startswith(b"HTTP/1.1 200")


def test_a_certificate_that_comes_late_is_found_without_another_change_of_the_file(
    tmp_path: Path, authority: Authority
) -> None:
    rules = tmp_path / "web.yml"
    rules.write_text("")
    with Serving(rules) as serving:
        assert serving.get()[0] == 200
        replace(rules, "tls_server_config: {cert_file: late.crt, key_file: late.key}")
        wait_until(lambda: serving.rules._trouble)
        pair = authority.server("localhost")
        for kind, path in (("key", pair.key), ("crt", pair.certificate)):
            (tmp_path / f"late.{kind}").write_bytes(path.read_bytes())
        wait_until(lambda: serving.rules.current.tls)
        assert serving.get(tls=client(authority))[0] == 200


# -- The end -------------------------------------------------------------------------------------------


def test_a_scrape_under_way_is_answered_before_the_server_stops() -> None:
    serving = Serving()
    with serving, ThreadPoolExecutor(1) as other:
        serving.pages.gate.clear()
        under_way = other.submit(serving.get, X_Prometheus_Scrape_Timeout_Seconds="3")
        idle = serving.connect()
        wait_until(lambda: serving.pages.rendered == 1)
        serving.server.stop()
        assert hung_up_on(idle, 5)
        wait_until(lambda: refused(serving))
        serving.pages.gate.set()
        assert under_way.result()[:2] == (200, BODY)


def refused(serving: Serving) -> bool:
    try:
        serving.connect(1).close()
    except OSError:
        return True
    return False


def test_sigterm_answers_the_scrape_under_way_and_ends_with_0(
    own_redis: Callable[..., Any], tmp_path: Path
) -> None:
    url = own_redis().url
    with ExporterProcess(url, tmp_path / "log") as running, ThreadPoolExecutor(2) as others:
        running.wait_until_ready()
        with redis.Redis.from_url(url) as administrator:
            administrator.client_pause(2_000)
        page = f"{running.url}/metrics"
        scrape = others.submit(get, page, X_Prometheus_Scrape_Timeout_Seconds="3")
        threading.Event().wait(0.05)  # any moment of the two seconds will do
        assert running.terminate() == 0
        assert scrape.result()[0] == 200
    assert "Traceback" not in running.log.read_text()
