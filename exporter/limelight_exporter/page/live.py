"""The live page, ready to be served: looks at Redis once a second at most, however many ask."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol
from urllib.parse import parse_qs

from limelight.errors import LimelightError
from limelight.inspection import QueueView, queue_views
from limelight_exporter import __version__, catalog
from limelight_exporter.config import Settings
from limelight_exporter.connection import connect, explain
from limelight_exporter.tally import OwnTally

from .document import ASSETS, Asset, document
from .facts import Facts, Folding, Gatherer, Own
from .frame import Frame
from .links import Links
from .overview import Style, View, overview, queue_page
from .pulse import Pulse
from .recorder import Memory
from .task_page import UUID, task_page
from .whereabouts import holder_of

FRESH_SECONDS: Final = 0.9
"""How old what is shown may be before Redis is asked again."""
_HELD_SECONDS: Final = 5.0
_MOST_FIELDS: Final = 8
_LONGEST_QUERY: Final = 400


class Pipeline(Protocol):
    """What the page asks of whoever folds."""

    @property
    def folds(self) -> Mapping[str, Folding]: ...  # noqa: D102
    @property
    def trouble(self) -> str: ...  # noqa: D102


class LivePage:
    """Makes pages and frames. All but `file` and `note` is for one thread, which may wait for Redis.

    Args:
        settings: Where Redis is, and what the page may show.
        pipeline: Folds the streams.
        memory: What it remembers for the page.
        tally: What the exporter counts about itself.
        tracing: Whether spans are exported.
        protected: Whether only those see the page who may.
    """

    def __init__(
        self,
        settings: Settings,
        pipeline: Pipeline,
        memory: Memory,
        tally: OwnTally,
        *,
        tracing: bool,
        protected: Callable[[], bool],
    ) -> None:
        self._links = connect(settings)
        self._settings, self._pipeline, self._tally = settings, pipeline, tally
        self._tracing, self._protected = tracing, protected
        self._pulse = Pulse()
        self._gatherer = Gatherer(memory, self._pulse, settings.file.buckets)
        self._started_at = time.time()
        self._facts: Facts | None = None
        self._gathered_at = float("-inf")
        self._held = "", 0.0, ""
        self._to = Links(settings.trace_url if tracing else "", settings.dashboard_url)

    def close(self) -> None:
        """Give up the way to Redis."""
        self._links.close()

    def note(self, views: Mapping[str, QueueView]) -> None:
        """Take in what a scrape saw, for the lines under the figures."""
        self._pulse.note(views)

    def file(self, name: str) -> Asset | None:
        """A file of the page; None if there is none of that name."""
        return ASSETS.get(name)

    def html(self, query: str) -> bytes:
        """The whole page that a query asks for."""
        facts = self._gathered()
        asked = _asked(query)
        return document(self._view(asked, facts), facts.at, wanted=asked.get("f", ""))

    def frame(self, query: str) -> Frame:
        """The same as a frame."""
        facts = self._gathered()
        return Frame(self._view(_asked(query), facts), facts.at)

    def _view(self, asked: Mapping[str, str], facts: Facts) -> View:
        style = Style(self._to, tracebacks=self._shows_tracebacks())
        found = asked.get("f", "").strip()
        if task := asked.get("task") or (found if UUID.fullmatch(found) else ""):
            return task_page(task, facts, style, self._holder(task, facts))
        if queue := asked.get("queue"):
            return queue_page(queue, facts, style)
        return overview(facts, style)

    def _holder(self, task: str, facts: Facts) -> str:
        """The queue that holds a task of which nothing is remembered; it is asked for every few seconds."""
        if facts.timelines.get(task) or facts.down_since is not None or not UUID.fullmatch(task):
            return ""
        known, at, queue = self._held
        if known != task or time.monotonic() - at > _HELD_SECONDS:
            queue = holder_of(self._links, sorted(self._pipeline.folds), task)
            self._held = task, time.monotonic(), queue
        return queue

    def _shows_tracebacks(self) -> bool:
        if self._settings.page_tracebacks == "auto":
            return self._protected()
        return self._settings.page_tracebacks == "on"

    def _gathered(self) -> Facts:
        if self._facts is None or time.monotonic() - self._gathered_at > FRESH_SECONDS:
            folds = self._pipeline.folds
            self._facts = self._gatherer.gather(folds, self._seen(folds), self._own(folds))
            self._gathered_at = time.monotonic()
        return self._facts

    def _seen(self, folds: Mapping[str, Folding]) -> Mapping[str, QueueView] | str:
        """The gauges of all queues that answer; or why none does."""
        if not folds:
            return self._pipeline.trouble or {}
        views, trouble = dict[str, QueueView](), ""
        try:
            for name, view in queue_views(self._links, sorted(folds)):
                if isinstance(view, QueueView):
                    views[name] = view
                else:
                    trouble = explain(view)
        except LimelightError as error:
            trouble = explain(error)
        return views or trouble

    def _own(self, folds: Mapping[str, Folding]) -> Own:
        saved = [fold.saved_at for fold in folds.values() if fold.saved_at is not None]
        return Own(
            version=__version__,
            redis=self._settings.redis_address,
            started_at=self._started_at,
            tracing=self._tracing,
            saved_at=max(saved, default=None),
            series=sum(fold.state.series for fold in folds.values()),
            events_lost=sum(map(_lost, folds.values())),
            span_lag_seconds=self._tally.highest(catalog.SPAN_LAG),
        )


def _lost(fold: Folding) -> int:
    return fold.state.look(lambda counters, _: counters[catalog.EVENTS_LOST][()].value)


def _asked(query: str) -> Mapping[str, str]:
    """The first value of each field; nothing for a query that is none."""
    try:
        fields = parse_qs(query[:_LONGEST_QUERY], max_num_fields=_MOST_FIELDS)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}
