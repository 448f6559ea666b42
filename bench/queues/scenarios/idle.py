"""Idle: a consumer with nothing to do; how many commands a second does it send?

MONITOR tells, because it tells commands that a client sent from those that a script ran (`commandstats` adds
them up), and on an idle server it costs nothing that matters.
"""

import contextlib
import socket
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from queues.contenders import THREADS, Contender
from queues.figures import Case, Figure, Scenario, Sizes
from queues.stand import Stand

RATE: Final = "commands/s"
SETTLING_SECONDS: Final = 2.0
MANY_WORKERS: Final = replace(THREADS, workers=32)


def cases(contenders: Sequence[Contender], sizes: Sizes) -> list[Case]:
    """Each queue as it usually runs, and ours with 32 workers."""
    usual = [Case(one) for one in contenders if one.main and not one.limit]
    return [*usual, Case(MANY_WORKERS)]


def measure(case: Case, sizes: Sizes) -> list[Figure]:
    """One watch of a consumer that has run a task and then settled down."""
    with Stand(case.contender) as stand, stand.consumer() as consumer:
        stand.warm(consumer)
        stand.producer.stop()  # some have a poll of their own
        time.sleep(min(SETTLING_SECONDS, sizes.idle_seconds))
        sent = commands_sent(stand.port, sizes.idle_seconds)
        consumer.check()
    return [Figure(RATE, sent / sizes.idle_seconds, "less")]


def commands_sent(port: int, seconds: float) -> int:
    """How many commands clients send in that time; arguments are quoted, so a command is a line."""
    deadline = time.monotonic() + seconds
    told = bytearray()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"MONITOR\r\n")
        while (left := deadline - time.monotonic()) > 0:
            connection.settimeout(left)
            with contextlib.suppress(TimeoutError):
                told += connection.recv(65_536)
    lines = told.split(b"\r\n")[1:-1]  # the first is the answer to MONITOR, the last is empty or half told
    return sum(b" lua] " not in line[:40] for line in lines)


IDLE: Final = Scenario("idle", RATE, cases, measure, once=True)
