"""Faults of exporters, Redis, clocks and the collector."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Final

from chaos.clock import faketime_library
from servers import wait_until

from limelight.keys import QueueKeys
from limelight_exporter.config import DEFAULT_GROUP

from .fault import Fault, expected
from .stage import Site, Stage, repeating, stop

_STORAGE: Final = "limelight-storage"
_PIPELINE: Final = "limelight-pipeline"
_LARGE: Final = 10_000_000_000
_NEARLY: Final = 1.02
_SKEW_SECONDS: Final = 30


@contextlib.contextmanager
def malformed(stage: Stage) -> Iterator[None]:
    """Write what is no event into a stream."""
    key = QueueKeys("mended")["events"]
    with repeating(lambda: stage.main.client.xadd(key, {"e": "no event"}), 0.5):
        yield


@contextlib.contextmanager
def crowded(stage: Stage) -> Iterator[None]:
    """Enqueue tasks of more names than the exporter keeps."""
    queues = stage.main.queues
    with repeating(queues.crowd, 1.0):
        yield
    queues.crowded.flush()


@contextlib.contextmanager
def collector_down(stage: Stage) -> Iterator[None]:
    """Stop the collector."""
    stage.collector.stop()
    yield
    stage.collector.start()


@contextlib.contextmanager
def wrong_web_config(stage: Stage) -> Iterator[None]:
    """Break the web configuration of an exporter that runs."""
    stage.web_config.write_text("basic_auth_users: 7\n")
    yield
    stage.web_config.write_text("{}\n")


@contextlib.contextmanager
def one_exporter_down(stage: Stage) -> Iterator[None]:
    """Kill one exporter of two."""
    stage.main.actors["b"].kill()
    yield
    stage.main.actors["b"].start()


@contextlib.contextmanager
def unsafe_policy(stage: Stage) -> Iterator[None]:
    """Have Redis drop keys when it is full."""
    client = stage.storage.client
    client.config_set("maxmemory", _LARGE)
    client.config_set("maxmemory-policy", "allkeys-lru")
    yield
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", 0)


@contextlib.contextmanager
def nearly_full(stage: Stage) -> Iterator[None]:
    """Leave Redis two per cent of room."""
    client = stage.storage.client
    client.config_set("maxmemory", int(client.info("memory")["used_memory"] * _NEARLY))
    yield
    client.config_set("maxmemory", 0)


@contextlib.contextmanager
def wrong_clock(stage: Stage) -> Iterator[None]:
    """Start a consumer whose clock is half a minute ahead."""
    moved = {
        "LD_PRELOAD": str(faketime_library()),
        "FAKETIME": f"+{_SKEW_SECONDS}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    stage.storage.consumer("skewed", "paused", workers=1, **moved)
    yield
    stop(stage.storage, "skewed")


@contextlib.contextmanager
def redis_down(stage: Stage) -> Iterator[None]:
    """Kill Redis."""
    stage.storage.server.kill()
    yield
    stage.storage.server.start()


@contextlib.contextmanager
def rolled_back(stage: Stage) -> Iterator[None]:
    """Restart a Redis that keeps nothing, and go on as if nothing had been."""
    site = stage.storage
    tell(stage, site, 5)
    site.server.kill()
    site.server.start()
    site.queues.nobody.enqueue(site.queues.waits.s())
    yield
    site.queues.nobody.flush()


@contextlib.contextmanager
def exporter_down(stage: Stage) -> Iterator[None]:
    """Kill the only exporter of a Redis."""
    stage.pipeline.actors["a"].kill()
    yield
    stage.pipeline.actors["a"].start()


@contextlib.contextmanager
def trimmed(stage: Stage) -> Iterator[None]:
    """Trim a stream before the exporter has read it."""
    site = stage.pipeline
    tell(stage, site, 5)
    stop(site, "a")
    for _ in range(20):
        site.queues.nobody.enqueue(site.queues.waits.s())
    site.client.xtrim(QueueKeys("nobody")["events"], maxlen=3, approximate=False)
    site.actors["a"].start()
    yield


@contextlib.contextmanager
def spoilt(stage: Stage) -> Iterator[None]:
    """Spoil what the exporter saved."""
    site = stage.pipeline
    tell(stage, site, 5)
    stop(site, "a")
    site.client.set(QueueKeys("nobody").snapshot(DEFAULT_GROUP), b"spoilt")
    site.actors["a"].start()
    yield


@contextlib.contextmanager
def unmonitored(stage: Stage) -> Iterator[None]:
    """Have the exporter leave a queue out that has tasks."""
    site = stage.pipeline
    tell(stage, site, 5)
    reconfigure(stage, "queues: {exclude: [nobody]}")
    yield
    reconfigure(stage, "{}")


@contextlib.contextmanager
def left_out(stage: Stage) -> Iterator[None]:
    """Have more queues than the exporter serves."""
    site = stage.pipeline
    site.queues.mended.enqueue(site.queues.strays.s())
    reconfigure(stage, "limits: {queues: 1}")
    yield
    reconfigure(stage, "{}")
    site.queues.mended.flush()


@contextlib.contextmanager
def absent(stage: Stage) -> Iterator[None]:
    """Take the exporter from Prometheus' targets."""
    stage.scrape(stage.pipeline, [])
    yield
    stage.scrape(stage.pipeline, list(stage.pipeline.targets.values()))


def tell(stage: Stage, site: Site, count: int) -> None:
    """Have some events told, and Prometheus see that the exporter has read them."""
    for _ in range(count):
        site.queues.nobody.enqueue(site.queues.waits.s())
    seen = (
        f'timestamp(limelight_exporter_queue_current{{job="{site.job}",queue="nobody"}} == 1) > {time.time()}'
    )
    wait_until(lambda: stage.prometheus.query(seen), 40, f"{site.job} is read")


def reconfigure(stage: Stage, settings: str) -> None:
    """Restart the exporter of the pipeline with this file."""
    stage.chosen.write_text(f"{settings}\n")
    stop(stage.pipeline, "a")
    stage.pipeline.actors["a"].start()


MAIN_FAULTS: Final = (
    Fault(
        what="malformed events",
        strike=malformed,
        alerts=[expected("MalformedEvents", queue="mended", reason="undecodable")],
    ),
    Fault(
        what="too many task names",
        strike=crowded,
        alerts=[expected("SeriesOverflow", queue="crowded", metric="limelight_tasks_enqueued_total")],
    ),
    Fault(
        what="the collector is down",
        strike=collector_down,
        alerts=[
            expected("SpanExportFailing", effect="delayed"),
            expected("SpanLag"),
            expected("RetentionHalfUsed"),
        ],
    ),
    Fault(what="a wrong web configuration", strike=wrong_web_config, alerts=[expected("WebConfigRefused")]),
    Fault(
        what="one exporter of two is killed",
        strike=one_exporter_down,
        alerts=[expected("ExporterDown", severity="warning")],
    ),
)
STORAGE_FAULTS: Final = (
    Fault(
        what="Redis may drop keys",
        strike=unsafe_policy,
        alerts=[expected("RedisEvictionUnsafe", _STORAGE)],
    ),
    Fault(
        what="Redis is nearly full",
        strike=nearly_full,
        alerts=[
            expected("RedisMemoryNearlyFull", _STORAGE, severity="warning"),
            expected("RedisMemoryNearlyFull", _STORAGE, severity="critical"),
        ],
    ),
    Fault(
        what="a clock is 30 s ahead",
        strike=wrong_clock,
        alerts=[expected("ClockSkew", _STORAGE)],
        may_be_missing=True,
    ),
    Fault(
        what="Redis is killed",
        strike=redis_down,
        alerts=[
            expected("RedisDown", _STORAGE, severity="critical"),
            expected("RedisDown", _STORAGE, severity="warning"),
            expected("CollectorFailing", _STORAGE, collector="queues"),
        ],
    ),
    Fault(
        what="Redis goes back in time",
        strike=rolled_back,
        alerts=[expected("StreamRolledBack", _STORAGE, queue="nobody")],
    ),
)
PIPELINE_FAULTS: Final = (
    Fault(
        what="the only exporter is killed",
        strike=exporter_down,
        alerts=[expected("ExporterDown", _PIPELINE, severity="critical")],
    ),
    Fault(
        what="a stream is trimmed unread",
        strike=trimmed,
        alerts=[expected("EventsLost", _PIPELINE, queue="nobody")],
    ),
    Fault(
        what="a snapshot is spoilt",
        strike=spoilt,
        alerts=[expected("SnapshotSetAside", _PIPELINE, queue="nobody")],
    ),
    Fault(
        what="a queue is watched no longer",
        strike=unmonitored,
        alerts=[expected("QueueUnmonitored", _PIPELINE, queue="nobody")],
    ),
    Fault(what="too many queues", strike=left_out, alerts=[expected("QueuesLeftOut", _PIPELINE)]),
    Fault(what="the target is gone", strike=absent, alerts=[expected("ExporterAbsent", _PIPELINE)]),
)
