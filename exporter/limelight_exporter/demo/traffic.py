"""The shop's customers: a process that enqueues tasks until its standard input is closed.

``python -m limelight_exporter.demo.traffic RATE``; each line on standard input is one more customer, whose card is
stolen. Ending with the input means ending with whoever started it, however that ended.
"""

from __future__ import annotations

import itertools
import os
import random
import select
import sys
import time
from collections.abc import Iterator
from typing import Final

from limelight.errors import LimelightError
from limelight.task import Task

from .shop import STOLEN_CARD, build_pdf, mail, place_order, send_email, shop

SEED: Final = 10
NEWSLETTER_SHARE: Final = 0.015
NEWSLETTER_TASKS: Final = 30
MEAN_TASKS: Final = 1 + NEWSLETTER_SHARE * (NEWSLETTER_TASKS - 1)
_LONGEST_LAG_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.5


def visits(chance: random.Random) -> Iterator[list[Task]]:
    """What customers ask for, without end; the same seed gives the same customers.

    Now and then a newsletter goes out: many mails at once. `MEAN_TASKS` is how many tasks a visit has on average.
    """
    for number in itertools.count(1001):
        wish = chance.random()
        if wish < 0.55:
            card = STOLEN_CARD if chance.random() < 0.01 else f"{chance.randrange(10_000):04}"
            yield [place_order.s(number, card)]
        elif wish < 0.95:
            yield [_email(number, "Your new password")]
        elif wish < 1 - NEWSLETTER_SHARE:
            yield [build_pdf.s(number)]
        else:
            yield [_email(reader, "What is new in our shop") for reader in range(NEWSLETTER_TASKS)]


def _email(number: int, subject: str) -> Task:
    return send_email.s(f"customer-{number}@example.com", subject)


def enqueue(task: Task) -> None:
    """Put it on its queue. A customer who finds Redis away leaves, as customers do."""
    queue = mail if task.name in mail.registry else shop
    try:
        queue.enqueue(task)
    except LimelightError:
        time.sleep(_PAUSE_SECONDS)


def serve(rate: float, control: int) -> None:
    """Enqueue `rate` tasks per second, at random moments, until `control` (a file descriptor) is closed."""
    chance = random.Random(SEED)
    wishes = visits(chance)
    due = time.monotonic()
    while True:
        said = _said(control, due - time.monotonic())
        if said == b"":
            return
        for _ in range(said.count(b"\n") if said else 0):
            enqueue(place_order.s(chance.randrange(1000), STOLEN_CARD))
        if time.monotonic() >= due:
            for task in next(wishes):
                enqueue(task)
            due = max(due + chance.expovariate(rate / MEAN_TASKS), time.monotonic() - _LONGEST_LAG_SECONDS)


def _said(control: int, seconds: float) -> bytes | None:
    """What came within the time: None for nothing, b"" for the end."""
    ready, _, _ = select.select([control], [], [], max(0.0, seconds))
    return os.read(control, 1024) if ready else None


if __name__ == "__main__":
    serve(float(sys.argv[1]), sys.stdin.fileno())
