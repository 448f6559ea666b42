"""The live page as it is served: to many at once, to the slow, to nobody, and with the numbers of /metrics."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import page_states as states
import pytest
from exporters import Scraped, get
from page_states import ShownPage
from running import consuming
from servers import wait_until
from starters import StartPrometheus
from stream_writer import StreamWriter, finished
from web_side import Pages, Serving, basic, hashed, hung_up_on

from limelight import RedisQueue
from limelight_exporter import catalog
from limelight_exporter.config import settings
from limelight_exporter.exporter import Exporter
from limelight_exporter.page import formats
from limelight_exporter.page.timelines import Timelines
from limelight_exporter.web import protocol, viewers

STREAM = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def page() -> ShownPage:
    return ShownPage(states.busy())


@pytest.fixture
def web(page: ShownPage) -> Iterator[Serving]:
    with Serving(live=page) as serving:
        yield serving


def _watch(web: Serving) -> socket.socket:
    connection = web.connect()
    connection.sendall(STREAM)
    return connection


def _messages(connection: socket.socket, count: int, seconds: float = 10.0) -> list[dict[str, Any]]:
    """The next messages of a stream, the first of which a head comes before."""
    connection.settimeout(seconds)
    received = b""
    while received.count(b"\ndata: ") < count or not received.endswith(b"\n\n\r\n"):
        piece = connection.recv(1_000_000)
        assert piece, received[-300:]
        received += piece
    lines = [line for line in received.split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(line.removeprefix(b"data: ")) for line in lines]


def _viewers(web: Serving) -> float:
    return web.tally.highest(catalog.PAGE_VIEWERS)


def test_a_stream_begins_with_all_there_is_and_goes_on_with_what_is_new(
    web: Serving, page: ShownPage
) -> None:
    with _watch(web) as connection:
        (first,) = _messages(connection, 1)
        assert first["kind"] == "fine"
        assert len(first["parts"]) > 100
        page.facts = states.failing()
        (news,) = _messages(connection, 1)
        assert news["said"].startswith("send_email fails")
        assert 0 < len(news["parts"]) < len(first["parts"])


def test_who_is_told_nothing_new_is_told_that_the_line_is_alive(
    web: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewers, "PULSE_SECONDS", 0.5)
    with _watch(web) as connection:
        _messages(connection, 1)
        (pulse,) = _messages(connection, 1)
        assert pulse["parts"] == []


def test_state_is_the_same_once(web: Serving, page: ShownPage) -> None:
    status, body, headers = web.get("/state")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert body == page.frame("").news(None)


class _Frame:
    """Always new, and large."""

    def news(self, before: Any, /) -> bytes:
        return b'{"parts":["' + b"x" * 8_000_000 + b'"]}'

    def pulse(self) -> bytes:
        return b"{}"


class _LargePage(ShownPage):
    def frame(self, query: str) -> Any:
        return _Frame()


def test_twenty_who_do_not_read_hold_up_no_scrape_and_the_next_one_is_sent_away() -> None:
    with Serving(live=_LargePage(states.busy())) as web:
        stalled = [_watch(web) for _ in range(20)]
        wait_until(lambda: _viewers(web) == 20, message="twenty viewers")
        began = time.monotonic()
        for _ in range(30):
            status, _, _ = web.get("/metrics")
            assert status == 200
        assert time.monotonic() - began < 6, "30 scrapes take a blink each"
        status, _, headers = web.get("/live")
        assert (status, headers["retry-after"]) == (503, "10")
        assert web.get("/state")[0] == 200
        for connection in stalled:
            connection.close()
        wait_until(lambda: _viewers(web) == 0, 15, "all of them gone")


def test_who_takes_nothing_for_long_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(viewers, "BLOCKED_SECONDS", 0.5)
    with Serving(live=_LargePage(states.busy())) as web, web.connect() as connection:
        connection.sendall(STREAM)
        wait_until(lambda: _viewers(web) == 1, message="a viewer")
        wait_until(lambda: _viewers(web) == 0, message="hung up on")
        assert hung_up_on(connection, 5)
    assert not caplog.records


def test_a_stream_lives_longer_than_an_answer_may(
    web: Serving, page: ShownPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "ANSWER_SECONDS", 0.5)
    with _watch(web) as connection:
        _messages(connection, 1)
        time.sleep(0.8)  # it is the passing of this time that is tried
        page.facts = states.failing()
        assert _messages(connection, 1)[0]["kind"] == "fail"


def test_nobody_looks_and_nothing_is_drawn(web: Serving, page: ShownPage) -> None:
    with _watch(web) as connection:
        _messages(connection, 1)
        wait_until(lambda: page.drawn >= 3, message="drawn once a second")
    wait_until(lambda: _viewers(web) == 0, message="gone")
    wait_until(lambda: not [job for job in _turns(web) if job], message="at rest")
    drawn = page.drawn
    time.sleep(1.3)
    assert page.drawn == drawn


def _turns(web: Serving) -> list[Any]:
    live = web.app._live
    assert live is not None
    return [live.viewers._turns]


def test_two_who_look_cost_one_drawing(web: Serving, page: ShownPage) -> None:
    with _watch(web) as one, _watch(web) as other:
        _messages(one, 1)
        _messages(other, 1)
        before, began = page.drawn, time.monotonic()
        wait_until(lambda: page.drawn >= before + 2, message="two turns")
        assert time.monotonic() - began > 0.9


def test_streams_end_at_once_when_the_server_stops(page: ShownPage) -> None:
    web = Serving(live=page)
    with web:
        connection = _watch(web)
        _messages(connection, 1)
        began = time.monotonic()
    assert time.monotonic() - began < 3
    assert hung_up_on(connection, 1)
    connection.close()


def test_everything_of_the_page_asks_for_the_password_that_metrics_ask_for(
    tmp_path: Path, page: ShownPage
) -> None:
    rules = tmp_path / "web.yml"
    rules.write_text(json.dumps({"basic_auth_users": {"ann": hashed("secret")}}))
    with Serving(rules, live=page) as web:
        for path in ("/", "/live", "/state", "/static/live.js", "/metrics", "/?task=x"):
            assert web.get(path)[0] == 401, path
        assert web.get("/", login=("ann", "secret"))[0] == 200
        assert web.get("/-/healthy")[0] == 200


def test_the_page_allows_itself_nothing(web: Serving) -> None:
    status, _, headers = web.get("/")
    assert status == 200
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "trusted-types 'none'" in policy
    for name, value in {
        "x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cache-control": "no-store",
        "cross-origin-opener-policy": "same-origin",
    }.items():  # fmt: skip
        assert headers[name] == value


def test_files_are_kept_by_browsers_until_they_change(web: Serving) -> None:
    _, html, _ = web.get("/")
    address = html.decode().partition('rel="stylesheet" href="')[2].partition('"')[0]
    status, body, headers = web.get(f"/{address}")
    assert (status, headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert "immutable" in headers["cache-control"]
    assert web.get("/static/limelight.css")[2]["cache-control"] == "no-cache"
    status, body, _ = web.get("/static/limelight.css", if_none_match=headers["etag"])
    assert (status, body) == (304, b"")
    for path in ("/static/", "/static/../live.py", "/static/live.py", "/static", "/live/"):
        assert web.get(path)[0] == 404, path


def test_a_query_that_is_nonsense_shows_the_overview(web: Serving) -> None:
    for query in (
        "/?",
        "/?%ff",
        "/?queue",
        "/?" + "&".join("a=1" for _ in range(50)),
        "/?task=" + "x" * 4_000,
    ):
        assert web.get(query)[0] == 200, query


def test_without_the_page_there_are_links() -> None:
    with Serving(pages=Pages()) as web:
        status, body, _ = web.get("/")
        assert status == 200
        assert b'href="/metrics"' in body
        assert web.get("/live")[0] == web.get("/state")[0] == web.get("/static/live.js")[0] == 404


# -- With a real Redis and a real exporter ---------------------------------------------------------------------------
@pytest.fixture
def exporter(redis_url: str) -> Iterator[Exporter]:
    with Exporter(settings(redis_url=redis_url, port=0)) as running:
        yield running


def _parts(url: str, query: str = "") -> dict[str, str]:
    """What each part of the page says, as text."""
    status, body, _ = get(f"{url}/state{query}")
    assert status == 200
    return {key: _text(children) for key, _, _, children in json.loads(body)["parts"]}


def _text(children: list[Any]) -> str:
    return "".join(
        one if isinstance(one, str) else _text(one[2]) if isinstance(one, list) else "" for one in children
    )


def _show(url: str, key: str, text: str, query: str = "") -> dict[str, str]:
    def shown() -> dict[str, str] | None:
        parts = _parts(url, query)
        return parts if parts.get(key) == text else None

    found: dict[str, str] = wait_until(shown, 15, f"{key} says {text!r}: {_parts(url, query).get(key)!r}")
    return found


def _failed(message: str = "no disk", task_id: str = states.EMAIL, **keys: Any) -> dict[str, Any]:
    return {
        "id": task_id, "task": "send", "outcome": "error", "error": True, "error_type": "builtins.OSError", "run": 1,
        "error_message": message, "traceback": "Traceback\nOSError: no disk", "attempt": 1, "max_attempts": 4, **keys,
    }  # fmt: skip


def test_the_page_has_the_numbers_of_prometheus(
    redis_url: str, exporter: Exporter, prometheus: StartPrometheus
) -> None:
    writer = StreamWriter(redis_url)
    _show(exporter.url, "q:mail:failed", "0")  # it watches from zero on
    told: list[tuple[str, dict[str, Any]]] = []
    for at in range(120):
        told.append(("enqueued", {"task": "send"}))
        told.append(("started", {"task": "send", "wait": 0.002 * at, "run": 1}))
        told.append(("finished", finished() | {"duration": 0.013 * at}))
    told += [("error-task", _failed(duration=0.5)) for _ in range(7)] + [("retrying", {"task": "send"})] * 3
    writer.tell_all(told)
    parts = _show(exporter.url, "q:mail:failed", "7")
    server = prometheus(exporter.url.removeprefix("http://"))

    def counted() -> bool:
        return server.value("sum(limelight_task_attempts_total)") == 127

    wait_until(counted, 15, "scraped")

    def quantile(of: float, metric: str) -> str:
        return formats.duration(server.value(f"histogram_quantile({of}, sum by (le) ({metric}_bucket))"))

    runs, waits = "limelight_task_duration_seconds", "limelight_task_wait_seconds"
    for key, metric in (("q:mail:run", runs), ("q:mail:wait", waits), ("n:mail:send:run", runs)):
        assert _bare(parts[key]) == _bare(f"{quantile(0.5, metric)} · {quantile(0.95, metric)}")
    failed = 'limelight_task_attempts_total{outcome=~"error|timeout|lost|result_error"}'
    share = server.value(f"100 * sum({failed}) / sum(limelight_task_attempts_total)")
    assert _bare(parts["fig:failed"]) == f"{share:.2g}%"
    assert parts["n:mail:send:completed"] == f"{server.value('sum(limelight_tasks_completed_total)'):g}"
    assert parts["n:mail:send:retries"] == f"{server.value('sum(limelight_task_retries_total)'):g}"
    assert parts["fig:failed:note"] == "7 of 127 in 5 min"


def _bare(text: str) -> str:
    """Without the blanks, which on the page are margins of its units."""
    return text.replace(" ", "")


def test_failures_outlive_the_exporter(redis_url: str) -> None:
    with Exporter(settings(redis_url=redis_url, port=0)) as first:
        StreamWriter(redis_url).tell_all([("error-task", _failed("the disk is full"))])
        key = _failure_key(first.url)
    with Exporter(settings(redis_url=redis_url, port=0)) as second:
        parts = _show(second.url, f"{key}:message", "the disk is full")
        assert "OSError: no disk" in parts[f"{key}:traceback"]


def _failure_key(url: str) -> str:
    def found() -> str | None:
        return next((key.removesuffix(":message") for key in _parts(url) if key.endswith(":message")), None)

    key: str = wait_until(found, 15, "a failure on the page")
    return key


def test_a_task_is_found_by_its_id(redis_url: str, exporter: Exporter) -> None:
    now = time.time()
    run = {"id": states.EMAIL, "task": "send", "run": 1, "attempt": 1, "max_attempts": 4, "ready_at": now - 2}
    StreamWriter(redis_url).tell_all(
        [
            ("enqueued", run | {"enqueued_at": now - 2}),
            ("started", run | {"started_at": now - 1}),
            ("error-task", _failed(started_at=now - 1, duration=0.5, ready_at=now - 2)),
        ]
    )
    query = f"?task={states.EMAIL}"
    wait_until(lambda: "events" in _parts(exporter.url, query), 15, "its page")
    status, body, _ = get(f"{exporter.url}/{query}")
    assert status == 200
    assert b"builtins.OSError: no disk" in body
    assert b"Traceback of attempt 1" in body
    assert (
        b"Traceback of attempt 1" in get(f"{exporter.url}/?f={states.EMAIL}")[1]
    )  # as a form without scripts asks
    assert b"Not held here" in get(f"{exporter.url}/?task=0192f3a8-0000-7d0e-9b55-2f6f0c1a8e37")[1]


def _halve(number: int) -> float:
    if number == 13:
        raise ValueError("an unlucky number")
    return number / 2


def test_what_real_workers_do_is_seen_from_enqueue_to_end(redis_url: str, exporter: Exporter) -> None:
    queue = RedisQueue("mail", url=redis_url)
    halve = queue.task(name="halve")(_halve)
    _show(exporter.url, "where", f"{redis_url.removeprefix('redis://')} · no queue")
    with consuming(queue):
        done = [halve(number) for number in range(20)]
        parts = _show(exporter.url, "n:mail:halve:completed", "20")
        assert (parts["q:mail:dead"], parts["n:mail:halve:errors"]) == ("1", "1")
        key = _failure_key(exporter.url)
        assert parts[f"{key}:message"] == "an unlucky number"
        assert "ValueError: an unlucky number" in parts[f"{key}:traceback"]
        assert parts["note:consumers"] == "1 alive"
        task = _parts(exporter.url, f"?task={done[3].id}")
        assert task["titleline"].startswith("halvefinished")
        told = [text for name, text in task.items() if name.startswith("e:")]
        assert [
            status in text for status, text in zip(("enqueued", "started", "finished"), told, strict=True)
        ] == [True] * 3


def test_a_task_that_was_not_chosen_is_told_where_it_is(redis_url: str, exporter: Exporter) -> None:
    queue = RedisQueue("mail", url=redis_url)
    task = queue.task()(len)
    sent = [task([1]) for _ in range(400)]  # more than it chooses of
    wait_until(lambda: b"400" in get(exporter.url)[1], 15, "all of them are on the page")
    pages = ((result.id, get(f"{exporter.url}/?task={result.id}")[1]) for result in reversed(sent))
    task_id, page = next((task_id, page) for task_id, page in pages if b"What happened" not in page)
    assert b"On its way." in page
    assert f"limelight queue show mail {task_id}".encode() in page


def test_redis_goes_and_comes_and_the_page_says_so(own_redis: Any) -> None:
    redis = own_redis()
    StreamWriter(redis.url).finish_tasks(3)
    with Exporter(settings(redis_url=redis.url, port=0)) as exporter:
        wait_until(lambda: "q:mail" in _parts(exporter.url), 15, "the queue")
        redis.kill()
        wait_until(lambda: _parts(exporter.url)["verdict"].startswith("Nothing is known since"), 20, "told")
        parts = _parts(exporter.url)
        assert "banner" in parts
        assert "q:mail" in parts  # with its last numbers, not without
        assert Scraped(exporter.url).value(
            "limelight_redis_up", redis=redis.url.removeprefix("redis://")
        ) in {0, None}
        redis.start()
        wait_until(lambda: "banner" not in _parts(exporter.url), 20, "Redis is back")


def test_a_fault_of_the_page_makes_no_metric_wrong(
    redis_url: str, exporter: Exporter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Timelines, "take", lambda *_: 1 / 0)
    StreamWriter(redis_url).tell_all([("finished", finished() | {"id": states.EMAIL})] * 7)
    labels = {"queue": "mail", "task": "send", "outcome": "success"}
    wait_until(lambda: Scraped(exporter.url).value("limelight_tasks_completed_total", **labels), 15, "folded")
    assert Scraped(exporter.url).value("limelight_tasks_completed_total", **labels) == 7
    assert "a fault in the live page's memory" in caplog.text


def test_a_scrape_counts_who_looks(exporter: Exporter) -> None:
    assert Scraped(exporter.url).value("limelight_exporter_page_viewers") == 0


def test_nothing_is_remembered_where_there_is_no_page(redis_url: str) -> None:
    with Exporter(settings(redis_url=redis_url, port=0, no_page="1")) as exporter:
        StreamWriter(redis_url).tell_all([("error-task", _failed())])
        labels = {"queue": "mail", "task": "send", "error_type": "builtins.OSError"}
        wait_until(lambda: Scraped(exporter.url).value("limelight_task_errors_total", **labels) == 1)
        assert Scraped(exporter.url).value("limelight_exporter_page_viewers") is None
        assert get(f"{exporter.url}/live")[0] == 404
        assert b'href="/metrics"' in get(exporter.url)[1]


@pytest.mark.parametrize(
    ("host", "when", "shown"),
    [
        ("127.0.0.1", "auto", True),
        ("0.0.0.0", "auto", False),
        ("0.0.0.0", "on", True),
        ("127.0.0.1", "off", False),
    ],
)
def test_tracebacks_are_shown_where_no_stranger_sees_them(
    redis_url: str, caplog: pytest.LogCaptureFixture, host: str, when: str, *, shown: bool
) -> None:
    with Exporter(settings(redis_url=redis_url, host=host, port=0, page_tracebacks=when)) as exporter:
        warned = [
            record.getMessage() for record in caplog.records if "sees the live page" in record.getMessage()
        ]
        assert bool(warned) == (host == "0.0.0.0")
        assert all(("tracebacks" in text) == shown for text in warned)
        url = exporter.url.replace("0.0.0.0", "127.0.0.1")
        StreamWriter(redis_url).tell_all([("error-task", _failed())])
        key = _failure_key(url)
        assert (f"{key}:traceback" in _parts(url)) == shown


def test_with_a_login_tracebacks_are_shown_to_whoever_has_it(redis_url: str, tmp_path: Path) -> None:
    rules = tmp_path / "web.yml"
    rules.write_text(json.dumps({"basic_auth_users": {"ann": hashed("secret")}}))
    chosen = settings(redis_url=redis_url, host="0.0.0.0", port=0, web_config_file=str(rules))
    with Exporter(chosen) as exporter:
        url = exporter.url.replace("0.0.0.0", "127.0.0.1")
        StreamWriter(redis_url).tell_all([("error-task", _failed())])
        wait_until(
            lambda: b"Traceback of the last one" in get(url, Authorization=basic("ann", "secret"))[1], 15
        )
        assert get(url)[0] == 401
