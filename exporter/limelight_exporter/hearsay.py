"""The counters of one channel: what was heard since this process began, kept nowhere."""

from __future__ import annotations

import bisect
import threading
from typing import Final

from limelight import events as contract

from . import catalog
from .config_file import DEFAULTS, FileSettings
from .document import TOLD_ENDS, TOLD_OUTCOMES, DocumentEvent
from .exposition import Exposition
from .labels import OTHER, Bounded

LONGEST_SECONDS: Final = 10 * 366 * 86_400.0
_Labels = tuple[str, ...]
_COUNTED: Final = {
    contract.EVENT_RETRYING: catalog.RETRIES,
    contract.EVENT_SCHEDULING_PERIODIC: catalog.PERIODIC_SCHEDULED,
}


class Hearsay:
    """Counts events of the original format. One thread tells, any thread may collect.

    Unlike a stream's state it is not saved: whoever only listens cannot know what was said before.

    Args:
        queue: The first label of every series.
        chosen: Buckets and limits.
    """

    def __init__(self, queue: str, chosen: FileSettings = DEFAULTS) -> None:
        self._queue = queue
        self._buckets = chosen.buckets
        self._tasks = Bounded(chosen.limits.tasks)
        self._error_types = Bounded(chosen.limits.error_types)
        self._lock = threading.Lock()
        self._counters: dict[tuple[str, _Labels], int] = {(catalog.SUBSCRIPTION_BREAKS, ()): 0}
        self._counts: dict[_Labels, list[int]] = {}
        self._seconds: dict[_Labels, float] = {}

    def tell(self, event: DocumentEvent) -> None:
        """Count one event."""
        with self._lock:
            status = event.status
            self._add(catalog.EVENTS, status if status in contract.STATUSES else OTHER)
            if status in contract.CONSUMER_ERRORS:
                self._add(catalog.CONSUMER_ERRORS, status)
            if status == contract.EVENT_CHECKING_PERIODIC:
                self._add(catalog.PERIODIC_CHECKS)
            if event.task is not None:
                self._tell_of_task(event, self._known(event.name))

    def malformed(self, reason: str) -> None:
        """Count what was no event."""
        with self._lock:
            self._add(catalog.MALFORMED, reason)

    def broke(self) -> None:
        """Count the end of a subscription."""
        with self._lock:
            self._add(catalog.SUBSCRIPTION_BREAKS)

    def collect(self, exposition: Exposition) -> None:
        """Add all of it to a scrape."""
        with self._lock:
            counters = list(self._counters.items())
            histograms = [(labels, list(counts)) for labels, counts in self._counts.items()]
            seconds = dict(self._seconds)
        for (metric, labels), value in counters:
            exposition.add(metric, (self._queue, *labels), value)
        for labels, counts in histograms:
            exposition.add_histogram(catalog.DURATION, (self._queue, *labels), counts, seconds[labels])

    def _tell_of_task(self, event: DocumentEvent, task: str) -> None:
        if counter := _COUNTED.get(event.status):
            self._add(counter, task)
        if event.outcome is not None:
            self._close(event, event.outcome, task)
        if event.end is not None:
            self._add(catalog.COMPLETED, task, event.end)

    def _close(self, event: DocumentEvent, outcome: str, task: str) -> None:
        self._add(catalog.ATTEMPTS, task, outcome)
        failed = outcome in contract.FAILED_OUTCOMES
        if failed:
            error_type = self._error_types(event.error_type)
            self._add(catalog.ERRORS, task, error_type)
            if error_type == OTHER:
                self._add(catalog.OVERFLOW, catalog.ERRORS)
        if event.duration is None:
            return
        if 0 <= event.duration <= LONGEST_SECONDS:
            self._observe((task, "failed" if failed else "ok"), event.duration)
        else:
            self._add(catalog.MALFORMED, "duration")

    def _observe(self, labels: _Labels, seconds: float) -> None:
        counts = self._counts.setdefault(labels, [0] * (len(self._buckets) + 1))
        counts[bisect.bisect_left(self._buckets, seconds)] += 1
        self._seconds[labels] = self._seconds.get(labels, 0.0) + seconds

    def _known(self, name: str) -> str:
        """The label of a task; one that is new has its series at zero from now on, so that its first failure shows."""
        before = len(self._tasks.values)
        task = self._tasks(name)
        if len(self._tasks.values) > before:
            self._add(catalog.RETRIES, task, amount=0)
            for outcome in TOLD_OUTCOMES:
                self._add(catalog.ATTEMPTS, task, outcome, amount=0)
            for end in TOLD_ENDS:
                self._add(catalog.COMPLETED, task, end, amount=0)
        elif task == OTHER:
            self._add(catalog.OVERFLOW, catalog.ATTEMPTS)
        return task

    def _add(self, metric: str, *labels: str, amount: int = 1) -> None:
        key = (metric, labels)
        self._counters[key] = self._counters.get(key, 0) + amount
