"""What the exporter's parts ask of each other, so that a four-line double can stand in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from .ops import SpanRecord


class Delivery(NamedTuple):
    """What became of a batch of spans.

    Attributes:
        done: Accepted, or refused for good and counted; if not, it is to be sent again.
        said: Why not, as the collector said it.
        wait_seconds: How long it wants to be left alone, None if it did not say.
        everything: Whether another batch would fare no better.
    """

    done: bool
    said: str = ""
    wait_seconds: float | None = None
    everything: bool = False


DELIVERED: Final = Delivery(done=True)


class SpanSink(Protocol):
    """Takes spans to a collector."""

    def export(self, spans: Sequence[SpanRecord]) -> Delivery:
        """Send a batch and wait for the answer; an empty one is done."""

    def close(self) -> None:
        """Give up what is under way; from now on nothing is done any more."""


class Tally(Protocol):
    """Counts what the exporter itself does."""

    def add(self, metric: str, labels: tuple[str, ...] = (), amount: float = 1) -> None:
        """Raise a counter of the catalogue."""

    def set(self, metric: str, labels: tuple[str, ...], value: float) -> None:
        """Set a gauge of the catalogue."""


class Frame(Protocol):
    """What the live page shows at one moment."""

    def news(self, before: Any, /) -> bytes:
        """JSON of what is new since another frame of the same page, or of all if there is none; empty for nothing."""

    def pulse(self) -> bytes:
        """JSON that says that nothing is new."""


class Asset(Protocol):
    """A file of the live page."""

    @property
    def body(self) -> bytes: ...  # noqa: D102
    @property
    def content_type(self) -> str: ...  # noqa: D102
    @property
    def tag(self) -> str: ...  # noqa: D102


class LivePage(Protocol):
    """The live page; `html` and `frame` may wait for Redis, and are called by one thread."""

    def html(self, query: str) -> bytes:
        """The page that a query asks for."""

    def frame(self, query: str) -> Frame:
        """The same as a frame."""

    def file(self, name: str) -> Asset | None:
        """A file that it loads; None if there is none of that name."""


class Pages(Protocol):
    """What the web server shows; every method may be called from any thread, and none raises."""

    def metrics(self, accept: str, budget_seconds: float) -> tuple[bytes, str]:
        """The exposition and its content type, within the time given."""

    def unready(self) -> Sequence[str]:
        """Why the exporter is not ready, one sentence each; empty when it is."""

    def facts(self) -> Iterable[tuple[str, str]]:
        """Names and values for the landing page."""
