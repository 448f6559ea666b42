"""The exporter as one object: pipelines, web server, and the order in which they start and stop."""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import threading
from collections.abc import Mapping
from types import FrameType
from typing import Final

from limelight.errors import ConfigurationError

from .config import Settings
from .metrics_pipeline import MetricsPipeline
from .metrics_push import MetricsPush, push_settings
from .otlp import sink_from
from .page import LivePage, Memory
from .pubsub_source import Subscriptions
from .retirement import Retirement
from .scrape import Scrape
from .tally import OwnTally
from .trace_pipeline import TracePipeline
from .web import LiveRoutes, RulesFile, WebApp, WebServer, read_rules

STOP_SECONDS: Final = 10.0
_log = logging.getLogger(__name__)


class Exporter:
    """An exporter for one Redis.

    It listens from the moment it is made; use it as a context manager, or with `start` and `stop`, inside any
    process, or let `serve` own the process.

    Args:
        settings: As `config.settings` checked them.

    Raises:
        ConfigurationError: The address is in use, or an ``OTEL_*`` variable asks for what we cannot do.
    """

    def __init__(self, settings: Settings) -> None:
        self._tally = OwnTally()
        sink = sink_from(settings.otlp_endpoint, os.environ, self._tally)
        memory = _memory(settings) if settings.page else None
        self._metrics = MetricsPipeline(
            settings, self._tally, exemplars=settings.trace_keep if sink else None, memory=memory
        )
        self._traces = TracePipeline(settings, sink, self._tally) if sink else Retirement(settings)
        self._subscriptions = Subscriptions(settings)
        rules = RulesFile(settings.web_config_file, self._tally)
        self._page = (
            LivePage(
                settings, self._metrics, memory, self._tally, tracing=sink is not None,
                protected=lambda: _is_protected(settings, rules),
            )
            if memory
            else None
        )  # fmt: skip
        self._scrape = Scrape(
            settings, self._metrics, self._subscriptions, self._tally, tracing=sink is not None,
            onlooker=self._page.note if self._page else None,
        )  # fmt: skip
        pushing = push_settings(settings.otlp_endpoint, os.environ)
        self._push = MetricsPush(pushing, self._scrape, self._tally) if pushing else None
        live = LiveRoutes(self._page, self._tally, settings.page_max_clients) if self._page else None
        self._app = WebApp(self._scrape, rules, live)
        if self._page is not None and not _is_protected(settings, rules):
            _log.warning("%s", _told_to_all(settings))
        self._web = WebServer(self._app, rules, settings.host, settings.port)
        self._thread = threading.Thread(target=self._web.run, name="limelight-web", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens, without a trailing slash."""
        return self._web.url

    def start(self) -> None:
        """Begin to fold, export and serve in background threads; returns at once, Redis may be down."""
        self._start_pipelines()
        self._thread.start()

    def stop(self) -> None:
        """Stop serving, save snapshots and cursors, and end all threads."""
        self._web.stop()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
        self._stop_pipelines()

    def __enter__(self) -> Exporter:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    def run(self) -> None:
        """Serve in the calling thread, which must be the main one, until SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            # uvicorn puts its handlers over these and raises the signal once more when it is done.
            signal.signal(number, self._told_to_stop)
        self._start_pipelines()
        try:
            self._web.run()
        finally:
            self._stop_pipelines()

    def _told_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._web.stop()

    def _start_pipelines(self) -> None:
        self._metrics.start()
        self._subscriptions.start()
        self._traces.start()
        if self._push is not None:
            self._push.start()

    def _stop_pipelines(self) -> None:
        if self._push is not None:
            self._push.stop()
        self._traces.stop(STOP_SECONDS)
        self._subscriptions.stop(STOP_SECONDS)
        self._metrics.stop(STOP_SECONDS)
        self._scrape.close()
        self._app.close()
        self._web.close()
        if self._page is not None:
            self._page.close()


def _memory(settings: Settings) -> Memory:
    buckets = len(settings.file.buckets) + 1
    tracebacks = settings.page_tracebacks != "off"
    return Memory(settings.group, buckets, tracebacks=tracebacks, keep=settings.trace_keep)


def _is_protected(settings: Settings, rules: RulesFile) -> bool:
    """Whether only those see the page who may: on this machine, or with a password or a certificate."""
    return bool(rules.current.users or rules.current.needs_client) or _is_own(settings.host)


def _is_own(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _told_to_all(settings: Settings) -> str:
    shown = "messages and tracebacks" if settings.page_tracebacks == "on" else "messages"
    return (
        f"whoever reaches {settings.host} port {settings.port} sees the live page, with names of tasks and error "
        f"{shown}; ask for a password with --web.config.file, or leave the page out with --no-web.page"
    )


def check(settings: Settings) -> list[str]:
    """What is wrong with the files and variables that only their users read; nothing is opened or sent."""
    faults: list[str] = []
    if settings.web_config_file:
        try:
            read_rules(settings.web_config_file)
        except ConfigurationError as error:
            faults += str(error).split("\n")
    for asked in (_spans_asked, push_settings):
        try:
            asked(settings.otlp_endpoint, os.environ)
        except ConfigurationError as error:
            faults += [fault for fault in str(error).split("\n") if fault not in faults]
    return faults


def _spans_asked(endpoint: str | None, environment: Mapping[str, str]) -> None:
    """Raise ConfigurationError for what keeps spans from being sent."""
    if (sink := sink_from(endpoint, environment, OwnTally())) is not None:
        sink.close()


def serve(settings: Settings) -> None:
    """Run an exporter until SIGTERM or SIGINT, then save its state and return.

    Raises:
        ConfigurationError: As `Exporter`.
    """
    exporter = Exporter(settings)
    _log.info("serving %s/metrics for Redis at %s", exporter.url, settings.redis_address)
    exporter.run()
    _log.info("stopped; state saved")
