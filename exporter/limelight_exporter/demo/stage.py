"""One run of the demo: what is started in which order, watched, stopped in the reverse order, and added up."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, Self

from rich.console import Console

from limelight.cli.text import counted
from limelight.embedded import EmbeddedRedis
from limelight.errors import ConfigurationError, LimelightError
from limelight.inspection import queue_view
from limelight_exporter import catalog
from limelight_exporter.config import Settings, settings
from limelight_exporter.connection import connect
from limelight_exporter.exporter import Exporter

from .account import Account, Balance, balance, read
from .keyboard import Keyboard
from .processes import APPLICATION, DRAIN_SECONDS, QUEUES, Child, consumer, traffic
from .reader import Reader
from .screen import ASCII, UNICODE, Surroundings
from .views import LiveView, PlainView, View

EXIT_OK: Final = 0
EXIT_WRONG: Final = 1
EXIT_CUT_OFF: Final = 130
_FRAME_SECONDS: Final = 0.25
_NOTE_SECONDS: Final = 8.0
_READY_SECONDS: Final = 15.0
_CATCH_UP_SECONDS: Final = 10.0
_SCRAPE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asks for; None for a default.

    Attributes:
        redis_url: None for a Redis of our own.
        rate: Tasks per second that the shop's customers enqueue.
        duration: Seconds until it ends by itself.
    """

    redis_url: str | None
    rate: float
    duration: float | None
    host: str
    port: int
    otlp_endpoint: str | None
    color: bool = True


def run(options: Options) -> int:
    """Run the demo to its end and return the exit code.

    Raises:
        LimelightError: It could not start, or a part of it ended by itself. Nothing is left running.
    """
    with ExitStack() as stack:
        stop = stack.enter_context(StopSignals())
        url = options.redis_url or stack.enter_context(EmbeddedRedis()).url
        checked = settings(
            redis_url=url, host=options.host, port=options.port, otlp_endpoint=options.otlp_endpoint
        )
        _refuse_company(checked)
        exporter = stack.enter_context(Exporter(checked))
        before = _account_when_ready(exporter, stop)
        if before is None:
            return EXIT_OK
        reader = Reader(checked, QUEUES)
        stack.callback(reader.close)
        reader.start()
        stage = Stage(options, url, reader, stop)
        ended = stage.play(exporter.url)
        result = _added_up(exporter, reader, before)
    return _report(result, cut_off=ended and stop.interrupted)


class StopSignals:
    """Counts SIGINT, SIGTERM and SIGHUP while the block lasts, in place of being ended by them.

    Attributes:
        interrupted: Whether one of them was SIGINT.
    """

    def __init__(self) -> None:
        self.count = 0
        self.interrupted = False
        self._arrived = threading.Event()
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._former = {number: signal.signal(number, self._note) for number in self._heeded()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _heeded(self) -> Iterator[signal.Signals]:
        """All of them, but SIGHUP only if nobody (nohup) asked to ignore it."""
        yield from (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            yield signal.SIGHUP

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.count += 1
        self.interrupted |= number == signal.SIGINT
        self._arrived.set()

    def wait(self, seconds: float) -> None:
        """Return after so many seconds, or sooner if a signal arrives."""
        if self._arrived.wait(max(0.0, seconds)):
            self._arrived.clear()


class Stage:
    """The play itself: consumers, customers, and the view of them.

    Args:
        options: What was asked for.
        redis_url: Where consumers and customers find Redis.
        reader: Knows what to show.
        stop: Says when to end.
    """

    def __init__(self, options: Options, redis_url: str, reader: Reader, stop: StopSignals) -> None:
        self._options = options
        self._redis_url = redis_url
        self._reader = reader
        self._stop = stop
        self._note, self._note_until = "", 0.0

    def play(self, url: str) -> bool:
        """Run until it is over; True if running tasks were cut off.

        Args:
            url: Where the exporter listens, for the view.
        """
        with ExitStack() as stack:
            workers = 3 + int(self._options.rate // 6)
            consumers = [
                stack.enter_context(consumer(queue, workers=workers, redis_url=self._redis_url))
                for queue in QUEUES
            ]
            customers = stack.enter_context(traffic(self._options.rate, self._redis_url))
            keyboard = stack.enter_context(Keyboard())
            view = stack.enter_context(self._view(url, keyboard))
            self._watch(view, keyboard, customers, [*consumers, customers])
            return self._drain(view, customers, consumers)

    def _view(self, url: str, keyboard: Keyboard) -> View:
        console = Console(no_color=None if self._options.color else True, highlight=False)
        if not console.is_terminal or console.is_dumb_terminal:
            return PlainView()
        glyphs = UNICODE if console.encoding.lower().startswith("utf") else ASCII
        around = Surroundings(url=url, footer=_footer(self._options), keys=keyboard.is_read, glyphs=glyphs)
        return LiveView(console, around)

    def _watch(self, view: View, keyboard: Keyboard, customers: Child, children: Sequence[Child]) -> None:
        ends_at = time.monotonic() + (self._options.duration or float("inf"))
        while not self._stop.count and time.monotonic() < ends_at:
            for child in children:
                if not child.is_alive:
                    raise LimelightError(f"{child.end}. Nothing else is left running; try it again.")
            keys = keyboard.pressed()
            if "q" in keys:
                return
            if "e" in keys:
                self._cause_error(customers)
            view.show(self._reader, self._note if time.monotonic() < self._note_until else "")
            self._stop.wait(min(_FRAME_SECONDS, ends_at - time.monotonic()))

    def _cause_error(self, customers: Child) -> None:
        customers.say("a stolen card")
        self._note = "A stolen card: charge_card fails four times, then it is a dead letter."
        self._note_until = time.monotonic() + _NOTE_SECONDS

    def _drain(self, view: View, customers: Child, consumers: Sequence[Child]) -> bool:
        """Let running tasks end; a second signal, or taking too long, cuts them off."""
        signals = self._stop.count
        customers.close_input()
        for child in consumers:
            child.ask_to_end()
        deadline = time.monotonic() + DRAIN_SECONDS + 2
        while any(child.is_alive for child in consumers) and time.monotonic() < deadline:
            if self._stop.count > max(signals, 1):
                break
            view.show(self._reader, "Stopping: tasks that run may end. Ctrl-C again cuts them off.")
            self._stop.wait(_FRAME_SECONDS / 2)
        cut_off = any(child.is_alive for child in consumers)
        for child in (*consumers, customers):
            child.kill()
        self._reader.finish(_CATCH_UP_SECONDS)
        view.show(self._reader, "Stopped.")
        return cut_off or self._reader.count(catalog.ATTEMPTS, "interrupted") > 0


def _footer(options: Options) -> tuple[tuple[str, str], ...]:
    endpoint = options.otlp_endpoint or next(
        (os.environ[name] for name in _OTLP_VARIABLES if os.environ.get(name)), ""
    )
    tasks = APPLICATION
    if tasks.is_relative_to(Path.cwd()):
        tasks = tasks.relative_to(Path.cwd())
    return (
        ("Metrics", "/metrics"),
        ("Traces", f"sent to {endpoint}" if endpoint else "off, see --otlp-endpoint"),
        ("Tasks", str(tasks)),
    )


_OTLP_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def _refuse_company(checked: Settings) -> None:
    """Two demos on one Redis would count each other's tasks."""
    links = connect(checked)
    try:
        for queue in QUEUES:
            view = queue_view(links, queue)
            if any(other.alive(view.now) for other in view.consumers):
                raise ConfigurationError(
                    f"queue {queue} at {checked.redis_address} has a consumer already: is another demo running "
                    "there? Stop it, or leave --redis-url out to get a Redis of your own"
                )
    finally:
        links.close()


def _account_when_ready(exporter: Exporter, stop: StopSignals) -> Account | None:
    """What /metrics says before the demo begins, once the exporter has read what came before; None if told to stop."""
    deadline = time.monotonic() + _READY_SECONDS
    while not stop.count:
        served = _scrape(exporter)
        account = read(served, QUEUES)
        if f"\n{catalog.READY} 1" in served and not account.behind:
            return account
        if time.monotonic() > deadline:
            raise LimelightError(
                f"the exporter is not ready after {_READY_SECONDS:.0f} s; see {exporter.url}"
            )
        stop.wait(0.05)
    return None


def _scrape(exporter: Exporter) -> str:
    """Ask for /metrics as Prometheus would, by HTTP."""
    with urllib.request.urlopen(f"{exporter.url}/metrics", timeout=_SCRAPE_SECONDS) as reply:  # noqa: S310
        body: bytes = reply.read()
    return body.decode()


def _added_up(exporter: Exporter, reader: Reader, before: Account) -> Balance:
    served = read(_scrape(exporter), QUEUES).since(before)
    return balance(served, Counter(reader.counts), reader.missed)


def _report(result: Balance, *, cut_off: bool) -> int:
    """Print how it went, the sentence last, and say it as an exit code."""
    for fault in result.faults:
        print(f"limelight: {fault}", file=sys.stderr)  # noqa: T201
    if result.undone > 0:
        print(f"Still waiting for their turn: {counted(result.undone, 'task')}.")  # noqa: T201
    print(result, flush=True)  # noqa: T201
    if result.faults:
        return EXIT_WRONG
    return EXIT_CUT_OFF if cut_off else EXIT_OK
