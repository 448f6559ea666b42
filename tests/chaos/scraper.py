"""Scrapes the exporter all the while: what it answers may never fall, whatever befalls it."""

from __future__ import annotations

import threading
from typing import Final

from exporters import Scraped

from .totals import Key

_EVERY_SECONDS: Final = 2.0


class Scraper:
    """Scrapes every two seconds in a thread of its own; an exporter that is down is not asked again at once.

    Attributes:
        answers: How many scrapes were answered.
        problems: Counters that fell.
        url: Of the exporter.

    Args:
        url: Of the exporter.
    """

    def __init__(self, url: str) -> None:
        self.answers = 0
        self.problems: list[str] = []
        self.url = url
        self._before: dict[Key, float] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chaos-scraper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._stopping.wait(_EVERY_SECONDS):
            try:
                counters = Scraped(self.url).counters()
            except (OSError, AssertionError, ValueError):
                continue  # it was killed, or is frozen
            self.answers += 1
            for key, value in counters.items():
                if value < self._before.get(key, 0.0):
                    self.problems.append(
                        f"exporter: {key[0]}{dict(sorted(key[1]))} fell from {self._before[key]:g} to {value:g}"
                    )
            self._before |= counters
