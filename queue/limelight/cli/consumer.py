"""`limelight consumer`: run the tasks of queues until told to stop."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

import rich_click as click

from limelight.consumer import Consumer
from limelight.consumer.plan import KINDS
from limelight.errors import ConfigurationError, OutcomeUnknown, RedisUnavailable
from limelight.task_queue import RedisQueue

from .logs import FORMATS, log_to
from .target import find_queue

log = logging.getLogger("limelight.consumer")

_LEVELS = ("debug", "info", "warning", "error")


@click.command
@click.argument("targets", metavar="MODULE:QUEUE[=WEIGHT]...", nargs=-1, required=True)
@click.option(
    "-w",
    "--workers",
    type=click.IntRange(1, 10_000),
    default=1,
    show_default=True,
    envvar="LIMELIGHT_WORKERS",
    show_envvar=True,
    help="How many tasks run at once.",
)
@click.option(
    "-k",
    "--worker-type",
    "kind",
    type=click.Choice(KINDS),
    default="thread",
    show_default=True,
    envvar="LIMELIGHT_WORKER_TYPE",
    show_envvar=True,
    help="What runs them: threads, processes, or one event loop.",
)
@click.option(
    "-M",
    "--max-tasks",
    type=click.IntRange(0),
    default=0,
    show_default="never",
    envvar="LIMELIGHT_MAX_TASKS",
    show_envvar=True,
    help="Replace a thread or process after so many tasks.",
)
@click.option("-n", "--no-periodic", is_flag=True, help="Enqueue no periodic tasks from here.")
@click.option(
    "--lease",
    "lease_seconds",
    type=click.FloatRange(1),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    envvar="LIMELIGHT_LEASE",
    show_envvar=True,
    help="A worker that is not heard of for this long is given up; its tasks run elsewhere.",
)
@click.option(
    "-t",
    "--shutdown-timeout",
    type=click.FloatRange(0),
    default=25.0,
    show_default=True,
    metavar="SECONDS",
    envvar="LIMELIGHT_SHUTDOWN_TIMEOUT",
    show_envvar=True,
    help="How long a stop waits for running tasks.",
)
@click.option(
    "-s",
    "--scheduler-interval",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest time between two looks at the schedule.",
)
@click.option(
    "-c",
    "--health-check-interval",
    type=click.FloatRange(0, min_open=True),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two looks whether a thread died.",
)
@click.option(
    "--path",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder to import from; the current one by default.",
)
@click.option(
    "-l",
    "--log-file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    envvar="LIMELIGHT_LOG_FILE",
    show_envvar=True,
    help="Append the log to this file instead of stderr.",
)
@click.option(
    "--alive-file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    envvar="LIMELIGHT_ALIVE_FILE",
    show_envvar=True,
    help="Touch this file every second: for a probe that asks whether the process still lives.",
)
@click.option(
    "--log-format",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    envvar="LIMELIGHT_LOG_FORMAT",
    show_envvar=True,
    help="Lines for people, or one JSON object per line.",
)
@click.option(
    "--log-level",
    type=click.Choice(_LEVELS, case_sensitive=False),
    default="info",
    show_default=True,
    envvar="LIMELIGHT_LOG_LEVEL",
    show_envvar=True,
    help="How much to say.",
)
@click.option("-v", "--verbose", "log_level", flag_value="debug", help="Say everything.")
@click.option("-q", "--quiet", "log_level", flag_value="warning", help="Say only what is wrong.")
def consumer(
    targets: tuple[str, ...],
    workers: int,
    kind: str,
    max_tasks: int,
    no_periodic: bool,
    lease_seconds: float,
    shutdown_timeout: float,
    scheduler_interval: float,
    health_check_interval: float,
    path: Path | None,
    log_file: Path | None,
    alive_file: Path | None,
    log_format: str,
    log_level: str,
) -> None:
    """Run the tasks of the queues that MODULE:QUEUE names.

    \b
    app.tasks:queue     the variable `queue` of the module `app.tasks`, looked for in the current folder
    app.tasks.queue     the same
    app.tasks:queue=3   beside others: it is asked three times as often as one without a weight

    Stop it with SIGTERM or Ctrl-C: running tasks may end, for --shutdown-timeout seconds; then they go
    back to the queue. A second signal hands them back at once, a third exits at once. SIGHUP stops it
    in the same way and starts it anew, with the application as it is then.

    \b
    Examples:
    limelight consumer app.tasks:queue
    limelight consumer app.tasks:queue --workers 16 --log-level debug
    limelight consumer app:mail=3 app:reports -k process -w 8
    """  # noqa: D301 - \b keeps the lines apart
    prepare = functools.partial(log_to, log_file, log_level, log_format)
    prepare()
    chosen = [weighted(target) for target in targets]
    queues = [find_queue(target, path) for target, _ in chosen]
    running = Consumer(
        queues,
        workers=workers,
        kind=kind,
        weights={queue.name: weight for queue, (_, weight) in zip(queues, chosen, strict=True)},
        lease_seconds=lease_seconds,
        shutdown_timeout=shutdown_timeout,
        scheduler_interval=scheduler_interval,
        periodic=not no_periodic,
        max_tasks=max_tasks,
        health_check_interval=health_check_interval,
        prepare=prepare,
    )
    run(running, alive_file)


def weighted(target: str) -> tuple[str, int]:
    """Take ``module:name=3`` apart; the weight is 1 where none is given."""
    name, separator, weight = target.partition("=")
    if separator and not weight.isdecimal():
        raise ConfigurationError(f"{target!r}: the weight must be a whole number, as in {name}=3")
    return name, int(weight or 1)


def run(consumer: Consumer, alive_file: Path | None = None) -> None:
    """Start, wait for a signal, stop. Handlers only count; the main thread does the work."""
    signals = Signals()
    for queue in consumer.queues:
        _check_redis(queue)
    consumer.start()
    for queue in consumer.queues:
        where, tasks = queue.storage.address.shown, ", ".join(queue.registry)
        log.info("consuming queue %s at %s: %s", queue.name, where, tasks)
    signals.wait(consumer.wants_to_stop, _say_alive_in(alive_file))
    log.info("stopping: %d tasks still run (signal again to hand them back at once)", consumer.running)
    _stop(consumer, signals)
    log.info("stopped")
    if signals.is_reload:
        _start_anew()
    logging.shutdown()
    for queue in consumer.queues:
        queue.close()
    if not signals.stops:
        sys.exit(1)  # it gave up; its supervisor shall start another one


def _say_alive_in(file: Path | None) -> Callable[[], None]:
    """What touches the file. A full disk ends no consumer: it is for the probe to draw its conclusions."""

    def touch() -> None:
        if file:
            with contextlib.suppress(OSError):
                file.touch()

    return touch


def _stop(consumer: Consumer, signals: Signals) -> None:
    stop = threading.Thread(target=consumer.stop, name="stop", daemon=True)
    stop.start()
    while stop.is_alive() and signals.stops < 2:
        stop.join(0.1)
    consumer.hand_back_now()
    while stop.is_alive():
        stop.join(0.1)
        if signals.stops > 2:
            log.error("stopped at once; what still ran comes back when its lease is over")
            logging.shutdown()
            os._exit(1)


def _start_anew() -> NoReturn:
    """Replace this process by one of the same command line and the same id."""
    log.info("starting anew")
    logging.shutdown()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - our own command line


def _check_redis(queue: RedisQueue) -> None:
    """Refuse to start where no waiting could help (wrong password); a Redis that is merely away is waited for."""
    try:
        queue.storage.producing.announce()
    except (RedisUnavailable, OutcomeUnknown):
        log.debug("Redis is away; the workers say so and wait for it")


class Signals:
    """Counts what arrives. Its handler takes no lock: it may have interrupted whoever holds it.

    Attributes:
        stops: How many SIGTERM and SIGINT.
    """

    def __init__(self) -> None:
        self.stops = 0
        self._reloads = 0
        self._woken, wakes = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(wakes, False)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note)

    @property
    def is_reload(self) -> bool:
        """Whether to start anew after the stop: SIGHUP came, and none that means to stop for good."""
        return self._reloads > 0 and self.stops == 0

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._reloads += 1
        else:
            self.stops += 1

    def wait(self, wanted: threading.Event, each_second: Callable[[], None] = lambda: None) -> None:
        """Return when one has arrived, or within a second of the consumer itself wanting to be stopped."""
        while not (self.stops or self._reloads or wanted.is_set()):
            each_second()
            select.select([self._woken], [], [], 1.0)
            with contextlib.suppress(BlockingIOError):
                os.read(self._woken, 4_096)
