"""A flood: a million events lie on the stream when the exporter starts, and 20,000 more come every second.

It must work them off, answer every scrape and every probe meanwhile, and lose nothing. All three processes share the
machine; how many events really came every second is in the table.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from exporter import telling
from exporter.running import Answer, Running

from limelight.embedded import EmbeddedRedis
from queues.processes import Failed

BACKLOG = 1_000_000
RATE = 20_000
_SCRAPES_EVERY_SECONDS = 1.0
_PATIENCE_SECONDS = 600.0


@dataclass(slots=True)
class _Watch:
    """What the exporter said while it was flooded."""

    ready: list[Answer] = field(default_factory=list)
    scrapes: list[Answer] = field(default_factory=list)
    ready_after: float = 0.0
    current_after: float = 0.0


def measure(backlog: int = BACKLOG, rate: int = RATE, seconds: float = 60.0) -> dict[str, float]:
    """One round: a backlog, and then events at a rate for so long."""
    with tempfile.TemporaryDirectory("-bench") as folder, EmbeddedRedis() as server:
        queue = telling.queue_at(server.url)
        client, meta = queue.storage.address.client(), queue.keys["meta"]
        telling.tell(server.url, backlog // telling.EVENTS_PER_TASK)
        more = int(rate * seconds) // telling.EVENTS_PER_TASK
        at_first = int(client.hget(meta, "seq") or 0)
        with Running(server.url, Path(folder), "flooded") as exporter:
            began = time.monotonic()
            flood = telling.begin_to_tell(server.url, more, rate)
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
    """Probe and scrape until the flood is over and worked off."""
    watch, scraped = _Watch(), 0.0
    while exporter.get("/-/healthy").status != 200:
        exporter.check()
    while not (ended() is not None and watch.current_after and watch.ready_after):
        exporter.check()
        passed = time.monotonic() - began
        if passed > _PATIENCE_SECONDS:
            raise Failed("the flood was not worked off")
        watch.ready.append(exporter.get("/-/ready"))
        if watch.ready[-1].status == 200:
            watch.ready_after = watch.ready_after or passed
        if passed - scraped > _SCRAPES_EVERY_SECONDS:
            scraped = passed
            watch.scrapes.append(exporter.get("/metrics"))
            if _is_current(watch.scrapes[-1].text):
                watch.current_after = watch.current_after or passed
        time.sleep(0.05)
    return watch


def _is_current(page: str) -> bool:
    lines = [line for line in page.splitlines() if line.startswith("limelight_exporter_queue_current{")]
    return any(line.endswith(" 1.0") for line in lines)
