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
    Locked,
    Outcome,
    Raised,
    RateLimited,
    ResultRefused,
    Retries,
    Returned,
    State,
    TimedOut,
    settle,
)
from limelight.retry import Backoff

LEFT = Retries(left=2, delay_seconds=10, backoff=Backoff(2))
NONE_LEFT = Retries(left=0, delay_seconds=10, backoff=Backoff(2))
OUTCOMES: list[Outcome] = [
    Returned(),
    Raised(),
    Raised(final=True),
    ResultRefused(),
    AskedRetry(),
    AskedRetry(3),
    Canceled(),
    Canceled(retry=True),
    Locked(),
    RateLimited(4, retry=True),
    RateLimited(4, retry=False),
    Canceled(retry=None),
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
        (AskedRetry(), NONE_LEFT, Decision("retrying", "retry", Fate.RETRY, "", 10, 20, granted=True)),
        (AskedRetry(3), LEFT, Decision("retrying", "retry", Fate.RETRY, "", 3, 10, granted=True)),
        (Canceled(), LEFT, Decision("canceled", "canceled", Fate.END, "canceled")),
        (Canceled(retry=True), LEFT, Decision("canceled", "canceled", Fate.RETRY, "", 10, 20)),
        (
            Canceled(retry=True),
            NONE_LEFT,
            Decision("canceled", "canceled", Fate.RETRY, "", 10, 20, granted=True),
        ),
        (Canceled(retry=None), LEFT, Decision("canceled", "canceled", Fate.RETRY, "", 10, 20)),
        (Canceled(retry=None), NONE_LEFT, Decision("canceled", "canceled", Fate.END, "canceled")),
        (Locked(), NONE_LEFT, Decision("locked", "locked", Fate.END, "locked")),
        (Locked(), LEFT, Decision("locked", "locked", Fate.RETRY, "", 10, 20, parked=True)),
        (
            RateLimited(4, retry=True),
            NONE_LEFT,
            Decision("rate-limited", "rate_limited", Fate.RETRY, "", 10, 20, granted=True, parked=True),
        ),
        (
            RateLimited(4, retry=True),
            Retries(0, 0),
            Decision("rate-limited", "rate_limited", Fate.RETRY, "", 4, 0, granted=True, parked=True),
        ),
        (
            RateLimited(4, retry=False),
            NONE_LEFT,
            Decision("rate-limited", "rate_limited", Fate.END, "rate_limited"),
        ),
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


def test_a_dead_letter_moves_only_when_an_operator_says_so() -> None:
    assert {way for before, way in NEXT if before is State.DEAD} == {"requeue", "purge"}


def test_only_what_no_worker_holds_can_be_canceled() -> None:
    canceled = {before for before, way in NEXT if way == "cancel"}
    assert canceled == {State.READY, State.DELAYED, State.SCHEDULED}
