import itertools

import pytest

from limelight import events
from limelight.lifecycle import (
    NEXT,
    AskedRetry,
    Canceled,
    Decision,
    Fate,
    Interrupted,
    Outcome,
    Raised,
    ResultRefused,
    Retries,
    Returned,
    State,
    TimedOut,
    settle,
)

LEFT = Retries(left=2, delay_seconds=10, backoff=2)
NONE_LEFT = Retries(left=0, delay_seconds=10, backoff=2)
OUTCOMES: list[Outcome] = [
    Returned(),
    Raised(),
    Raised(final=True),
    ResultRefused(),
    AskedRetry(),
    AskedRetry(3),
    Canceled(),
    Canceled(retry=True),
    Interrupted(),
    TimedOut(),
]


@pytest.mark.parametrize(
    ("outcome", "retries", "expected"),
    [
        (Returned(), LEFT, Decision("finished", "success", Fate.END, "success")),
        (ResultRefused(), LEFT, Decision("error-storing-result", "result_error", Fate.END, "result_error")),
        (Raised(), LEFT, Decision("error-task", "error", Fate.RETRY, "", 10, 20)),
        (Raised(), NONE_LEFT, Decision("error-task", "error", Fate.DEAD, "dead")),
        (Raised(final=True), LEFT, Decision("error-task", "error", Fate.DEAD, "dead")),
        (TimedOut(), LEFT, Decision("timeout", "timeout", Fate.RETRY, "", 10, 20)),
        (TimedOut(), NONE_LEFT, Decision("timeout", "timeout", Fate.DEAD, "dead")),
        (AskedRetry(), NONE_LEFT, Decision("retrying", "retry", Fate.RETRY, "", 10, 10)),
        (AskedRetry(3), LEFT, Decision("retrying", "retry", Fate.RETRY, "", 3, 10)),
        (Canceled(), LEFT, Decision("canceled", "canceled", Fate.END, "canceled")),
        (Canceled(retry=True), LEFT, Decision("canceled", "canceled", Fate.RETRY, "", 10, 20)),
        (Canceled(retry=True), NONE_LEFT, Decision("canceled", "canceled", Fate.END, "canceled")),
        (Interrupted(), LEFT, Decision("interrupted", "interrupted", Fate.BACK, "", 0, 10)),
    ],
)
def test_what_becomes_of_a_run(outcome: Outcome, retries: Retries, expected: Decision) -> None:
    assert settle(outcome, retries) == expected


@pytest.mark.parametrize(("outcome", "retries"), list(itertools.product(OUTCOMES, [LEFT, NONE_LEFT])))
def test_every_decision_speaks_the_contract_and_ends_exactly_what_it_ends(
    outcome: Outcome, retries: Retries
) -> None:
    decision = settle(outcome, retries)
    assert decision.status in events.STATUSES
    assert decision.outcome in events.OUTCOMES
    assert (decision.end in events.ENDS) == (decision.fate in {Fate.END, Fate.DEAD})
    assert (decision.end == "") == (decision.fate in {Fate.RETRY, Fate.BACK})


def test_every_state_can_be_left_and_reaches_an_end() -> None:
    ways = {state: {after for (before, _), after in NEXT.items() if before is state} for state in State}
    ends = {State.GONE, State.DEAD}
    reached, before = set(ends), set[State]()
    while reached != before:
        before = set(reached)
        reached |= {state for state, after in ways.items() if after & reached}
    assert reached == set(State)
    assert not ways[State.GONE]
