"""The application and its customers."""

import random
from itertools import islice

import pytest

from limelight_exporter.demo import shop
from limelight_exporter.demo.processes import APPLICATION, QUEUES
from limelight_exporter.demo.traffic import MEAN_TASKS, visits


def test_consumers_are_started_for_the_queues_that_the_shop_has() -> None:
    assert {shop.shop.name: "shop", shop.mail.name: "mail"} == {
        queue: target.partition(":")[2] for queue, target in QUEUES.items()
    }
    assert {target.partition(":")[0] for target in QUEUES.values()} == {shop.__name__}
    assert APPLICATION.samefile(shop.__file__)


def test_the_same_seed_brings_the_same_customers() -> None:
    def asked(seed: int) -> list[tuple[str, tuple[object, ...]]]:
        visitors = islice(visits(random.Random(seed)), 200)
        return [(task.name, task.args) for wish in visitors for task in wish]

    assert asked(1) == asked(1)
    assert asked(1) != asked(2)


def test_customers_ask_for_as_many_tasks_as_is_said() -> None:
    asked = [len(wish) for wish in islice(visits(random.Random(5)), 20_000)]
    assert sum(asked) / len(asked) == pytest.approx(MEAN_TASKS, rel=0.1)


def test_a_stolen_card_is_refused_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop, "work", lambda *_: None)
    for _ in range(5):
        with pytest.raises(shop.CardDeclined):
            shop.charge_card.call_local(1, shop.STOLEN_CARD)
