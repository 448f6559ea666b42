"""The order of measurements, and what becomes of those that fail."""

from collections.abc import Callable

from queues.adapter import NotThere
from queues.contenders import HUEY, ONE_THREAD, THREADS
from queues.figures import SIZES, Case, Figure, Scenario, Sizes
from queues.plan import carry_out, steps
from queues.processes import Failed
from report.record import Record

QUICK = SIZES["quick"]


def scenario(measure: Callable[[Case, Sizes], list[Figure]], *, once: bool = False) -> Scenario:
    return Scenario(
        "try", "things", lambda contenders, _: [Case(one) for one in contenders], measure, once=once
    )


def measured(measure: Callable[[Case, Sizes], list[Figure]], rounds: int) -> tuple[Record, list[str]]:
    record, said = Record(about={"failed": []}), list[str]()
    plan = steps([scenario(measure)], [THREADS, HUEY], QUICK, rounds)
    list(carry_out(plan, QUICK, record, said.append))
    return record, said


def test_contenders_take_turns_and_another_begins_each_round() -> None:
    plan = steps([scenario(lambda case, sizes: [])], [THREADS, ONE_THREAD, HUEY], QUICK, 2)
    assert [step.case.contender for step in plan] == [THREADS, ONE_THREAD, HUEY, ONE_THREAD, HUEY, THREADS]


def test_what_does_not_vary_is_measured_once() -> None:
    assert len(steps([scenario(lambda case, sizes: [], once=True)], [THREADS, HUEY], QUICK, 3)) == 2


def test_a_measurement_that_fails_is_told_and_the_others_go_on() -> None:
    def measure(case: Case, sizes: Sizes) -> list[Figure]:
        if case.contender == THREADS:
            raise Failed("it is broken")
        return [Figure("things", 5.0, "more")]

    record, said = measured(measure, rounds=1)
    ours, huey = record.rows
    assert (ours.measured, ours.missing, ours.peer) == ([], "failed", False)
    assert (huey.measured, huey.peer) == ([5.0], True)
    assert len(said) == 1
    assert "it is broken" in said[0]
    assert record.about["failed"] == said


def test_what_a_contender_does_not_have_is_no_failure_and_is_not_tried_again() -> None:
    tried = []

    def measure(case: Case, sizes: Sizes) -> list[Figure]:
        tried.append(case)
        raise NotThere("no such kind yet")

    record, said = measured(measure, rounds=3)
    assert len(tried) == 2
    assert {row.missing for row in record.rows} == {"no such kind yet"}
    assert said == []
