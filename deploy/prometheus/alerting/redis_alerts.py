"""Alerts on Redis, as far as the queues depend on it; redis_exporter knows more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from limelight_exporter import catalog

from .promql import newest
from .rule import Alert, Group
from .settings import Settings

_SERVER: Final = ("redis",)


def group(settings: Settings) -> Group:
    """All of them."""
    rules = [*_down(settings), _eviction(settings), *_memory(settings)]
    return Group(name="limelight.redis", rules=rules)


def _down(settings: Settings) -> Iterator[Alert]:
    yield Alert(
        name="RedisDown",
        expr=f"{newest(catalog.REDIS_UP, *_SERVER)} == 0",
        wait=settings.span("1m"),
        severity="critical",
        summary="Redis cannot be reached: nothing is enqueued and nothing begins.",
        description="No exporter of job {{ $labels.job }} reaches Redis at {{ $labels.redis }}.",
        dashboard="exporter",
    )
    yield Alert(
        name="RedisDown",
        expr=f"{newest(catalog.REDIS_UP, 'redis', 'instance')} == 0",
        wait=settings.span("1m"),
        severity="warning",
        summary="An exporter does not reach Redis.",
        description="{{ $labels.instance }} does not reach Redis at {{ $labels.redis }}.",
        dashboard="exporter",
    )


def _eviction(settings: Settings) -> Alert:
    return Alert(
        name="RedisEvictionUnsafe",
        expr=f"{newest(catalog.EVICTION_SAFE, *_SERVER, how='min')} == 0",
        wait=settings.span("5m"),
        severity="warning",
        summary="A full Redis would drop tasks.",
        description="Redis at {{ $labels.redis }} has a memory limit and a policy other than noeviction.",
        dashboard="overview",
    )


def _memory(settings: Settings) -> Iterator[Alert]:
    limits = settings.limits
    used, most = (newest(metric, *_SERVER) for metric in (catalog.MEMORY_USED, catalog.MEMORY_MAX))
    for severity, share in (
        ("warning", limits.short_of_memory_share),
        ("critical", limits.out_of_memory_share),
    ):
        yield Alert(
            name="RedisMemoryNearlyFull",
            expr=f"{used}\n/\n({most} > 0)\n> {share:g}",
            wait=settings.span("5m"),
            severity=severity,
            summary="Redis is nearly full; then it refuses tasks.",
            description="Redis at {{ $labels.redis }} uses {{ $value | humanizePercentage }} of its memory.",
            dashboard="overview",
        )
