"""Any bytes at the web server's door, and in its file: an answer or a hang-up, a clear fault or rules; nothing else.

`make fuzz` takes a million inputs for each sweep. FUZZ_INPUTS sets how many, FUZZ_SEED where it begins; an input that
breaks something is left in ``limelight-fuzz-input`` in the folder for temporary files.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from certificates import Authority
from hypothesis import given, settings
from hypothesis import strategies as st
from mutation import mutated, pieces
from web_side import Pages, hashed

from limelight.errors import ConfigurationError
from limelight_exporter.config_file import read_settings
from limelight_exporter.web import RulesFile, WebApp
from limelight_exporter.web.app import LARGEST_HEAD_BYTES
from limelight_exporter.web.protocol import Connection, Door
from limelight_exporter.web.rules import read_rules

INPUTS = int(os.environ.get("FUZZ_INPUTS", "3000"))
FILES = int(os.environ.get("FUZZ_INPUTS", "1000"))
MOST_GROWTH_BYTES = 50_000_000
SEED = int(os.environ.get("FUZZ_SEED", "0"))
MOST_HELD = LARGEST_HEAD_BYTES + 2 * 65_536
ANSWERS = {b"200", b"400", b"401", b"404", b"405", b"413", b"429", b"431", b"503"}

REQUESTS = [
    b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text\r\nAccept-Encoding: gzip\r\n\r\n",
    b"GET /metrics?name[]=up&name%5B%5D=x HTTP/1.1\r\nHost: x\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n",
    b"GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"HEAD / HTTP/1.0\r\nAuthorization: Basic YWxpY2U6cmlnaHQ=\r\n\r\n",
    b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n\r\n",
]
WORDS = [
    b"\r\n", b"\r\n\r\n", b"\n", b"\0", b" ", b": ", b"%00", b"%", b"/..", b"*", b"HTTP/1.1", b"HTTP/2.0", b"GET ",
    b"CONNECT ", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"Host: x\r\n", b"Content-Length: 1\r\n",
    b"Content-Length: 99999999999999999999\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n",
    b"ffffffff\r\n", b"0\r\n\r\n", b"\x16\x03\x01", b"\xff", b"Authorization: Basic ", b"a" * 20_000, b"A: b\r\n" * 999,
    b"X-Prometheus-Scrape-Timeout-Seconds: nan\r\n", b"name[]=", b"&" * 2_000, b"Accept-Encoding: gzip;q=x\r\n",
]  # fmt: skip


class Wire(asyncio.Transport):
    """Takes what the server sends."""

    def __init__(self) -> None:
        super().__init__()
        self.sent, self.closed = bytearray(), False

    def write(self, data: Any) -> None:
        self.sent += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """Nothing more is fed while it lasts."""

    resume_reading = pause_reading

    def get_write_buffer_size(self) -> int:
        return 0


async def converse(app: WebApp, config: uvicorn.Config, received: Iterable[bytes]) -> Wire:
    """Deliver bytes on one connection, let it answer, and hang up."""
    server, wire, door = uvicorn.Server(config), Wire(), Door()
    state = server.server_state
    connection = Connection(config, state, door)
    connection.connection_made(wire)
    for part in received:
        if wire.closed:
            break
        connection.data_received(part)
        held = len(connection.conn.trailing_data[0]) + (len(connection.cycle.body) if connection.cycle else 0)
        assert held <= MOST_HELD
        while state.tasks:
            await asyncio.gather(*state.tasks)
    connection.connection_lost(None)
    assert not door._idle
    assert not door._busy
    return wire


def check(wire: Wire) -> None:
    """What was sent is whole answers, and each is one that we give."""
    starts = re.findall(rb"(?:^|\r\n\r\n.*?)HTTP/1\.1 (\d\d\d) ", bytes(wire.sent), re.DOTALL)
    assert bool(wire.sent) == bool(starts)
    assert set(starts) <= ANSWERS | {b"100"}, bytes(wire.sent)


@pytest.fixture
def served(tmp_path: Path) -> tuple[WebApp, uvicorn.Config]:
    path = tmp_path / "web.yml"
    path.write_text(
        f"basic_auth_users: {{alice: {hashed('right')}}}\nrate_limit: {{interval: 1us, burst: 1000000}}"
    )
    app = WebApp(Pages(), RulesFile(str(path)))
    config = uvicorn.Config(
        app, http="h11", ws="none", lifespan="off", log_config=None, access_log=False, proxy_headers=False,
        log_level="error", h11_max_incomplete_event_size=LARGEST_HEAD_BYTES,
    )  # fmt: skip
    config.load()
    return app, config


def test_no_bytes_at_the_door_break_the_server_or_pile_up(
    served: tuple[WebApp, uvicorn.Config], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)

    async def sweep() -> None:
        for number, request in enumerate(mutated(REQUESTS, WORDS, INPUTS, SEED)):
            try:
                check(await converse(*served, pieces(request, number)))
                assert not caplog.records
            except BaseException:
                (Path(tempfile.gettempdir()) / "limelight-fuzz-input").write_bytes(request)
                raise

    asyncio.run(sweep())


@settings(max_examples=150, deadline=None)
@given(
    received=st.lists(st.binary(min_size=1, max_size=200) | st.sampled_from([*REQUESTS, *WORDS]), max_size=5)
)
def test_no_order_of_parts_breaks_the_server(received: list[bytes]) -> None:
    app = WebApp(Pages())
    config = uvicorn.Config(app, http="h11", ws="none", lifespan="off", log_config=None, log_level="error")
    config.load()
    check(asyncio.run(converse(app, config, received)))


RULES = b"""tls_server_config:
  cert_file: localhost.crt
  key_file: localhost.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  client_allowed_sans: [a, b]
  min_version: TLS12
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]
  curve_preferences: [CurveP256]
"""
MORE_RULES = b"""http_server_config:
  http2: true
  headers: {X-Frame-Options: deny, Strict-Transport-Security: max-age=1}
basic_auth_users:
  alice: $2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG
rate_limit: {interval: 1m30s, burst: 5}
"""
FILE = b"queues: {include: [mail*], exclude: []}\nbuckets: [0.1, 1, 60]\nlimits:\n  tasks: 200\n"
YAML = [
    b"\n", b"  ", b"\t", b": ", b"- ", b"[", b"]", b"{", b"}", b"&a ", b"*a", b"<<: ", b"!!python/name:os.system ",
    b"!!binary ", b"!!timestamp 2001-99-99", b"!!int x", b"null", b"~", b"true", b".nan", b"1e999", b"0x", b"9" * 5_000,
    b"1:99:99", b"2001-02-30", b"? ", b"| \n", b">-\n", b"'", b'"', b"\\u0000", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf",
    b"---\n", b"...\n", b"%YAML 9.9\n", b"[" * 400, b"{a: " * 300, b"#", b"-----BEGIN CERTIFICATE-----", b"cert: x",
    b"TLS13", b"NoClientCert", b"1h", b"-1", b"basic_auth_users", b"client_ca: |\n    x\n",
]  # fmt: skip


def test_no_file_breaks_its_reader(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.server("localhost")
    pair.certificate.rename(tmp_path / "localhost.crt")
    pair.key.rename(tmp_path / "localhost.key")
    path = tmp_path / "any.yml"
    before = 0
    for number, content in enumerate(
        mutated([RULES, MORE_RULES, MORE_RULES, MORE_RULES, FILE], YAML, FILES, SEED)
    ):
        before = before or (resident_bytes() if number == FILES // 10 else 0)
        path.write_bytes(content)
        try:
            told = faults_of(path)
            assert all(line.startswith(str(path)) for line in told)
            assert "$2y$10$X" not in "".join(told)
            assert "X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG" not in "".join(told)
        except BaseException:
            (Path(tempfile.gettempdir()) / "limelight-fuzz-input").write_bytes(content)
            raise
    assert resident_bytes() - before < MOST_GROWTH_BYTES, "nothing of a file is kept"


def resident_bytes() -> int:
    """What this process holds; 0 where nobody says (not Linux)."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


@settings(max_examples=150, deadline=None)
@given(content=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_no_bytes_in_a_file_break_its_reader(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yml"
    path.write_bytes(content)
    assert all(line.startswith(str(path)) for line in faults_of(path))


def faults_of(path: Path) -> list[str]:
    """What both readers say of a file."""
    _, told = read_settings(str(path))
    try:
        read_rules(str(path))
    except ConfigurationError as error:
        told = [*told, *str(error).splitlines()]
    return told
