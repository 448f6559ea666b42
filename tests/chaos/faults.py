"""What each fault does. A fault is a generator: it strikes, yields for as long as it lasts, and puts things right.

The stage resumes it every few hundredths of a second, so that many go on at once; none may block for long.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

import redis

from limelight.storage.scripts import SCRIPTS

from .actors import signaled
from .schedule import Strike

if TYPE_CHECKING:
    from proxy import FaultyProxy

    from .actors import Actor
    from .stage import Stage

STOP_SECONDS: Final = 45.0
"""A process that was told to stop must have ended by then, whatever else befalls it meanwhile."""
_REARM_SECONDS: Final = 0.15

Fault = Callable[["Stage", Strike], Iterator[None]]


def lasting(seconds: float) -> Iterator[None]:
    """Yield until the time is over."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield


# -- Processes -------------------------------------------------------------------------------------------
def kill(stage: Stage, strike: Strike) -> Iterator[None]:
    """SIGKILL, with its worker processes or without; another process takes its place."""
    actor = stage.actors[strike.target]
    actor.kill(whole=_with_all(strike))
    yield from lasting(strike.seconds)
    stage.restart(actor)


def terminate(stage: Stage, strike: Strike) -> Iterator[None]:
    """SIGTERM; another process takes its place when it has ended."""
    actor = stage.actors[strike.target]
    actor.signal(signal.SIGTERM, whole=_with_all(strike))
    yield from ended(stage, actor)
    yield from lasting(strike.seconds)
    stage.restart(actor)


def terminate_twice(stage: Stage, strike: Strike) -> Iterator[None]:
    """SIGTERM, and soon again: hand back what runs."""
    actor = stage.actors[strike.target]
    actor.signal(signal.SIGTERM)
    yield from lasting(strike.seconds)
    actor.signal(signal.SIGTERM)
    yield from ended(stage, actor)
    stage.restart(actor)


def ended(stage: Stage, actor: Actor) -> Iterator[None]:
    """Yield until a process that was told to stop has ended; one that does not is a problem, and killed."""
    until = time.monotonic() + STOP_SECONDS
    while actor.alive:
        if time.monotonic() > until:
            stage.problems.append(f"{actor.name} had not stopped {STOP_SECONDS:.0f} s after SIGTERM")
            actor.kill()
        yield


def freeze(stage: Stage, strike: Strike) -> Iterator[None]:
    """SIGSTOP, with its worker processes or without, for consumers longer than a lease: zombies wake up."""
    actor = stage.actors[strike.target]
    actor.signal(signal.SIGSTOP, whole=_with_all(strike))
    yield from lasting(strike.seconds)
    actor.signal(signal.SIGCONT, whole=True)


def _with_all(strike: Strike) -> bool:
    """Whether worker processes are struck as well, as by whatever befalls a machine or a terminal."""
    return strike.chance < 0.5


def kill_worker(stage: Stage, strike: Strike) -> Iterator[None]:
    """SIGKILL one worker process, or the server that forks them: what is lost is told, others take their place."""
    if worker := chosen_worker(stage, strike):
        stage.strike(worker, signal.SIGKILL, "killed")
    yield


def freeze_worker(stage: Stage, strike: Strike) -> Iterator[None]:
    """SIGSTOP one worker process, also for longer than a lease: its consumer renews what it knows of."""
    worker = chosen_worker(stage, strike)
    if worker:
        stage.strike(worker, signal.SIGSTOP, "frozen")
    yield from lasting(strike.seconds)
    if worker:
        signaled(worker, signal.SIGCONT)


def chosen_worker(stage: Stage, strike: Strike) -> int | None:
    """The pid of one of the worker processes that a consumer has now, if it has any."""
    workers = stage.workers_of(strike.target.removesuffix(" worker"))
    return workers[int(strike.chance * len(workers))] if workers else None


# -- Redis -----------------------------------------------------------------------------------------------
def kill_redis(stage: Stage, strike: Strike) -> Iterator[None]:
    """SIGKILL, and a start on the same port with what its append-only file has."""
    stage.server.kill()
    yield from lasting(strike.seconds)
    stage.server.start()


def freeze_redis(stage: Stage, strike: Strike) -> Iterator[None]:
    """SIGSTOP: connections stay open, nothing is answered."""
    pid = stage.server.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    yield from lasting(strike.seconds)
    os.kill(pid, signal.SIGCONT)


def flush_scripts(stage: Stage, strike: Strike) -> Iterator[None]:
    """Have Redis forget the scripts that connections have loaded."""
    with redis.Redis.from_url(stage.server.url) as client:
        client.script_flush()
    yield


def move_forward(stage: Stage, strike: Strike) -> Iterator[None]:
    """Put Redis' clock up to three minutes ahead: every lease is over at once, and due times are skipped."""
    stage.clock.move_to(min(600.0, stage.clock.offset_seconds + 10 + 170 * strike.chance))
    yield


def move_back(stage: Stage, strike: Strike) -> Iterator[None]:
    """Put Redis' clock back by up to two minutes: leases would last for ever, due times come again."""
    stage.clock.move_to(stage.clock.offset_seconds - 10 - 110 * strike.chance)
    yield


# -- Connections -----------------------------------------------------------------------------------------
def line_of(stage: Stage, strike: Strike) -> FaultyProxy:
    """The proxy that is struck."""
    return stage.lines[strike.target.removesuffix(" line")]


def cut(stage: Stage, strike: Strike) -> Iterator[None]:
    """Reset every connection and refuse new ones."""
    line_of(stage, strike).cut()
    yield from lasting(strike.seconds)
    line_of(stage, strike).pass_on()


def reset(stage: Stage, strike: Strike) -> Iterator[None]:
    """Reset every connection once."""
    line_of(stage, strike).reset_connections()
    yield


def stall(stage: Stage, strike: Strike) -> Iterator[None]:
    """Let nothing through; what was held back arrives late, also what its sender has given up."""
    line_of(stage, strike).hole()
    yield from lasting(strike.seconds)
    line_of(stage, strike).pass_on()


def slow_down(stage: Stage, strike: Strike) -> Iterator[None]:
    """Delay every piece."""
    line_of(stage, strike).delay(0.02 + 0.2 * strike.chance)
    yield from lasting(strike.seconds)
    line_of(stage, strike).pass_on()


def drop_replies(stage: Stage, strike: Strike) -> Iterator[None]:
    """Lose the answers of one script after the other: it was executed, and nobody can know."""
    line = line_of(stage, strike)
    scripts = list(SCRIPTS)
    random.Random(strike.chance).shuffle(scripts)
    over = time.monotonic() + strike.seconds
    for name in itertools.cycle(scripts):
        if time.monotonic() >= over:
            break
        line.drop_reply(SCRIPTS[name].sha)
        yield from lasting(_REARM_SECONDS)
    line.pass_on()


_LINE: Final[Mapping[str, Fault]] = {
    "cut": cut,
    "reset": reset,
    "stall": stall,
    "stall past the answer time": stall,
    "slow": slow_down,
    "drop replies": drop_replies,
}
_PROCESS: Final[Mapping[str, Fault]] = {
    "kill": kill,
    "terminate": terminate,
    "terminate twice": terminate_twice,
    "freeze": freeze,
}
FAULTS: Final[Mapping[str, Mapping[str, Fault]]] = {
    "consumer": _PROCESS,
    "producer": _PROCESS,
    "exporter": _PROCESS,
    "consumer worker": {"kill": kill_worker, "freeze": freeze_worker},
    "consumer line": _LINE,
    "producer line": _LINE,
    "redis": {"kill": kill_redis, "freeze": freeze_redis, "flush scripts": flush_scripts},
    "clock": {"forward": move_forward, "back": move_back},
}
