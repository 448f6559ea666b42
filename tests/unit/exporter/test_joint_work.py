from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from servers import wait_until

from limelight_exporter.joint_work import JointWork


class Kitchen:
    """Work that takes until it is told to end."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.go_on = threading.Semaphore(0)

    def cook(self, question: str, _deadline: float) -> int:
        self.begun.append(question)
        number = len(self.begun)
        assert self.go_on.acquire(timeout=10)
        return number


@pytest.fixture
def pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(12)


def asked(pool: ThreadPoolExecutor, work: JointWork[int], question: str = "same") -> Future[int]:
    return pool.submit(work.ask, question, time.monotonic() + 30)


def test_all_who_ask_while_one_is_answered_share_the_next_answer(pool: ThreadPoolExecutor) -> None:
    kitchen = Kitchen()
    work = JointWork(kitchen.cook)
    first = asked(pool, work)
    wait_until(lambda: kitchen.begun)
    others = [asked(pool, work) for _ in range(8)]
    wait_until(lambda: sum(future.running() for future in others) == 8)
    kitchen.go_on.release(2)
    assert first.result(10) == 1, "it asked before anybody"
    assert {future.result(10) for future in others} == {2}, "never an answer that began before the question"


def test_different_questions_are_answered_one_after_another(pool: ThreadPoolExecutor) -> None:
    kitchen = Kitchen()
    work = JointWork(kitchen.cook)
    futures = [asked(pool, work, question) for question in ("a", "b")]
    wait_until(lambda: kitchen.begun)
    assert len(kitchen.begun) == 1
    kitchen.go_on.release(2)
    assert {future.result(10) for future in futures} == {1, 2}


def test_whoever_has_little_time_does_not_wait_for_whoever_has_much(pool: ThreadPoolExecutor) -> None:
    kitchen = Kitchen()
    work = JointWork(kitchen.cook)
    slow = asked(pool, work)
    wait_until(lambda: kitchen.begun)
    hurried = pool.submit(work.ask, "same", time.monotonic() + 1.0)
    wait_until(lambda: len(kitchen.begun) == 2, 5, "the hurried one began beside the other")
    kitchen.go_on.release(2)
    assert {slow.result(10), hurried.result(10)} == {1, 2}


def test_a_fault_reaches_all_who_asked_and_nobody_after_them() -> None:
    answers = iter([ValueError("no"), 7])

    def work(_question: str, _deadline: float) -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    joint = JointWork(work)
    with pytest.raises(ValueError, match="no"):
        joint.ask("x", time.monotonic() + 1)
    assert joint.ask("x", time.monotonic() + 1) == 7
