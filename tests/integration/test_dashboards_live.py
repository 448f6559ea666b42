"""Every query of every dashboard, asked of a real Prometheus that scrapes two exporters of a system at work.

One queue has all that can happen to tasks, one is idle, one is paused. What Grafana would put for the variables is put
here; the answers must be there, without gaps, finite, 0 where nothing happens, and the same for one exporter and two.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from dashboards import NAMES, Asked, annotations, asked
from exporters import ExporterProcess
from missing import missing
from otlp import OtlpReceiver
from running import consuming
from servers import Prometheus, wait_until
from starters import OwnRedis, StartPrometheus

from limelight import RedisQueue, every
from limelight.embedded import EmbeddedRedis, find_binary
from limelight.errors import ConfigurationError
from limelight_exporter import catalog

BUSY, PERIODIC, IDLE, PAUSED = "mail", "clock", "reports", "archive"

NO_OBJECTIVES: Final = "the idle queue declares no objective, and the panel says so"
MAY_BE_EMPTY: Final = {
    "Least budget left": NO_OBJECTIVES,
    "Fastest burn": NO_OBJECTIVES,
    "Burn of error budgets": NO_OBJECTIVES,
    "Objectives": NO_OBJECTIVES,
    "Schedule": "the idle queue has no periodic task, and the panel says so",
}
"""What may rightly answer nothing for the idle queue, and why."""

ABOUT_LIFE: Final = {
    "Workers",
    "Workers by state",
    "Consumers",
    "Consumers by queue",
    "Consumer list",
    "Longest silence",
    "Last schedule check",
    "Schedule checks",
    "Queues",
    "Events",
    "Waits within the limit",
    "Telemetry behind by",
}
"""Panels about an idle queue that rightly show more than zeros: it has consumers, 1 is its share of good waits, and a
scrape may arrive between a schedule check that is told and its folding."""


MAY_BE_STILL: Final = {
    "Abandoned threads",
    "Alerts firing",
    "Behind by (events)",
    "Behind by (time)",
    "Behind by",
    "Events lost in range",
    "Index mismatch",
    "Label overflow",
    "Locks held",
    "Lost and redelivered",
    "Lost in range",
    "Lost, rolled back, malformed",
    "Missed periodic tasks by queue",
    "Missed periodic tasks",
    "Overdue schedule",
    "Pushed metrics",
    "Queues not current",
    "Reconnects and failed snapshots",
    "Redis memory in use",  # it has no limit here
    "Schedule checks",
    "Spans behind by queue",
    "Spans behind by",
    "Telemetry behind by",
    "Timeouts and lost workers",
}
"""Panels about faults that do not happen here, or not surely."""

OF_EACH_EXPORTER: Final = {
    "Clock skew",
    "Exporters up",
    "Exporters",
    "Series",
    "Oldest snapshot",
    "Behind by (time)",
    "Behind by (events)",
    "Spans",
    "Spans behind by queue",
    "Reconnects and failed snapshots",
    "Time of a scrape's parts",
    "Scrape time and samples",
    "Pushed metrics",
    "CPU",
    "Memory",
    "Open files",
}
"""Panels that show exporters one by one, what each did of the common work, or what each scrape measures anew."""

LINE: Final = re.compile(r"vector\(.*\)")


@dataclass(frozen=True, slots=True)
class System:
    """What is asked, and since when it answers."""

    prometheus: Prometheus
    exporters: tuple[ExporterProcess, ExporterProcess]
    since: float
    until: float

    def over_time(self, query: Asked, **chosen: str) -> list[dict[str, Any]]:
        """The answer from second to second, as a graph gets it."""
        answer: dict[str, Any] = self.prometheus.get(
            "/api/v1/query_range",
            query=query.filled(**chosen),
            start=f"{self.since:.3f}",
            end=f"{self.until:.3f}",
            step="1",
        )
        return list(answer["result"])

    def at_the_end(self, query: Asked, **chosen: str) -> dict[frozenset[tuple[str, str]], float]:
        """The answer for the end of the range, by its labels."""
        return {
            frozenset(series["metric"].items()): float(series["value"][1])
            for series in self.prometheus.query(query.filled(**chosen), self.until)
        }


def send(number: int) -> int:
    time.sleep(0.01 * (number % 5))
    return number


def flaky(number: int) -> int:
    raise ValueError(f"number {number}")


def unstorable() -> object:
    return object()


class Shop:
    """A queue on which everything happens, with objectives."""

    def __init__(self, url: str) -> None:
        self.queue = RedisQueue(BUSY, url=url)
        self.send = self.queue.task(slo={"wait": (5, 0.99), "success": 0.9, "latency": (1, 0.5)})(send)
        self.flaky = self.queue.task(retries=1, retry_delay=1, slo={"success": 0.9})(flaky)
        self.unstorable = self.queue.task()(unstorable)
        self.clock = RedisQueue(PERIODIC, url=url)
        self.clock.periodic_task(every(2), name="tick")(lambda: None)

    def be_busy(self, seconds: float) -> None:
        """Enqueue for a while, a little of everything."""
        self.send.schedule((0,), delay=3_600)
        self.unstorable()
        until, number = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            number += 1
            self.send(number)
            if number % 5 == 0:
                self.flaky(number)
            time.sleep(0.05)


def wait_for_calm(prometheus: Prometheus) -> None:
    """Return when the busy queue has had nothing to do for four seconds but wait for what is due in an hour."""
    tasks = f'sum({catalog.QUEUE_TASKS}{{queue="{BUSY}",state!="dead"}})'
    calm = f"max_over_time({tasks}[4s:1s]) == min_over_time({tasks}[4s:1s]) == 2"  # two exporters tell of one task
    wait_until(lambda: prometheus.query(calm), 30, "all tasks done")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Two exporters of one Redis, scraped once a second while queues work, are idle, and are paused."""
    folder = tmp_path_factory.mktemp("dashboards")
    with ExitStack() as stack:
        try:
            redis = stack.enter_context(EmbeddedRedis(binary=find_binary()))
        except ConfigurationError as error:
            missing(str(error))
        collector = stack.enter_context(OtlpReceiver())
        endpoint = ("--otlp-endpoint", collector.http_endpoint)
        first, second = (
            stack.enter_context(ExporterProcess(redis.url, folder / f"{name}.log", *endpoint))
            for name in ("first", "second")
        )
        shop, rest, stopped = (
            Shop(redis.url),
            RedisQueue(IDLE, url=redis.url),
            RedisQueue(PAUSED, url=redis.url),
        )
        rest.task(name="report")(print)
        archive = stopped.task(name="archive")(print)
        stopped.pause()
        archive()
        stack.enter_context(consuming([shop.queue, shop.clock, rest, stopped], workers=2))
        prometheus_folder = tmp_path_factory.mktemp("prometheus")
        targets = [f"127.0.0.1:{one.wait_until_ready().port}" for one in (first, second)]
        prometheus = stack.enter_context(Prometheus(prometheus_folder, targets))
        known = f"count({catalog.QUEUE_CURRENT} == 1)"
        wait_until(lambda: prometheus.value(known) == 8, 20, "four queues of two exporters scraped")
        since = time.time() + 2
        shop.be_busy(6)
        wait_for_calm(prometheus)
        yield System(prometheus, (first, second), since, time.time() - 1)


def chosen(whose: str) -> dict[str, str]:
    return {"queue": {"busy": f"{BUSY}|{PERIODIC}", "idle": IDLE, "all": ".+"}[whose]}


@pytest.mark.parametrize("whose", ["busy", "idle", "all"])
@pytest.mark.parametrize("name", NAMES)
def test_every_panel_has_an_answer_at_every_second(system: System, name: str, whose: str) -> None:
    seconds = set(range(int(system.until - system.since) + 1))
    assert len(seconds) > 5
    for query in asked(name):
        answer = system.over_time(query, **chosen(whose))
        points = [point for series in answer for point in series["values"]]
        if whose == "idle" and query.panel in MAY_BE_EMPTY:
            continue
        gaps = seconds - {round(when - system.since) for when, _ in points}
        assert not gaps, f"{query}: nothing at {sorted(gaps)} of {len(seconds)} s: {query.expr}"
        assert all(math.isfinite(float(value)) for _, value in points), f"{query}: {query.expr}"


def test_what_may_be_empty_is(system: System) -> None:
    """The list of exceptions holds no excuse that is not needed."""
    for name in NAMES:
        for query in asked(name):
            if query.panel in MAY_BE_EMPTY:
                panel = [one for one in asked(name) if one.panel == query.panel]
                assert not all(system.over_time(one, queue=IDLE) for one in panel), query.panel


@pytest.mark.parametrize("name", [name for name in NAMES if name != "limelight-exporter"])
def test_an_idle_queue_shows_zeros(system: System, name: str) -> None:
    for query in asked(name):
        if query.panel in ABOUT_LIFE or LINE.fullmatch(query.expr):
            continue
        for series in system.over_time(query, queue=IDLE):
            values = {float(value) for _, value in series["values"]}
            assert values == {0.0}, f"{query}: {values}: {query.expr}"


def test_a_busy_queue_shows_more_than_zeros(system: System) -> None:
    """Of every panel something moved, unless nothing happens here that it is about."""
    still = set()
    for name in NAMES:
        for panel in {query.panel for query in asked(name)}:
            answers = [system.over_time(one, **chosen("all")) for one in asked(name) if one.panel == panel]
            values = {float(v) for answer in answers for series in answer for _, v in series["values"]}
            if values <= {0.0}:
                still.add(panel)
    assert still <= MAY_BE_STILL, ", ".join(sorted(still - MAY_BE_STILL))


@pytest.mark.parametrize("name", NAMES)
def test_two_exporters_show_the_same_as_one(system: System, name: str) -> None:
    all_of_it = {"queue": BUSY, "__rate_interval": "60s", "__range": "60s"}
    first = f"127.0.0.1:{system.exporters[0].port}"
    for query in asked(name):
        if query.panel in OF_EACH_EXPORTER:
            continue
        both = system.at_the_end(query, **all_of_it)
        one = system.at_the_end(query, **all_of_it, job=f'.+",instance="{first}')
        assert both.keys() == one.keys(), query
        for labels, value in one.items():
            assert both[labels] == pytest.approx(value, rel=0.3, abs=2 if is_age(query) else 1e-6), (
                f"{query}: {dict(labels)}: {both[labels]} of two, {value} of one: {query.expr}"
            )


def is_age(query: Asked) -> bool:
    return "time()" in query.expr


def test_starts_of_consumers_and_their_errors_are_marked(system: System) -> None:
    (starts, errors, _) = annotations("limelight-queue")
    versions = {dict(series["metric"])["version"] for series in system.over_time(starts)}
    assert versions
    events = {dict(series["metric"])["event"] for series in system.over_time(errors)}
    assert events == {"error-storing-result"}


def test_run_times_lead_to_traces(system: System) -> None:
    """Prometheus finds exemplars by the selectors of the very query that the panel asks."""
    (query,) = [one for one in asked("limelight-task") if one.panel == "Run time" and one.legend == "p95"]
    found = system.prometheus.exemplars(query.filled(), system.since - 30, system.until + 30)
    traces = {one["labels"]["trace_id"] for series in found for one in series["exemplars"]}
    assert traces
    assert all(len(trace) == 32 for trace in traces)


def test_the_boards_tell_what_happened(system: System) -> None:
    """Some numbers that are known."""
    told = {query.panel: query for query in asked("limelight-queue")}
    assert system.at_the_end(told["Scheduled"], queue=BUSY) == {frozenset(): 1}
    assert system.at_the_end(told["Dead letters"], queue=BUSY)[frozenset()] > 5
    assert system.at_the_end(told["Paused"], queue=PAUSED) == {frozenset(): 1}
    assert system.at_the_end(told["Paused"], queue=BUSY) == {frozenset(): 0}
    errors = {one.panel: one for one in asked("limelight-task")}["Errors by type"]
    types = {
        dict(series["metric"])["error_type"] for series in system.over_time(errors, task="flaky|unstorable")
    }
    assert "ValueError" in types


def test_while_redis_is_away_nothing_reads_as_zero(
    own_redis: OwnRedis, prometheus: StartPrometheus, tmp_path: Path
) -> None:
    redis = own_redis()
    Shop(redis.url).send(1)
    with ExporterProcess(redis.url, tmp_path / "log") as exporter:
        scraping = prometheus(f"127.0.0.1:{exporter.wait_until_ready().port}")
        wait_until(lambda: scraping.value(f"{catalog.QUEUE_CURRENT} == 1") == 1, 20, "the queue is current")
        stats = [
            one
            for one in asked("limelight-overview")
            if one.panel in ("Completed per second", "Dead letters")
        ]
        short = {"queue": BUSY, "__rate_interval": "2s"}
        wait_until(lambda: all(scraping.value(one.filled(**short)) == 0 for one in stats), 20, "zeros")
        redis.kill()
        wait_until(lambda: scraping.value(catalog.REDIS_UP) == 0, 20, "the exporter misses Redis")
        wait_until(lambda: all(scraping.query(one.filled(**short)) == [] for one in stats), 20, "no zeros")
