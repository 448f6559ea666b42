"""Turns a look at Redis into gauges. What is gone from Redis is gone from the scrape: no ghosts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from limelight.inspection import QueueView, ServerView

from . import catalog
from .exposition import Exposition

SERIES_LIMIT: Final = 200
"""Consumers, and periodic tasks, that are shown per queue."""


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
    for periodic in view.periodic[:SERIES_LIMIT]:
        _at(exposition, catalog.PERIODIC_SUCCESS, (view.name, periodic.name), periodic.success)
        _at(exposition, catalog.PERIODIC_NEXT, (view.name, periodic.name), periodic.next)
    _consumers(exposition, view)


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


def _at(exposition: Exposition, metric: str, labels: tuple[str, ...], seconds: float | None) -> None:
    if seconds is not None:
        exposition.add(metric, labels, seconds)
