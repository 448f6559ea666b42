"""Huey 1.x as a source: its own events, over its own channel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from exporters import Scraped, get
from proxy import FaultyProxy
from servers import wait_until
from stream_writer import StreamWriter

from limelight.storage import listening
from limelight_exporter.config import Settings
from limelight_exporter.exporter import Exporter

SUPPORT = Path(__file__).parents[1] / "support"


def python(code: str, url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code], cwd=SUPPORT, env={**os.environ, "REDIS_URL": url})


@contextmanager
def old_consumer(url: str) -> Iterator[None]:
    process = python("import old_huey; old_huey.run()", url)
    try:
        yield
    finally:
        process.kill()
        process.wait(10)


@contextmanager
def listening_to(url: str, *channels: str) -> Iterator[Exporter]:
    with Exporter(Settings(redis_url=url, port=0, pubsub=channels)) as running:
        wait_until(lambda: get(f"{running.url}/-/ready")[0] == 200, 10, "ready")
        yield running


def finished(client: redis.Redis, channel: str, times: int = 1) -> None:
    event = {
        "status": "finished",
        "error": False,
        "id": "1",
        "task": "queue_task_send",
        "retries": 0,
        "duration": 0.5,
    }
    for _ in range(times):
        client.publish(channel, json.dumps(event))


def broken(running: Exporter, times: int) -> bool:
    return Scraped(running.url).value("limelight_exporter_subscription_breaks_total", queue="shop") == times


def completed(running: Exporter, queue: str = "shop") -> float | None:
    return Scraped(running.url).value(
        "limelight_tasks_completed_total", queue=queue, task="send", outcome="success"
    )


def test_a_real_huey_1_is_counted(redis_url: str) -> None:
    with listening_to(redis_url, "myapp") as running, old_consumer(redis_url):
        assert (
            python("import old_huey as app; [app.add(1, n) for n in range(5)]; app.fail()", redis_url).wait(
                30
            )
            == 0
        )
        dead = {"queue": "myapp", "task": "fail", "outcome": "dead"}
        wait_until(lambda: Scraped(running.url).value("limelight_tasks_completed_total", **dead), 30)
        done = {"queue": "myapp", "event": "finished"}
        wait_until(lambda: Scraped(running.url).value("limelight_events_total", **done) == 5)
        scraped = Scraped(running.url)
    adds = {"queue": "myapp", "task": "add"}
    assert scraped.value("limelight_tasks_completed_total", **adds, outcome="success") == 5
    assert scraped.value("limelight_task_duration_seconds_count", **adds, result="ok") == 5
    fails = {"queue": "myapp", "task": "fail"}
    assert scraped.value("limelight_task_attempts_total", **fails, outcome="error") == 3
    assert scraped.value("limelight_task_retries_total", **fails) == 2
    assert scraped.value("limelight_task_errors_total", **fails, error_type="LookupError") == 3
    assert scraped.value("limelight_exporter_source_info", queue="myapp", mode="pubsub") == 1
    assert scraped.value("limelight_exporter_subscribed", queue="myapp") == 1
    for unknown in ("events_lost_total", "stream_lag_events", "queue_current"):
        assert scraped.value(f"limelight_exporter_{unknown}", queue="myapp") is None, "nobody knows"


def test_a_broken_subscription_is_made_again_and_the_break_is_told(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    with listening_to(redis_url, "shop") as running:
        finished(client, "shop", 3)
        wait_until(lambda: completed(running) == 3)
        for times in (1, 2):
            client.client_kill_filter(_type="pubsub")
            wait_until(partial(broken, running, times))
            wait_until(lambda: get(f"{running.url}/-/ready")[0] == 200)
        finished(client, "shop", 2)
        wait_until(lambda: completed(running) == 5)


def test_redis_may_be_away_at_the_start_and_come_back(own_redis: Callable[..., Any]) -> None:
    server = own_redis()
    with listening_to(server.url, "shop") as running:
        server.stop()
        wait_until(lambda: Scraped(running.url).value("limelight_exporter_subscribed", queue="shop") == 0)
        assert get(f"{running.url}/-/ready")[0] == 503
        assert get(f"{running.url}/-/healthy")[0] == 200
        server.start()
        wait_until(lambda: get(f"{running.url}/-/ready")[0] == 200, 20)
        finished(redis.Redis.from_url(server.url), "shop")
        wait_until(lambda: completed(running) == 1)


def test_a_connection_that_is_gone_without_a_word_is_noticed(
    redis_url: str, faulty_proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "_PULSE_SECONDS", 0.5)
    monkeypatch.setattr(listening, "_SILENT_SECONDS", 1.5)
    with listening_to(faulty_proxy.url, "shop") as running:
        faulty_proxy.hole()
        wait_until(running._subscriptions.unready, 15)
        faulty_proxy.pass_on()
        wait_until(lambda: not running._subscriptions.unready(), 15)
        finished(redis.Redis.from_url(redis_url), "shop")
        wait_until(lambda: completed(running) == 1)


def test_a_quiet_channel_is_not_taken_for_a_broken_one(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "_PULSE_SECONDS", 0.1)
    monkeypatch.setattr(listening, "_SILENT_SECONDS", 1.0)
    client = redis.Redis.from_url(redis_url)
    with listening_to(redis_url, "shop") as running:
        pings = client.info("commandstats").get("cmdstat_ping", {"calls": 0})["calls"]
        wait_until(lambda: client.info("commandstats")["cmdstat_ping"]["calls"] > pings + 3, 15)
        assert Scraped(running.url).value("limelight_exporter_subscription_breaks_total", queue="shop") == 0


def test_streams_are_exported_beside_channels_and_go_before_one_of_the_same_name(redis_url: str) -> None:
    StreamWriter(redis_url, "shop").finish_tasks(4)
    client = redis.Redis.from_url(redis_url)
    with listening_to(redis_url, "shop", "old") as running:
        finished(client, "shop", 2)
        finished(client, "old", 2)
        wait_until(lambda: completed(running, "old") == 2)
        assert completed(running, "shop") == 4
        page = get(f"{running.url}/metrics")[1].decode()
    samples = [line.rpartition(" ")[0] for line in page.splitlines() if not line.startswith("#")]
    assert len(samples) == len(set(samples)), "no series is shown twice"


def test_nonsense_on_the_channel_is_counted_and_stops_nothing(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    with listening_to(redis_url, "shop") as running:
        for nonsense in (b"\xff", b"[]", b'{"status": 1}', b"[" * 50_000):
            client.publish("shop", nonsense)
        finished(client, "shop")
        wait_until(lambda: completed(running) == 1)
        malformed = {"queue": "shop", "reason": "undecodable"}
        assert Scraped(running.url).value("limelight_exporter_events_malformed_total", **malformed) == 4
