"""A flood: a million events lie on the stream when the exporter starts, and 20,000 more come every second.

It must work them off, answer every scrape and every probe meanwhile, and lose nothing. All three processes share the
machine; how many events really came every second is in the table.
"""

import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from exporter import telling
from exporter.running import Answer, Running

from limelight.embedded import EmbeddedRedis
from queues.processes import poll

BACKLOG = 1_000_000
RATE = 20_000
_SCRAPES_EVERY_SECONDS = 1.0
_ON_TOP = 1.2
_PATIENCE_SECONDS = 600.0


@dataclass(slots=True)
class _Watch:
    """What the exporter said while it was flooded."""

    ready: list[Answer] = field(default_factory=list)
    scrapes: list[Answer] = field(default_factory=list)
    ready_after: float = 0.0
    current_after: float = 0.0


def measure(backlog: int = BACKLOG) -> dict[str, float]:
    """One round: a backlog, and then, while it is worked off, as many events again and a little more at the rate."""
    with tempfile.TemporaryDirectory("-bench") as folder, EmbeddedRedis() as server:
        queue = telling.queue_at(server.url)
        client, meta = queue.storage.address.client(), queue.keys["meta"]
        telling.tell(server.url, backlog // telling.EVENTS_PER_TASK)
        more = round(backlog * _ON_TOP) // telling.EVENTS_PER_TASK
        at_first = int(client.hget(meta, "seq") or 0)
        with Running(server.url, Path(folder), "flooded") as exporter:
            began = time.monotonic()
            flood = telling.begin_to_tell(server.url, more, RATE)
            watch = _watch(exporter, began, flood.poll)
            took = time.monotonic() - began
            told = int(client.hget(meta, "seq") or 0)
            counted = exporter.value("limelight_events_total")
            lost = exporter.value("limelight_exporter_events_lost_total")
    return {
        "events there at the start": at_first,
        "events per s on top": (told - at_first) / took,
        "until it is ready, s": watch.ready_after,
        "until a scrape holds everything told before it, s": watch.current_after,
        "slowest answer of /-/ready, ms": max(one.seconds for one in watch.ready) * 1_000,
        "answers of /-/ready that say how far it is": sum("to go" in one.text for one in watch.ready),
        "scrapes": len(watch.scrapes),
        "scrapes that were not answered": sum(one.status != 200 for one in watch.scrapes),
        "slowest scrape, s": max(one.seconds for one in watch.scrapes),
        "events counted ÷ told": counted / told,
        "events lost": lost,
    }


def _watch(exporter: Running, began: float, ended: Callable[[], int | None]) -> _Watch:
    """Probe, and scrape beside it, until the flood is over and worked off."""
    watch, stop = _Watch(), threading.Event()
    while exporter.get("/-/healthy").status != 200:
        exporter.check()
    with ThreadPoolExecutor(1) as pool:
        scraping = pool.submit(_scrape, exporter, began, watch, stop)
        try:
            _probe(exporter, began, watch, ended)
        finally:
            stop.set()
        scraping.result()
    return watch


def _probe(exporter: Running, began: float, watch: _Watch, ended: Callable[[], int | None]) -> None:
    for _ in poll(_PATIENCE_SECONDS, 0.05):
        exporter.check()
        answer = exporter.get("/-/ready")
        watch.ready.append(answer)
        if answer.status == 200 and not watch.ready_after:
            watch.ready_after = time.monotonic() - began
        if ended() is not None and watch.current_after and watch.ready_after:
            return


def _scrape(exporter: Running, began: float, watch: _Watch, stop: threading.Event) -> None:
    while not stop.wait(_SCRAPES_EVERY_SECONDS):
        answer = exporter.get("/metrics")
        watch.scrapes.append(answer)
        if _is_current(answer.text) and not watch.current_after:
            watch.current_after = time.monotonic() - began


def _is_current(page: str) -> bool:
    lines = [line for line in page.splitlines() if line.startswith("limelight_exporter_queue_current{")]
    return any(line.endswith(" 1.0") for line in lines)
