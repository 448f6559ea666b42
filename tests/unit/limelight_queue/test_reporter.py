from collections.abc import Sequence
from typing import Any

import pytest

from limelight.consumer.reporter import BUFFER_SIZE, Reporter
from limelight.errors import OutcomeUnknown, RedisUnavailable
from limelight.storage.base import Notice
from limelight.task import Receipt


class Storage:
    """Takes notices, or fails as told."""

    def __init__(self) -> None:
        self.told: dict[Receipt, list[Notice]] = {}
        self.faults: list[Exception] = []
        self._numbers = iter(range(1, 1_000))

    def new_receipt(self, kind: str) -> Receipt:
        return Receipt(kind, next(self._numbers))

    def tell(self, notices: Sequence[Notice], receipt: Receipt) -> None:
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, RedisUnavailable):
            raise fault
        self.told.setdefault(receipt, list(notices))
        if fault is not None:
            raise fault

    @property
    def fragments(self) -> list[str]:
        return [notice.fragment for notices in self.told.values() for notice in notices]


def notice(number: int) -> Notice:
    return Notice("error-internal", True, "worker", f',"n":{number}')


@pytest.fixture
def storage() -> Any:
    return Storage()


def test_what_waited_is_told_in_order_when_redis_is_back(storage: Any) -> None:
    reporter = Reporter(storage)
    storage.faults = [RedisUnavailable("away"), RedisUnavailable("away")]
    reporter.add(notice(1), notice(2))
    assert not reporter.flush()
    reporter.add(notice(3))
    assert not reporter.flush()
    assert reporter.flush()
    assert storage.fragments == [',"n":1', ',"n":2', ',"n":3']


def test_an_answer_that_never_came_is_asked_for_under_the_same_number(storage: Any) -> None:
    reporter = Reporter(storage)
    storage.faults = [OutcomeUnknown("lost"), OutcomeUnknown("lost")]
    reporter.add(notice(1))
    assert not reporter.flush()
    reporter.add(notice(2))
    assert not reporter.flush()
    assert reporter.flush()
    assert storage.fragments == [',"n":1', ',"n":2']


def test_the_oldest_are_dropped_first_and_how_many_is_told(storage: Any) -> None:
    reporter = Reporter(storage)
    reporter.add(*map(notice, range(BUFFER_SIZE + 7)))
    assert reporter.flush()
    assert len(storage.fragments) == BUFFER_SIZE
    assert storage.fragments[0] == ',"n":7,"dropped":7'
    assert sum("dropped" in fragment for fragment in storage.fragments) == 1
