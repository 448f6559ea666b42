"""One scrape: look at Redis, wait for the fold to get there, render. It always answers, and in time."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import Final

from limelight.errors import ConfigurationError, LimelightError
from limelight.inspection import QueueView, ServerView, queue_view, server_view
from limelight.keys import REGISTRY, QueueKeys

from . import __version__, catalog
from .config import Settings
from .connection import NO_ANSWER, connect, exported_queues
from .exposition import Exposition, Renderer
from .gauges import queue_gauges, server_gauges
from .metrics_pipeline import MetricsPipeline
from .pubsub_source import Subscriptions
from .queue_fold import QueueFold
from .tally import OwnTally

_RENDERING_SHARE: Final = 0.2
"""Part of the time budget that is kept for rendering."""
_LOOKS_AT_ONCE: Final = 4
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Look:
    """What Redis answered: all of it, some of it, or nothing."""

    servers: dict[str, ServerView] = field(default_factory=dict)
    queues: dict[str, QueueView] = field(default_factory=dict)
    complete: bool = False


class Scrape:
    """Serves the pages of the web server from the pipelines' state.

    Args:
        settings: Where Redis is.
        pipeline: Folds the streams.
        subscriptions: Hear what is told without a stream.
        tally: What the exporter counts about itself.
        tracing: Whether spans are exported, for the landing page.
    """

    def __init__(
        self,
        settings: Settings,
        pipeline: MetricsPipeline,
        subscriptions: Subscriptions,
        tally: OwnTally,
        *,
        tracing: bool,
    ) -> None:
        self._links = connect(settings)
        self._settings = settings
        self._pipeline = pipeline
        self._subscriptions = subscriptions
        self._tally = tally
        self._tracing = tracing
        self._renderer = Renderer()
        self._lookers = ThreadPoolExecutor(_LOOKS_AT_ONCE, thread_name_prefix="limelight-scrape")

    def close(self) -> None:
        """Stop looking; a look under way ends by its own time-out."""
        self._lookers.shutdown(wait=False, cancel_futures=True)
        self._links.close()

    def metrics(self, accept: str, budget_seconds: float) -> tuple[bytes, str]:
        """The exposition and its content type, within the time given."""
        exposition, began = Exposition(self._settings.file.buckets), time.monotonic()
        deadline = began + budget_seconds * (1 - _RENDERING_SHARE)
        look = self._look(deadline)
        looked = time.monotonic()
        self._show_lag(exposition, look)
        self._pipeline.wait_for(
            {name: (view.epoch or "-", view.seq) for name, view in look.queues.items()}, deadline
        )
        self._show_redis(exposition, look, looked - began)
        self._show_events(exposition, look, looked)
        self._subscriptions.collect(exposition, self._pipeline.folds)
        self._show_exporter(exposition)
        return self._renderer.render(exposition, accept)

    def unready(self) -> Sequence[str]:
        """Why the exporter is not ready, one sentence each; empty when it is."""
        if trouble := self._pipeline.trouble:
            return [f"{trouble}."]
        if self._pipeline.replayed:
            return self._subscriptions.unready()
        behind = [name for name, fold in self._pipeline.folds.items() if not fold.caught_up]
        return [f"Reading what queue {name} told before." for name in behind] or ["Looking for queues."]

    def facts(self) -> Iterable[tuple[str, str]]:
        """Names and values for the landing page."""
        unready = self.unready()
        yield "Version", __version__
        yield "State", " ".join(unready) if unready else "Ready"
        yield "Redis", self._settings.redis_address
        yield "Exporter group", self._settings.group
        yield "Queues", ", ".join(self._pipeline.folds) or "none found yet"
        if self._settings.pubsub:
            yield "Channels", ", ".join(self._settings.pubsub)
        yield "Traces", "exported by OTLP" if self._tracing else "off: no OTLP endpoint is set"

    def _look(self, deadline: float) -> _Look:
        """Look at Redis from another thread, so that one that hangs cannot hold the scrape."""
        look = _Look()
        try:
            self._lookers.submit(self._fill, look).result(max(0.0, deadline - time.monotonic()))
        except FutureTimeoutError:
            _log.warning("Redis at %s took longer than this scrape may", self._settings.redis_address)
            return _Look(look.servers, dict(look.queues))
        except LimelightError as error:
            _log.debug("scrape without Redis: %s", error)
        except Exception:
            _log.exception("a fault in the look at Redis; this scrape goes without")
        return look

    def _fill(self, look: _Look) -> None:
        servers: dict[str, ServerView] = {}
        complete = True
        names = set(self._pipeline.folds)
        try:
            names.update(exported_queues(self._links, self._settings))
            self._look_at_server(REGISTRY, servers)
        except NO_ANSWER:
            if not self._links.address.is_cluster:
                raise
            complete = False
        for name in sorted(names):
            try:
                look.queues[name] = queue_view(self._links, name)
                self._look_at_server(QueueKeys(name)["meta"], servers)
            except ConfigurationError:
                continue
            except Exception as error:
                if isinstance(error, NO_ANSWER) and not self._links.address.is_cluster:
                    raise
                complete = False
                _log.warning("queue %s cannot be inspected: %s", name, error)
        look.servers, look.complete = servers, complete

    def _look_at_server(self, key: str, servers: dict[str, ServerView]) -> None:
        """Look at each server once: a Cluster has several."""
        if self._links.to(key).server not in servers:
            server = server_view(self._links, key)
            servers[server.address] = server

    def _show_lag(self, exposition: Exposition, look: _Look) -> None:
        folds = self._pipeline.folds
        for name, view in look.queues.items():
            position = folds[name].position if name in folds else None
            known = position is not None and position.epoch == view.epoch
            folded = position.seq if position is not None and known else 0
            behind = max(0, view.seq - folded)
            exposition.add(catalog.LAG_EVENTS, (name,), behind)
            since = position.id if position is not None and known else "0-0"
            exposition.add(catalog.LAG_SECONDS, (name,), _seconds_between(since, view) if behind else 0)

    def _show_redis(self, exposition: Exposition, look: _Look, seconds: float) -> None:
        address = self._settings.redis_address
        exposition.add(catalog.REDIS_UP, (address,), int(bool(look.servers)))
        _show_collector(exposition, "redis", seconds, success=look.complete)
        if not look.servers:
            return
        for server in look.servers.values():
            server_gauges(exposition, server)
        for view in look.queues.values():
            queue_gauges(exposition, view)

    def _show_events(self, exposition: Exposition, look: _Look, began: float) -> None:
        folds = self._pipeline.folds
        all_current = bool(look.servers)
        for name in sorted({*folds, *look.queues}):
            current = _is_current(folds.get(name), look.queues.get(name))
            all_current &= current
            exposition.add(catalog.QUEUE_CURRENT, (name,), int(current))
            if name in folds:
                folds[name].state.collect(exposition, current=current)
                if (saved_at := folds[name].saved_at) is not None:
                    exposition.add(catalog.SNAPSHOT_TIME, (name,), saved_at)
        exposition.add(catalog.SERIES, (), sum(fold.state.series for fold in folds.values()))
        _show_collector(exposition, "events", time.monotonic() - began, success=all_current)

    def _show_exporter(self, exposition: Exposition) -> None:
        exposition.add(catalog.BUILD_INFO, (__version__,), 1)
        exposition.add(catalog.READY, (), int(not self.unready()))
        self._tally.collect(exposition)


def _is_current(fold: QueueFold | None, view: QueueView | None) -> bool:
    return fold is not None and view is not None and fold.reaches(view.epoch or "-", view.seq)


def _seconds_between(folded_id: str, view: QueueView) -> float:
    """Stream ids begin with milliseconds; from the very beginning it is the age of all there is: unknown, 0."""
    folded, newest = (int(stream_id.partition("-")[0]) for stream_id in (folded_id, view.last_event_id))
    return max(0, newest - folded) / 1_000 if folded else 0.0


def _show_collector(exposition: Exposition, name: str, seconds: float, *, success: bool) -> None:
    exposition.add(catalog.COLLECTOR_SECONDS, (name,), seconds)
    exposition.add(catalog.COLLECTOR_SUCCESS, (name,), int(success))
