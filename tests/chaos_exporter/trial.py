"""One run from beginning to end: play, drain, gather the evidence."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from chaos.ledger import facts
from chaos.totals import EXACT, Key
from exporters import Scraped
from servers import wait_until

from .stage import EXPORTERS, Stage
from .target import QUEUE_NAME
from .verdict import Evidence, Samples

DRAIN_SECONDS: Final = 120.0
_READY_SECONDS: Final = 30.0


def run(stage: Stage, told: Callable[[str], None]) -> Evidence:
    """Play the plan, then see how it ends."""
    stage.play(told)
    stage.wait(lambda: stage.reader.left == 0, DRAIN_SECONDS)
    problems = [
        f"{name} did not serve all at the end"
        for name in EXPORTERS
        if not stage.wait(lambda name=name: stage.is_ready(name) and stage.is_current(name), _READY_SECONDS)
    ]
    left = stage.reader.left
    for name in ("consumer 1", "consumer 2"):
        stage.actors[name].kill()  # so that nothing is told any more
    stage.reader.stop()
    served = {
        name: Scraped(stage.urls[name]).counters() | own(Scraped(stage.urls[name])) for name in EXPORTERS
    }
    return Evidence(
        noted=facts(stage.ledger),
        events=stage.reader.events,
        gaps=stage.gaps,
        rollbacks=stage.rollbacks,
        served=served,
        scraped={name: samples(stage, name) for name in EXPORTERS},
        left=left,
        problems=[*problems, *stage.log_problems()],
    )


def own(scraped: Scraped) -> dict[Key, float]:
    """What an exporter counts about the queue's stream."""
    return {key: value for key, value in scraped.samples.items() if key[0] in EXACT}


def samples(stage: Stage, exporter: str) -> list[Samples]:
    """Prometheus' raw samples, from before the first task until two scrapes after the last."""
    instance = stage.urls[exporter].removeprefix("http://")
    ended = time.time()
    current = f'timestamp(limelight_exporter_queue_current{{instance="{instance}"}} == 1)'
    wait_until(lambda: (stage.prometheus.value(current) or 0) > ended + 1, 30, "a last scrape")
    seconds = int(time.time() - stage.began) + 5
    which = (
        f'{{instance="{instance}",queue="{QUEUE_NAME}",__name__=~"limelight_.+_(total|count|sum|bucket)"}}'
    )
    resets = {
        key_of(one["metric"]): float(one["value"][1])
        for name in sorted({key[0] for key in Scraped(stage.urls[exporter]).counters()})
        for one in stage.prometheus.query(
            f'label_replace(resets({name}{{instance="{instance}"}}[{seconds}s]), "metric_name", "{name}", "", "")'
        )
    }
    return [
        Samples(key, [float(value) for _, value in one["values"]], resets.get(key, 0.0))
        for one in stage.prometheus.query(f"{which}[{seconds}s]")
        for key in [key_of(one["metric"])]
    ]


def key_of(metric: dict[str, str]) -> Key:
    """The series as the exporter names it."""
    name = metric.get("__name__") or metric["metric_name"]
    added = {"__name__", "metric_name", "instance", "job"}
    return name, frozenset((label, value) for label, value in metric.items() if label not in added)
