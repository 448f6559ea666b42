"""An order shop on two queues: the application that `limelight demo` runs, and an example to start from.

Nothing here knows of the demo. Run it yourself against any Redis::

    export LIMELIGHT_REDIS_URL=redis://localhost:6379/0
    limelight consumer limelight_exporter.demo.shop:shop --workers 4
    limelight consumer limelight_exporter.demo.shop:mail --workers 4
    python -c 'from limelight_exporter.demo.shop import place_order; place_order(1, "4242")'
"""

from __future__ import annotations

import random
import time
from smtplib import SMTPServerDisconnected
from typing import Final

from limelight import RedisQueue, crontab

shop = RedisQueue("demo-shop")  # both find Redis by LIMELIGHT_REDIS_URL
mail = RedisQueue("demo-mail")

STOLEN_CARD: Final = "stolen"
chance = random.Random(20)


class CardDeclined(Exception):
    """The bank says no, and will say no again."""


class BankDoesNotAnswer(Exception):
    """The bank may answer the next time."""


@shop.task()
def place_order(number: int, card: str) -> int:
    """Quick, and a task that enqueues another one: the trace shows both."""
    work(0.01, 0.05)
    charge_card(number, card)
    return number


@shop.task(retries=3, retry_delay=1, retry_backoff=2, priority=10)
def charge_card(number: int, card: str) -> int:
    """Flaky: tried again after 1, 2 and 4 seconds. A stolen card fails each time, and ends as a dead letter."""
    work(0.05, 0.3)
    if card == STOLEN_CARD:
        raise CardDeclined(f"order {number}: the bank does not accept this card")
    if chance.random() < 0.07:
        raise BankDoesNotAnswer(f"order {number}: no answer within 300 ms")
    send_email(f"customer-{number}@example.com", f"Order {number} is on its way")
    if chance.random() < 0.1:
        ask_review.schedule((number,), delay=chance.uniform(10, 30))
    return number


@shop.periodic_task(crontab(minute="*"))
def count_stock() -> None:
    """Runs by itself once a minute, however many consumers there are."""
    work(0.2, 0.6)


@mail.task(retries=3, retry_delay=2)
def send_email(to: str, subject: str) -> int:
    """Quick; fails now and then when the mail server goes away."""
    work(0.01, 0.12)
    if chance.random() < 0.01:
        raise SMTPServerDisconnected("Connection unexpectedly closed")
    return len(to) + len(subject)


@mail.task(priority=-10)
def build_pdf(number: int) -> str:
    """Slow: seconds, so it lets the quick ones go first."""
    work(1.0, 3.5)
    return f"invoice-{number}.pdf"


@mail.task()
def ask_review(number: int) -> int:
    """Enqueued with a delay, half a minute after the order."""
    work(0.01, 0.05)
    return number


def work(least_seconds: float, most_seconds: float) -> None:
    """Stands for what your task does: most of it waits for somebody else."""
    time.sleep(chance.uniform(least_seconds, most_seconds))
