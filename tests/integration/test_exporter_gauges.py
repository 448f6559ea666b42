from __future__ import annotations

import json
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from exporters import Scraped, get
from otlp import OtlpReceiver
from running import consuming, told
from servers import wait_until
from stream_writer import StreamWriter

from limelight import RedisQueue, every
from limelight.errors import RedisRefused
from limelight.inspection import PeriodicRuns, QueueView, queue_view, queue_views
from limelight.keys import QueueKeys
from limelight.storage.address import Address
from limelight.storage.links import Links
from limelight_exporter import scrape
from limelight_exporter.config import Settings
from limelight_exporter.exporter import Exporter

MINUTE = 60_000_000
NOON = 1_790_000_000 // 60 * MINUTE


@pytest.fixture
def queue(redis_url: str) -> RedisQueue:
    return RedisQueue("mail", url=redis_url)


@pytest.fixture
def exporter(redis_url: str) -> Iterator[Exporter]:
    with Exporter(Settings(redis_url=redis_url, port=0)) as running:
        wait_until(lambda: get(f"{running.url}/-/ready")[0] == 200, 10, "ready")
        yield running


def test_a_paused_queue_and_its_locks_are_seen(queue: RedisQueue, exporter: Exporter) -> None:
    queue.storage.producing.announce()
    before = Scraped(exporter.url)
    assert before.value("limelight_queue_paused", queue="mail") == 0
    assert before.value("limelight_locks_held", queue="mail") == 0
    queue.pause()
    with queue.lock_task("one"), queue.lock_task("two"):
        during = Scraped(exporter.url)
    assert during.value("limelight_queue_paused", queue="mail") == 1
    assert during.value("limelight_locks_held", queue="mail") == 2
    assert Scraped(exporter.url).value("limelight_locks_held", queue="mail") == 0


def test_a_consumer_tells_how_far_its_clock_is_off_and_what_it_had_to_abandon(
    queue: RedisQueue, exporter: Exporter
) -> None:
    with consuming(queue) as consumer:
        client, key = queue.storage.address.client(), queue.keys["consumers"]
        wait_until(lambda: client.hget(key, consumer.id))
        scraped = Scraped(exporter.url)
        skew = scraped.value("limelight_exporter_clock_skew_seconds", host=socket.gethostname())
        assert skew is not None
        assert abs(skew) < 5
        assert scraped.value("limelight_consumer_abandoned_threads", queue="mail", consumer=consumer.id) == 0
        monday = time.time() - 3 * 86_400
        note = {"host": "behind", "clock": monday, "abandoned": 2}
        client.hset(key, "other", f"{int(time.time() * 1e6)} 1 {json.dumps(note)}")
        scraped = Scraped(exporter.url)
    assert scraped.value("limelight_exporter_clock_skew_seconds", host="behind") == -86_400, "a day at most"
    assert scraped.value("limelight_consumer_abandoned_threads", queue="mail", consumer="other") == 2
    gone = Scraped(exporter.url)
    assert gone.value("limelight_exporter_clock_skew_seconds", host=socket.gethostname()) is None


# -- Due times that no run has met ----------------------------------------------------------------------
def runs(queue: RedisQueue, **fields: int) -> PeriodicRuns:
    client = queue.storage.address.client()
    client.hset(queue.keys["meta"], "last_check", NOON // MINUTE)
    client.delete(queue.keys["periodic_runs"])
    client.hset(queue.keys["periodic_runs"], mapping={f"night:{what}": at for what, at in fields.items()})
    (found,) = queue_view(Links(queue.storage.address), "mail").periodic
    return found


@pytest.mark.parametrize(
    ("fields", "unmet"),
    [
        ({"met": NOON - 90, "unmet": NOON - 5, "next": NOON + 9}, NOON - 5),
        ({"met": NOON - 5, "unmet": NOON - 5, "next": NOON + 9}, NOON + 9),
        ({"met": NOON - 1, "unmet": NOON - 5, "next": NOON - 3}, 0),
        ({"met": NOON - 1, "unmet": 0, "next": 0}, 0),
        ({"next": NOON + 9}, None),
    ],
)
def test_what_a_run_has_met_since_the_scheduler_looked_is_not_unmet(
    queue: RedisQueue, fields: dict[str, int], unmet: int | None
) -> None:
    found = runs(queue, decided=NOON, grace=MINUTE, **fields)
    assert found.unmet == (None if unmet is None else pytest.approx(unmet / 1e6))
    assert found.grace == (None if unmet is None else 60)


def test_a_task_that_left_the_code_is_not_waited_for(queue: RedisQueue) -> None:
    looked_at = {"due": NOON - 11 * MINUTE, "decided": NOON - 11 * MINUTE}
    left = runs(queue, met=NOON - 99 * MINUTE, unmet=NOON - 9 * MINUTE, grace=MINUTE, **looked_at)
    assert (left.unmet, left.grace) == (None, None)
    assert runs(queue, met=1, unmet=NOON, due=1, decided=NOON - MINUTE).unmet == NOON / 1e6


def test_the_scheduler_keeps_the_first_due_time_that_nobody_met(queue: RedisQueue) -> None:
    client, fields = queue.storage.address.client(), queue.keys["periodic_runs"]
    now = int(time.time())

    def look(upcoming: float) -> int:
        queue.storage.watch_periodic({"night": (upcoming, 0.0, 300.0)})
        return int(client.hget(fields, "night:unmet")) // 1_000_000

    assert look(now + 10) == now + 10, "a new task has met everything before it was new"
    assert look(now + 20) == now + 20, "one that is still to come follows the schedule"
    client.hset(fields, mapping={"night:met": (now - 50) * 10**6, "night:next": (now - 30) * 10**6})
    assert look(now + 30) == now - 30, "it came while nobody looked"
    assert look(now + 60) == now - 30, "and stays"
    client.hset(fields, "night:met", (now - 1) * 10**6)
    assert look(now + 60) == now + 60, "until a run meets it"
    assert int(client.hget(fields, "night:grace")) == 300_000_000


def test_a_periodic_task_that_fails_is_missed_from_its_first_due_time_until_it_succeeds(
    queue: RedisQueue, exporter: Exporter
) -> None:
    works = threading.Event()
    queue.periodic_task(every(1), name="tick", grace=7)(lambda: works.is_set() or 1 / 0)
    gauge = "limelight_periodic_oldest_unmet_due_timestamp_seconds"

    def unmet() -> float:
        return Scraped(exporter.url).value(gauge, queue="mail", task="tick") or 0.0

    with consuming(queue):
        wait_until(lambda: len(told(queue, status="error-task", task="tick")) >= 3, 20)
        missed = unmet()
        assert missed <= min(event["due"] for event in told(queue, status="scheduling-periodic"))
        assert Scraped(exporter.url).value("limelight_periodic_grace_seconds", queue="mail", task="tick") == 7
        works.set()
        wait_until(lambda: told(queue, status="finished", task="tick"), 20)
        wait_until(lambda: unmet() > missed, 10)


# -- Objectives -----------------------------------------------------------------------------------------
def test_objectives_go_from_the_declaration_to_exact_counts(redis_url: str, exporter: Exporter) -> None:
    queue = RedisQueue("mail", url=redis_url, slo={"wait": (60, 0.99)})
    good = queue.task(name="good", slo={"success": 0.999, "duration": (30, 0.9)})(lambda: 1)
    bad = queue.task(name="bad", slo={"success": 0.95})(lambda: 1 / 0)
    for _ in range(3):
        good()
        bad()
    with consuming(queue):
        wait_until(lambda: len([event for event in told(queue) if "end" in event]) == 6)
        scraped = Scraped(exporter.url)

    def count(task: str, objective: str, result: str) -> float | None:
        labels = {"queue": "mail", "task": task, "objective": objective, "result": result}
        return scraped.value("limelight_task_slo_evaluations_total", **labels)

    assert [count("good", "success", verdict) for verdict in ("good", "bad")] == [3, 0]
    assert [count("bad", "success", verdict) for verdict in ("good", "bad")] == [0, 3]
    assert [count("bad", "wait", verdict) for verdict in ("good", "bad")] == [3, 0]
    assert count("good", "duration", "good") == 3
    assert count("bad", "duration", "good") is None
    target = {"queue": "mail", "task": "bad", "objective": "success"}
    assert scraped.value("limelight_task_slo_target_ratio", **target) == 0.95
    assert scraped.value("limelight_task_slo_threshold_seconds", **target) is None
    target |= {"objective": "wait"}
    assert scraped.value("limelight_task_slo_threshold_seconds", **target) == 60


# -- The look itself --------------------------------------------------------------------------------------
def test_many_queues_are_seen_in_a_few_trips_and_a_broken_one_blanks_no_other(redis_url: str) -> None:
    names = [f"q{number:03}" for number in range(120)]
    writer = StreamWriter(redis_url, "q007")
    writer.client.set(QueueKeys("q007")["tasks"], "no hash")
    links = Links(Address(redis_url, {}))
    link = links.to("")
    trips: list[int] = []
    exchange = link._exchange
    link._exchange = lambda *args: (trips.append(1), exchange(*args))[1]  # type: ignore[method-assign]
    seen = dict(queue_views(links, names))
    assert len(trips) <= 4, "three, and one more for the transaction that was refused"
    assert list(seen) == names
    assert isinstance(seen.pop("q007"), RedisRefused)
    assert all(isinstance(view, QueueView) for view in seen.values())


def test_gauges_that_take_too_long_are_left_out_and_named(
    redis_url: str, exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    StreamWriter(redis_url)
    release = threading.Event()

    def hang(*_: Any) -> Iterable[Any]:
        release.wait(10)
        return ()

    monkeypatch.setattr(scrape, "queue_views", hang)
    try:
        began = time.monotonic()
        status, body, _ = get(f"{exporter.url}/metrics", X_Prometheus_Scrape_Timeout_Seconds="1.5")
        assert time.monotonic() - began < 1.5
    finally:
        release.set()
    assert status == 200
    assert b'scrape_collector_success{collector="queues"} 0.0' in body
    assert b'scrape_collector_success{collector="server"} 1.0' in body
    assert b"limelight_redis_up" in body
    assert b"limelight_queue_tasks" not in body


def test_prometheus_keeps_the_exemplars_of_exported_spans(
    redis_url: str, otlp_receiver: OtlpReceiver, prometheus: Callable[..., Any]
) -> None:
    began = time.time()
    queue = RedisQueue("mail", url=redis_url)
    task = queue.task(name="send")(lambda: 1 / 0)
    settings = Settings(redis_url=redis_url, port=0, otlp_endpoint=otlp_receiver.http_endpoint)
    with consuming(queue), Exporter(settings) as running:
        server = prometheus(running.url.removeprefix("http://"))
        handle = task()
        wait_until(lambda: told(queue, status="dead"))

        def kept(expr: str) -> set[tuple[str, str]]:
            found = server.exemplars(expr, began - 60, time.time() + 60)
            labels = [one["labels"] for series in found for one in series["exemplars"]]
            return {(one["trace_id"], one["span_id"]) for one in labels}

        (closed,) = told(queue, status="error-task")
        span = (uuid.UUID(handle.id).hex, closed["span_id"])
        for metric in (
            "task_wait_seconds_bucket",
            "task_duration_seconds_bucket",
            "task_latency_seconds_bucket",
        ):
            wait_until(lambda name=metric: kept(f"limelight_{name}") == {span}, 20, metric)
        wait_until(lambda: kept("limelight_task_errors_total") == {span}, 20, "errors")
