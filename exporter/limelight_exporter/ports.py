"""What the exporter's parts ask of each other, so that a four-line double can stand in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from .ops import SpanRecord


class SpanSink(Protocol):
    """Takes spans to a collector."""

    def export(self, spans: Sequence[SpanRecord]) -> bool:
        """True when the batch is done (accepted, or refused for good and counted); False to send it again."""

    def close(self) -> None:
        """Give up what is under way; `export` answers False from now on."""


class Tally(Protocol):
    """Counts what the exporter itself does."""

    def add(self, metric: str, labels: tuple[str, ...] = (), amount: float = 1) -> None:
        """Raise a counter of the catalogue."""

    def set(self, metric: str, labels: tuple[str, ...], value: float) -> None:
        """Set a gauge of the catalogue."""


class Pages(Protocol):
    """What the web server shows; every method may be called from any thread, and none raises."""

    def metrics(self, accept: str, budget_seconds: float) -> tuple[bytes, str]:
        """The exposition and its content type, within the time given."""

    def unready(self) -> Sequence[str]:
        """Why the exporter is not ready, one sentence each; empty when it is."""

    def facts(self) -> Iterable[tuple[str, str]]:
        """Names and values for the landing page."""
