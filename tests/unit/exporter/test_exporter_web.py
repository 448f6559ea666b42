from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from limelight_exporter.web import WebApp, scrape_seconds


class Doubles:
    """Pages that remember the time they were given."""

    def __init__(self, *reasons: str) -> None:
        self.reasons, self.budget = reasons, 0.0

    def metrics(self, accept: str, budget_seconds: float) -> tuple[bytes, str]:
        self.budget = budget_seconds
        return b"# EOF\n", accept

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
    scope = {"type": "http", "method": method, "path": path, "headers": raw}
    asyncio.run(WebApp(pages)(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


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
    assert pages.budget == 1.5


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
