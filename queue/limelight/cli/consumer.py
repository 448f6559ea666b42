"""`limelight consumer`: run the tasks of a queue until told to stop."""

from __future__ import annotations

import functools
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

import rich_click as click

from limelight.consumer import Consumer
from limelight.consumer.plan import KINDS
from limelight.errors import ConfigurationError, OutcomeUnknown, RedisUnavailable
from limelight.task_queue import RedisQueue

from .target import find_queue

log = logging.getLogger("limelight.consumer")


@click.command
@click.argument("targets", metavar="MODULE:QUEUE[=WEIGHT]...", nargs=-1, required=True)
@click.option(
    "-w",
    "--workers",
    type=click.IntRange(1, 1_000),
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
    help="What runs the tasks.",
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
    "-M",
    "--max-tasks",
    type=click.IntRange(0),
    default=0,
    show_default="never",
    envvar="LIMELIGHT_MAX_TASKS",
    show_envvar=True,
    help="Replace a worker after so many tasks.",
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
    targets: tuple[str, ...],
    workers: int,
    kind: str,
    lease_seconds: float,
    shutdown_timeout: float,
    max_tasks: int,
    path: Path | None,
    log_level: str,
) -> None:
    """Run the tasks of the queues that MODULE:QUEUE names.

    \b
    app.tasks:queue     the variable `queue` of the module `app.tasks`, looked for in the current folder
    app.tasks.queue     the same
    app.tasks:queue=3   beside others: it is asked three times as often as one without a weight

    Stop it with SIGTERM or Ctrl-C: running tasks may end, for --shutdown-timeout seconds; then they go
    back to the queue. A second signal hands them back at once, a third exits at once.

    \b
    Examples:
    limelight consumer app.tasks:queue
    limelight consumer app.tasks:queue --workers 16 --log-level debug
    limelight consumer app:mail=3 app:reports -w 8
    LIMELIGHT_WORKERS=16 limelight consumer app.tasks.queue
    """  # noqa: D301 - \b keeps the lines apart
    prepare = functools.partial(log_to_stderr, log_level.upper())
    prepare()
    chosen = [weighted(target) for target in targets]
    queues = [find_queue(target, path) for target, _ in chosen]
    running = Consumer(
        queues,
        workers=workers,
        kind=kind,
        prepare=prepare,
        weights={queue.name: weight for queue, (_, weight) in zip(queues, chosen, strict=True)},
        lease_seconds=lease_seconds,
        shutdown_timeout=shutdown_timeout,
        max_tasks=max_tasks,
    )
    run(running)


def log_to_stderr(level: str) -> None:
    """Set up logging, in this process or in a worker process."""
    logging.basicConfig(
        level=level,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)-7s %(threadName)-10s %(message)s",
    )


def weighted(target: str) -> tuple[str, int]:
    """Take ``module:name=3`` apart; the weight is 1 where none is given."""
    name, separator, weight = target.partition("=")
    if separator and not weight.isdecimal():
        raise ConfigurationError(f"{target!r}: the weight must be a whole number, as in {name}=3")
    return name, int(weight or 1)


def run(consumer: Consumer) -> None:
    """Start, wait for a signal, stop. Handlers only count; the main thread does the work."""
    signals = Signals()
    for queue in consumer.queues:
        _check_redis(queue)
    consumer.start()
    for queue in consumer.queues:
        where, tasks = queue.storage.address.shown, ", ".join(queue.registry)
        log.info("consuming queue %s at %s: %s", queue.name, where, tasks)
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
    for queue in consumer.queues:
        queue.close()


def _check_redis(queue: RedisQueue) -> None:
    """Refuse to start where no waiting could help (wrong password); a Redis that is merely away is waited for."""
    try:
        queue.storage.announce()
    except (RedisUnavailable, OutcomeUnknown):
        log.debug("Redis is away; the workers say so and wait for it")


class Signals:
    """Counts SIGTERM and SIGINT."""

    def __init__(self) -> None:
        self.count = 0
        self._arrived = threading.Event()
        signal.signal(signal.SIGTERM, self._note)
        signal.signal(signal.SIGINT, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        self._arrived.set()

    def wait(self, count: int) -> None:
        """Return when so many have arrived."""
        while self.count < count:
            self._arrived.wait(1.0)
            self._arrived.clear()
