"""Turns a look at Redis into gauges. What is gone from Redis is gone from the scrape: no ghosts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from limelight.inspection import Consumer, QueueView, ServerView

from . import catalog
from .exposition import Exposition

SERIES_LIMIT: Final = 200
"""Consumers, and periodic tasks, that are shown per queue, and hosts in all."""
_MOST_SKEW_SECONDS: Final = 86_400.0


def server_gauges(exposition: Exposition, server: ServerView) -> None:
    """Add what is known about a Redis server."""
    exposition.add(catalog.MEMORY_USED, (server.address,), server.memory_used)
    exposition.add(catalog.MEMORY_MAX, (server.address,), server.memory_max)
    exposition.add(catalog.EVICTION_SAFE, (server.address,), int(server.eviction_safe))


def queue_gauges(exposition: Exposition, view: QueueView) -> None:
    """Add one queue's gauges."""
    for state, count in _states(view):
        exposition.add(catalog.QUEUE_TASKS, (view.name, state), count)
    exposition.add(catalog.INDEX_MISMATCH, (view.name,), view.mismatch)
    _at(exposition, catalog.OLDEST_READY, (view.name,), view.oldest_ready)
    _at(exposition, catalog.OLDEST_RUNNING, (view.name,), view.oldest_running)
    _at(exposition, catalog.OLDEST_DUE, (view.name,), view.oldest_due)
    _at(exposition, catalog.SCHEDULER_CHECK, (view.name,), view.last_check)
    exposition.add(catalog.PAUSED, (view.name,), int(view.paused is not None))
    exposition.add(catalog.LOCKS, (view.name,), view.locks)
    for periodic in view.periodic[:SERIES_LIMIT]:
        labels = (view.name, periodic.name)
        _at(exposition, catalog.PERIODIC_SUCCESS, labels, periodic.success)
        _at(exposition, catalog.PERIODIC_NEXT, labels, periodic.next)
        _at(exposition, catalog.PERIODIC_UNMET, labels, periodic.unmet)
        _at(exposition, catalog.PERIODIC_GRACE, labels, periodic.grace)
    _consumers(exposition, view)


def clock_gauges(exposition: Exposition, views: Iterable[QueueView]) -> None:
    """Add how far each host's clock is off, by the newest heartbeat that came from it."""
    newest: dict[str, Consumer] = {}
    for consumer in (one for view in views for one in view.consumers if one.clock is not None):
        if consumer.host not in newest or newest[consumer.host].seen_at < consumer.seen_at:
            newest[consumer.host] = consumer
    for host, consumer in sorted(newest.items())[:SERIES_LIMIT]:
        skew = (consumer.clock or 0.0) - consumer.seen_at
        exposition.add(catalog.CLOCK_SKEW, (host,), max(-_MOST_SKEW_SECONDS, min(skew, _MOST_SKEW_SECONDS)))


def _states(view: QueueView) -> Sequence[tuple[str, int]]:
    return (
        ("ready", view.ready),
        ("scheduled", view.scheduled),
        ("running", view.running),
        ("dead", view.dead),
    )


def _consumers(exposition: Exposition, view: QueueView) -> None:
    alive = [consumer for consumer in view.consumers if consumer.alive(view.now)]
    busy = sum(min(consumer.busy, consumer.workers) for consumer in alive)
    exposition.add(catalog.WORKERS, (view.name, "busy"), busy)
    exposition.add(catalog.WORKERS, (view.name, "idle"), sum(consumer.workers for consumer in alive) - busy)
    for consumer in view.consumers[:SERIES_LIMIT]:
        exposition.add(catalog.CONSUMER_INFO, (view.name, consumer.id, consumer.host, consumer.version), 1)
        exposition.add(catalog.HEARTBEAT, (view.name, consumer.id), consumer.seen_at)
        exposition.add(catalog.ABANDONED, (view.name, consumer.id), consumer.abandoned)


def _at(exposition: Exposition, metric: str, labels: tuple[str, ...], seconds: float | None) -> None:
    if seconds is not None:
        exposition.add(metric, labels, seconds)
