"""One scrape: look at Redis, wait for the fold to get there, render. It always answers, and in time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import Final

from limelight.errors import LimelightError
from limelight.inspection import QueueView, ServerView, queue_views, server_view
from limelight.keys import REGISTRY, QueueKeys

from . import __version__, catalog
from .attendance import AWAY_HOURS
from .config import Settings
from .connection import NO_ANSWER, connect, exported_queues
from .exposition import Exposition, Renderer
from .gauges import clock_gauges, queue_gauges, server_gauges
from .joint_work import JointWork
from .metrics_pipeline import MetricsPipeline
from .pubsub_source import Subscriptions
from .queue_fold import QueueFold
from .stream_source import Position
from .tally import OwnTally

_RENDERING_SHARE: Final = 0.2
"""Part of the time budget that is kept for rendering."""
_LOOKING_SHARE: Final = 0.5
"""Part of it after which the gauges are left out, and what is left is the fold's."""
_LOOKS_AT_ONCE: Final = 8
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Look:
    """What Redis answered: all of it, some of it, or nothing.

    Attributes:
        gone: Queues that are not shown.
        collectors: Of each part of the look, how long it took in seconds and whether it succeeded.
    """

    servers: dict[str, ServerView] = field(default_factory=dict)
    queues: dict[str, QueueView] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    collectors: dict[str, tuple[float, bool]] = field(default_factory=dict)

    def as_it_is(self) -> _Look:
        """A copy that a part which comes too late adds nothing to."""
        return _Look(dict(self.servers), dict(self.queues), set(self.gone), self.collectors)


class Scrape:
    """Serves the pages of the web server from the pipelines' state.

    Args:
        settings: Where Redis is.
        pipeline: Folds the streams.
        subscriptions: Hear what is told without a stream.
        tally: What the exporter counts about itself.
        tracing: Whether spans are exported, for the landing page.
        onlooker: Is shown the gauges of each look, for the live page.
    """

    def __init__(
        self,
        settings: Settings,
        pipeline: MetricsPipeline,
        subscriptions: Subscriptions,
        tally: OwnTally,
        *,
        tracing: bool,
        onlooker: Callable[[Mapping[str, QueueView]], None] | None = None,
    ) -> None:
        self._onlooker = onlooker
        self._links = connect(settings)
        self._settings = settings
        self._pipeline = pipeline
        self._subscriptions = subscriptions
        self._tally = tally
        self._tracing = tracing
        self._renderer = Renderer()
        self._joint = JointWork(self._answer)
        self._lookers = ThreadPoolExecutor(_LOOKS_AT_ONCE, thread_name_prefix="limelight-scrape")

    def close(self) -> None:
        """Stop looking; a look under way ends by its own time-out."""
        self._lookers.shutdown(wait=False, cancel_futures=True)
        self._links.close()

    def metrics(self, accept: str, budget_seconds: float) -> tuple[bytes, str]:
        """The exposition and its content type, within the time given; those who ask together share one."""
        return self._joint.ask(accept, time.monotonic() + budget_seconds)

    def _answer(self, accept: str, deadline: float) -> tuple[bytes, str]:
        return self._renderer.render(self.gather(deadline), accept)

    def gather(self, deadline: float) -> Exposition:
        """All that there is to serve; by the deadline (monotonic seconds), or without what came too late."""
        exposition, began = Exposition(self._settings.file.buckets), time.monotonic()
        budget = max(0.0, deadline - began)
        look = self._look(began + budget * _LOOKING_SHARE)
        looked = time.monotonic()
        if self._onlooker is not None:
            self._onlooker(look.queues)
        self._show_lag(exposition, look)
        self._pipeline.wait_for(
            {name: (view.epoch or "-", view.seq) for name, view in look.queues.items()},
            began + budget * (1 - _RENDERING_SHARE),
        )
        self._show_redis(exposition, look)
        self._show_events(exposition, look, looked)
        self._subscriptions.collect(exposition, self._pipeline.folds)
        self._show_exporter(exposition)
        return exposition

    def unready(self) -> Sequence[str]:
        """Why the exporter is not ready, one sentence each; empty when it is."""
        if trouble := self._pipeline.trouble:
            return [f"{trouble}."]
        if self._pipeline.replayed:
            return self._subscriptions.unready()
        behind = [fold for fold in self._pipeline.folds.values() if not fold.caught_up]
        return [_progress(fold) for fold in behind] or ["Looking for queues."]

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
        """Look at Redis from other threads, so that one that hangs cannot hold the scrape."""
        look = _Look()
        parts = {"server": self._look_at_servers, "queues": self._look_at_queues}
        began = time.monotonic()
        looking = {name: self._lookers.submit(part, look) for name, part in parts.items()}
        for name, future in looking.items():
            succeeded = self._ends_well(future, deadline)
            look.collectors[name] = (time.monotonic() - began, succeeded)
        return look.as_it_is()

    def _ends_well(self, looking: Future[bool], deadline: float) -> bool:
        try:
            return looking.result(max(0.0, deadline - time.monotonic()))
        except FutureTimeoutError:
            looking.cancel()  # if it waits for another that hangs; or the next scrapes would wait for it
            _log.warning("Redis at %s took longer than this scrape may", self._settings.redis_address)
        except LimelightError as error:
            _log.debug("scrape without Redis: %s", error)
        except Exception:
            _log.exception("a fault in the look at Redis; this scrape goes without")
        return False

    def _look_at_servers(self, look: _Look) -> bool:
        """Look at each server once: a Cluster has several. False if one is away and others are not."""
        complete = True
        for key in (REGISTRY, *(QueueKeys(name)["meta"] for name in sorted(self._pipeline.folds))):
            try:
                self._look_at_server(key, look.servers)
            except NO_ANSWER:
                if not self._links.address.is_cluster:
                    raise
                complete = False
        return complete

    def _look_at_queues(self, look: _Look) -> bool:
        """Look at every queue; False if not all could be seen."""
        names, complete = set(self._pipeline.folds), True
        try:
            names.update(exported_queues(self._links, self._settings))
        except NO_ANSWER:
            if not self._links.address.is_cluster:
                raise
            complete = False
        for name, view in queue_views(self._links, sorted(names)):
            if isinstance(view, QueueView):
                self._note(look, view)
            elif isinstance(view, NO_ANSWER) and not self._links.address.is_cluster:
                raise view
            else:
                complete = False
                _log.warning("queue %s cannot be inspected: %s", name, view)
        return complete

    def _note(self, look: _Look, view: QueueView) -> None:
        fold = self._pipeline.folds.get(view.name)
        if _is_gone(view, fold.position if fold else None):
            look.gone.add(view.name)
        else:
            look.queues[view.name] = view

    def _look_at_server(self, key: str, servers: dict[str, ServerView]) -> None:
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

    def _show_redis(self, exposition: Exposition, look: _Look) -> None:
        address = self._settings.redis_address
        exposition.add(catalog.REDIS_UP, (address,), int(bool(look.servers)))
        for name, (seconds, succeeded) in look.collectors.items():
            _show_collector(exposition, name, seconds, success=succeeded)
        for server in look.servers.values():
            server_gauges(exposition, server)
        for view in look.queues.values():
            queue_gauges(exposition, view)
        clock_gauges(exposition, look.queues.values())

    def _show_events(self, exposition: Exposition, look: _Look, began: float) -> None:
        folds = self._pipeline.folds
        all_current = bool(look.servers)
        for name in sorted({*folds, *look.queues} - look.gone):
            current = name in folds and _collect(folds[name], look.queues.get(name), exposition)
            all_current &= current
            exposition.add(catalog.QUEUE_CURRENT, (name,), int(current))
            if name in folds:
                _show_group(folds[name], exposition)
        exposition.add(catalog.SERIES, (), sum(fold.state.series for fold in folds.values()))
        _show_collector(exposition, "events", time.monotonic() - began, success=all_current)

    def _show_exporter(self, exposition: Exposition) -> None:
        exposition.add(catalog.BUILD_INFO, (__version__,), 1)
        exposition.add(catalog.READY, (), int(not self.unready()))
        self._tally.collect(exposition)


def _collect(fold: QueueFold, view: QueueView | None, exposition: Exposition) -> bool:
    """Add a queue's series; False if those from events were left out."""
    if view is None:
        fold.state.collect(exposition, current=False)
        return False
    return fold.collect(exposition, view.epoch or "-", view.seq)


def _progress(fold: QueueFold) -> str:
    """How far a queue is that is still being caught up with."""
    left = f": {fold.to_catch_up:,} events to go" if fold.loaded else ""
    return f"Reading what queue {fold.queue} told before{left}."


def _show_group(fold: QueueFold, exposition: Exposition) -> None:
    exposition.add(catalog.GROUP_AGREES, (fold.queue,), int(not fold.differs))
    if fold.saved_at is not None:
        exposition.add(catalog.SNAPSHOT_TIME, (fold.queue,), fold.saved_at)


def _is_gone(view: QueueView, position: Position | None) -> bool:
    """Whether a queue holds nothing, nobody works on it and nothing was told of it for a week."""
    if view.records or view.consumers:
        return False
    newest = max(_milliseconds(view.last_event_id), _milliseconds(position.id if position else "0-0"))
    return 0 < newest < (view.now - AWAY_HOURS * 3_600) * 1_000


def _milliseconds(stream_id: str) -> int:
    """Stream ids begin with milliseconds."""
    return int(stream_id.partition("-")[0])


def _seconds_between(folded_id: str, view: QueueView) -> float:
    """Stream ids begin with milliseconds; from the very beginning it is the age of all there is: unknown, 0."""
    folded, newest = _milliseconds(folded_id), _milliseconds(view.last_event_id)
    return max(0, newest - folded) / 1_000 if folded else 0.0


def _show_collector(exposition: Exposition, name: str, seconds: float, *, success: bool) -> None:
    exposition.add(catalog.COLLECTOR_SECONDS, (name,), seconds)
    exposition.add(catalog.COLLECTOR_SUCCESS, (name,), int(success))
