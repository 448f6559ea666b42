"""Pushes by OTLP what a scrape would serve, for those who do not scrape, in a thread of its own.

A push that fails is not repeated: sums are cumulative, the next one holds all that this one did.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from limelight.emitter import service_of
from limelight.errors import ConfigurationError

from . import __version__, catalog
from .otlp import Signal, Target, connected, target
from .otlp.answer import Answer, Verdict
from .otlp.encoding import MetricEncoding, metric_encoding
from .ports import Tally
from .scrape import Scrape

DEFAULT_INTERVAL_SECONDS: Final = 60.0
GATHER_SECONDS: Final = 5.0
_INTERVAL: Final = "OTEL_METRIC_EXPORT_INTERVAL"
_TEMPORALITY: Final = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PushSettings:
    """Where metrics are pushed to, how often, on whose behalf, and what makes requests of them."""

    target: Target
    interval_seconds: float
    resource: Mapping[str, str]
    encoding: MetricEncoding


def push_settings(endpoint: str | None, environment: Mapping[str, str]) -> PushSettings | None:
    """What flag and ``OTEL_*`` variables ask for; None unless ``OTEL_METRICS_EXPORTER=otlp``.

    Raises:
        ConfigurationError: A variable asks for what we cannot do.
    """
    found = target(Signal.METRICS, endpoint, environment)
    if found is None:
        return None
    temporality = environment.get(_TEMPORALITY, "").strip().lower()
    if temporality not in {"", "cumulative"}:
        raise ConfigurationError(f"{_TEMPORALITY}={temporality}: what is pushed is cumulative")
    return PushSettings(found, _interval_seconds(environment), _resource(environment), metric_encoding())


def _interval_seconds(environment: Mapping[str, str]) -> float:
    text = environment.get(_INTERVAL, "").strip()
    if not text:
        return DEFAULT_INTERVAL_SECONDS
    if not (text.isascii() and text.isdigit() and int(text[:10]) > 0 and len(text) < 10):
        raise ConfigurationError(f"{_INTERVAL}={text}: take a whole number of milliseconds from 1")
    return int(text) / 1_000


def _resource(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Ours, not the application's; two exporters must not be taken for one that counts twice."""
    ours = {"service.version": __version__, "service.instance.id": f"{socket.gethostname()}:{os.getpid()}"}
    return ours | service_of(environment, "limelight-exporter")


class MetricsPush:
    """Pushes metrics again and again, in a background thread.

    Args:
        asked: Where to, and how often.
        scrape: Gathers them.
        tally: Counts pushes and their failures.
    """

    def __init__(self, asked: PushSettings, scrape: Scrape, tally: Tally) -> None:
        self._asked = asked
        self._scrape, self._tally = scrape, tally
        self._channel = connected(asked.target)
        self._began = time.time()
        self._said = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="limelight-push", daemon=True)

    def start(self) -> None:
        """Begin; the first push is one interval away."""
        self._thread.start()

    def stop(self, timeout_seconds: float = 2.0) -> None:
        """Give up a push under way, and end."""
        self._stopping.set()
        self._channel.close()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while not self._stopping.wait(self._asked.interval_seconds):
            try:
                self._push()
            except Exception:
                _log.exception("a fault in the push of metrics; it goes on with the next one")
                self._tally.add(catalog.PUSHES, ("fault",))

    def _push(self) -> None:
        exposition = self._scrape.gather(time.monotonic() + GATHER_SECONDS)
        for request in self._asked.encoding(exposition, time.time(), self._began, self._asked.resource):
            answer = self._channel.send(request)
            self._note(answer)
            if answer.verdict is not Verdict.TAKEN or self._stopping.is_set():
                return

    def _note(self, answer: Answer) -> None:
        taken = answer.verdict is Verdict.TAKEN
        self._tally.add(catalog.PUSHES, ("rejected" if taken and answer.rejected else answer.code,))
        said = "" if taken and not answer.rejected else f"{answer.code} {answer.message}".strip()
        if said and said != self._said and not self._stopping.is_set():
            _log.warning("the collector does not take all metrics: %s", said)
        self._said = said
