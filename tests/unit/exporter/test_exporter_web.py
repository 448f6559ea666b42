from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from limelight_exporter.web import WebApp, scrape_seconds
from limelight_exporter.web.app import accepts_gzip


class Doubles:
    """Pages that remember the time they were given."""

    body = b"# EOF\n"

    def __init__(self, *reasons: str) -> None:
        self.reasons, self.budget = reasons, 0.0

    def metrics(self, accept: str, budget_seconds: float) -> tuple[bytes, str]:
        self.budget = budget_seconds
        return self.body, accept

    def unready(self) -> Sequence[str]:
        return self.reasons

    def facts(self) -> Iterable[tuple[str, str]]:
        return [("Queues", "<script>")]


def ask(pages: Doubles, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {}

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    path, _, query = path.partition("?")
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": raw}
    asyncio.run(WebApp(pages)(scope, receive, send))
    return sent[0]["status"], b"".join(message["body"] for message in sent[1:])


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("10", 5.0),
        ("3", 2.5),
        ("0.2", 0.1),
        ("-1", 0.1),
        ("nan", 5.0),
        ("soon", 5.0),
        ("inf", 5.0),
        (None, 5.0),
    ],
)
def test_a_scrape_gets_half_a_second_less_than_prometheus_waits(header: str | None, seconds: float) -> None:
    headers = {} if header is None else {"x-prometheus-scrape-timeout-seconds": header}
    assert scrape_seconds(headers) == seconds


def test_the_time_of_the_request_reaches_the_scrape() -> None:
    pages = Doubles()
    assert ask(pages, "/metrics", x_prometheus_scrape_timeout_seconds="2") == (200, b"# EOF\n")
    assert 1.4 < pages.budget <= 1.5


def test_readiness_says_why_not() -> None:
    assert ask(Doubles(), "/-/ready") == (200, b"ready\n")
    assert ask(Doubles("Redis is away."), "/-/ready") == (503, b"not ready\nRedis is away.\n")
    assert ask(Doubles("Redis is away."), "/-/healthy")[0] == 200


def test_only_get_and_head_are_answered_and_head_has_no_body() -> None:
    assert ask(Doubles(), "/metrics", "POST")[0] == 405
    assert ask(Doubles(), "/metrics", "HEAD") == (200, b"")
    assert ask(Doubles(), "/favicon.ico")[0] == 404


def test_the_landing_page_escapes_what_it_shows() -> None:
    assert b"&lt;script&gt;" in ask(Doubles(), "/")[1]


@pytest.mark.parametrize(
    ("header", "zipped"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("identity", False),
        ("", False),
        ("gzip;q=much", False),
    ],
)
def test_gzip_is_sent_to_those_who_take_it(header: str, zipped: bool) -> None:
    assert accepts_gzip(header) is zipped


class Exposed(Doubles):
    body = (
        b"# HELP done Tasks.\n# TYPE done counter\n"
        b'done_total{queue="a"} 1.0 # {trace_id="x"} 1.0\ndone_total{queue="b"} 2.0\n'
        b"# HELP took_seconds Time.\n# TYPE took_seconds histogram\n# UNIT took_seconds seconds\n"
        b'took_seconds_bucket{le="+Inf"} 1.0\ntook_seconds_count 1.0\ntook_seconds_sum 1.0\n'
        b"# HELP up Up.\n# TYPE up gauge\nup 1.0\n# EOF\n"
    )


def test_a_scraper_may_ask_for_some_metrics_by_name() -> None:
    def asked(*names: str) -> list[str]:
        query = "&".join(f"name[]={name}" for name in names)
        return ask(Exposed(), f"/metrics?{query}")[1].decode().splitlines()

    assert asked("up") == ["# HELP up Up.", "# TYPE up gauge", "up 1.0", "# EOF"]
    assert asked("done") == asked("done_total")
    assert len(asked("done_total")) == 5
    assert len(asked("took_seconds")) == 7
    assert [line for line in asked("took_seconds_count") if line[0] != "#"] == ["took_seconds_count 1.0"]
    assert asked("nothing") == ["# EOF"]
    assert len(asked("up", "done_total")) == 8
    assert ask(Exposed(), "/metrics?other=1")[1] == Exposed.body


def test_a_query_without_end_is_refused() -> None:
    assert ask(Exposed(), "/metrics?" + "name[]=x&" * 1_500)[0] == 400


def test_a_request_with_a_body_is_refused_and_hung_up_on() -> None:
    assert ask(Doubles(), "/metrics", content_length="7")[0] == 413
    assert ask(Doubles(), "/-/healthy", transfer_encoding="chunked")[0] == 413
    assert ask(Doubles(), "/metrics", content_length="0")[0] == 200
