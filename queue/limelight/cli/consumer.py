"""`limelight consumer`: run the tasks of a queue until told to stop."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

import rich_click as click

from limelight.consumer import Consumer
from limelight.errors import OutcomeUnknown, RedisUnavailable
from limelight.task_queue import RedisQueue

from .target import find_queue

log = logging.getLogger("limelight.consumer")


@click.command
@click.argument("target", metavar="MODULE:QUEUE")
@click.option(
    "-w",
    "--workers",
    type=click.IntRange(1, 1_000),
    default=1,
    show_default=True,
    envvar="LIMELIGHT_WORKERS",
    show_envvar=True,
    help="How many tasks run at once, each in a thread.",
)
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
    "--path",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder to import from; the current one by default.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    default="info",
    show_default=True,
    envvar="LIMELIGHT_LOG_LEVEL",
    show_envvar=True,
    help="How much to say on stderr.",
)
def consumer(
    target: str,
    workers: int,
    lease_seconds: float,
    shutdown_timeout: float,
    path: Path | None,
    log_level: str,
) -> None:
    """Run the tasks of the queue that MODULE:QUEUE names.

    \b
    app.tasks:queue   the variable `queue` of the module `app.tasks`, looked for in the current folder
    app.tasks.queue   the same

    Stop it with SIGTERM or Ctrl-C: running tasks may end, for --shutdown-timeout seconds; then they go
    back to the queue. A second signal hands them back at once, a third exits at once.

    \b
    Examples:
    limelight consumer app.tasks:queue
    limelight consumer app.tasks:queue --workers 16 --log-level debug
    LIMELIGHT_WORKERS=16 limelight consumer app.tasks.queue
    """  # noqa: D301 - \b keeps the lines apart
    logging.basicConfig(
        level=log_level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)-7s %(threadName)-10s %(message)s",
    )
    queue = find_queue(target, path)
    running = Consumer(queue, workers=workers, lease_seconds=lease_seconds, shutdown_timeout=shutdown_timeout)
    run(running, queue)


def run(consumer: Consumer, queue: RedisQueue) -> None:
    """Start, wait for a signal, stop. Handlers only count; the main thread does the work."""
    signals = Signals()
    _check_redis(queue)
    consumer.start()
    log.info(
        "consuming queue %s at %s: %s", queue.name, queue.storage.address.shown, ", ".join(queue.registry)
    )
    signals.wait(1)
    log.info("stopping: %d tasks still run (signal again to hand them back at once)", consumer.running)
    stop = threading.Thread(target=consumer.stop, name="stop", daemon=True)
    stop.start()
    while stop.is_alive() and signals.count < 2:
        stop.join(0.1)
    consumer.hand_back_now()
    while stop.is_alive():
        stop.join(0.1)
        if signals.count > 2:
            log.error("stopped at once; what still ran comes back when its lease is over")
            logging.shutdown()
            os._exit(1)
    log.info("stopped")
    logging.shutdown()
    queue.close()


def _check_redis(queue: RedisQueue) -> None:
    """Refuse to start where no waiting could help (wrong password); a Redis that is merely away is waited for."""
    try:
        queue.storage.announce()
    except (RedisUnavailable, OutcomeUnknown):
        log.debug("Redis is away; the workers say so and wait for it")


class Signals:
    """Counts SIGTERM and SIGINT. Its handler takes no lock: it may have interrupted whoever holds it."""

    def __init__(self) -> None:
        self.count = 0
        self._woken, wakes = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(wakes, False)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._note)
        signal.signal(signal.SIGINT, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1

    def wait(self, count: int) -> None:
        """Return when so many have arrived."""
        while self.count < count:
            select.select([self._woken], [], [], 1.0)
            with contextlib.suppress(BlockingIOError):
                os.read(self._woken, 4_096)
