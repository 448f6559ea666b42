"""Faults of tasks, consumers and schedules; each has a queue of its own, so all of them can be struck at once."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from typing import Final

from chaos.actors import COMMAND
from servers import wait_until

from limelight.keys import QueueKeys

from .fault import Fault, expected
from .stage import Stage, repeating, stop

_SILENT_SECONDS: Final = 4.0


@contextlib.contextmanager
def poison(stage: Stage) -> Iterator[None]:
    """Enqueue a task that no consumer knows, again and again."""
    queues = stage.main.queues
    with repeating(queues.unknown, 0.5):
        yield
    queues.poison.dead.purge_all()


@contextlib.contextmanager
def failing(stage: Stage) -> Iterator[None]:
    """Have tasks fail: one without an objective, one with, and one that is rare."""
    queues = stage.main.queues
    queues.mark("rare")
    queues.failing.enqueue(queues.rare.s())

    def fail() -> None:
        queues.failing.enqueue(queues.fails.s())
        queues.failing.enqueue(queues.promised.s())

    with repeating(fail, 0.2):
        yield
    queues.unmark("rare")
    queues.failing.enqueue(queues.rare.s())
    queues.failing.dead.purge_all()


@contextlib.contextmanager
def retrying(stage: Stage) -> Iterator[None]:
    """Have tasks fail and be tried again five times a second."""
    queues = stage.main.queues
    queues.mark("again")
    for _ in range(5):
        queues.retries.enqueue(queues.again.s())
    yield
    queues.unmark("again")


@contextlib.contextmanager
def paused(stage: Stage) -> Iterator[None]:
    """Pause a queue, and forget it."""
    stage.main.queues.paused.pause()
    yield
    stage.main.queues.paused.resume()


@contextlib.contextmanager
def periodic(stage: Stage) -> Iterator[None]:
    """Have a periodic task fail."""
    stage.main.queues.mark("beat")
    yield
    stage.main.queues.unmark("beat")


@contextlib.contextmanager
def stuck(stage: Stage) -> Iterator[None]:
    """Have a task not stop when its time is over; its consumer is restarted."""
    queues, actor = stage.main.queues, stage.main.consumer("stuck", "stuck", workers=1)
    queues.mark("stick")
    queues.stuck.enqueue(queues.stick.s())
    yield
    queues.unmark("stick")
    stop(stage.main, "stuck")
    actor.start()


@contextlib.contextmanager
def stray(stage: Stage) -> Iterator[None]:
    """Take a task out of its index; `limelight doctor --repair` puts it back."""
    queues, client, keys = stage.main.queues, stage.main.client, QueueKeys("mended")
    queues.strays.schedule(delay=3_600)
    wait_until(lambda: client.zcard(keys["scheduled"]), 20, "the task is scheduled")
    client.delete(keys["scheduled"])
    yield
    words = [*COMMAND, "doctor", "mended", "--repair", "--url", stage.main.server.url]
    subprocess.run(words, capture_output=True, check=False, timeout=60)


@contextlib.contextmanager
def hung(stage: Stage) -> Iterator[None]:
    """Have the only worker of a queue hang, while tasks wait."""
    queues = stage.main.queues
    queues.mark("hang")
    for _ in range(3):
        queues.hung.enqueue(queues.hang.s())
    yield
    queues.unmark("hang")


@contextlib.contextmanager
def killed(stage: Stage) -> Iterator[None]:
    """Kill a consumer while it runs a task; another one is there to notice."""
    queues, keys = stage.main.queues, QueueKeys("killed")
    queues.mark("hold")
    for _ in range(2):
        queues.killed.enqueue(queues.hold.s())
    wait_until(lambda: stage.main.client.zcard(keys["running"]) == 2, 20, "both consumers hold a task")
    stage.main.actors["killed"].kill()
    yield
    queues.unmark("hold")
    stage.main.actors["killed"].start()
    forget_the_silent(stage)


def forget_the_silent(stage: Stage) -> None:
    """Do now what others do ten minutes after a consumer's last heartbeat."""
    client, key = stage.main.client, QueueKeys("killed")["consumers"]
    now = float(client.time()[0])
    for consumer, about in client.hgetall(key).items():
        if now - int(about.split()[0]) / 1_000_000 > _SILENT_SECONDS:
            client.hdel(key, consumer)


@contextlib.contextmanager
def nobody(stage: Stage) -> Iterator[None]:
    """Enqueue where no consumer is."""
    queues = stage.main.queues
    queues.nobody.enqueue(queues.waits.s())
    yield
    stage.main.consumer("nobody", "nobody", workers=1)


@contextlib.contextmanager
def unscheduled(stage: Stage) -> Iterator[None]:
    """Stop the only consumer of a queue with a schedule, and a task that is soon due."""
    queues, actor = stage.main.queues, stage.main.actors["unscheduled"]
    queues.later.schedule(delay=4)
    wait_until(lambda: stage.main.client.zcard(QueueKeys("unscheduled")["scheduled"]), 20, "it is scheduled")
    stop(stage.main, "unscheduled")
    yield
    actor.start()


def _failing_alerts() -> list[dict[str, str]]:
    burning = {"queue": "failing", "window": "1h", "severity": "critical"}
    return [
        dict(expected("TaskFailureBurnRate", task="fails", **burning)),
        dict(expected("TaskSLOBurn", task="promised", objective="success", **burning)),
        dict(expected("TaskAlwaysFails", queue="failing", task="rare")),
        dict(expected("DeadLettersGrowing", queue="failing")),
    ]


WORK_FAULTS: Final = (
    Fault(
        what="poison: tasks that nobody knows",
        strike=poison,
        alerts=[
            expected("ErrorEvents", queue="poison", event="error-internal", severity="warning"),
            expected("ErrorEvents", queue="poison", event="error-internal", severity="critical"),
            expected("DeadLettersGrowing", queue="poison"),
            expected("DeadLettersPresent", queue="poison"),
        ],
    ),
    Fault(what="tasks fail", strike=failing, alerts=_failing_alerts()),
    Fault(
        what="tasks fail and are retried",
        strike=retrying,
        alerts=[expected("RetryStorm", queue="retries", task="again")],
    ),
    Fault(
        what="a queue is paused and forgotten", strike=paused, alerts=[expected("PausedLong", queue="paused")]
    ),
    Fault(
        what="a periodic task fails",
        strike=periodic,
        alerts=[expected("PeriodicMissed", queue="periodic", task="beat")],
    ),
    Fault(
        what="a task does not stop at its timeout",
        strike=stuck,
        alerts=[expected("ThreadsAbandoned", queue="stuck")],
    ),
    Fault(
        what="a task falls out of its index",
        strike=stray,
        alerts=[expected("QueueIndexMismatch", queue="mended")],
    ),
    Fault(
        what="workers hang",
        strike=hung,
        alerts=[
            expected("QueueAge", queue="hung"),
            expected("QueueStalled", queue="hung"),
            expected("TaskRunningTooLong", queue="hung"),
            expected("ConsumersSaturated", queue="hung"),
        ],
    ),
    Fault(
        what="kill -9 a consumer that runs a task",
        strike=killed,
        alerts=[expected("TasksLost", queue="killed"), expected("ConsumerGone", queue="killed")],
    ),
    Fault(what="no consumer is there", strike=nobody, alerts=[expected("NoConsumers", queue="nobody")]),
    Fault(
        what="the last scheduler stops",
        strike=unscheduled,
        alerts=[
            expected("SchedulerStalled", queue="unscheduled"),
            expected("OverdueScheduled", queue="unscheduled"),
            expected("NoConsumers", queue="unscheduled"),
        ],
    ),
)
