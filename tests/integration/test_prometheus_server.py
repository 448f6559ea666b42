"""The Prometheus launcher that metric tests rely on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from servers import wait_until

TRACE = "0af7651916cd43dd8448eb211c80319c"
PAGE = f'# TYPE done counter\ndone_total{{queue="mail"}} 7.0 # {{trace_id="{TRACE}"}} 1.0\n# EOF\n'


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
        self.end_headers()
        self.wfile.write(PAGE.encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def target() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_it_scrapes_a_target_answers_queries_and_keeps_exemplars(prometheus: Any, target: str) -> None:
    server = prometheus(target)
    wait_until(lambda: server.value("done_total") == 7, 20, "the first sample")
    assert server.query("done_total")[0]["metric"]["queue"] == "mail"
    assert server.value("done_total", time.time() - 3_600) is None
    assert [scraped["health"] for scraped in server.targets()] == ["up"]
    (found,) = server.exemplars("done_total", time.time() - 60, time.time() + 1)
    assert found["exemplars"][0]["labels"] == {"trace_id": TRACE}


def test_a_wrong_expression_fails_with_prometheus_own_words(prometheus: Any) -> None:
    with pytest.raises(AssertionError, match="parse error"):
        prometheus().query("rate(")
