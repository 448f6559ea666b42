import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from limelight.retry import LONGEST_DELAY_SECONDS, Backoff

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


# -- Whatever happens ----------------------------------------------------------------------------------
SECONDS = st.floats(0, LONGEST_DELAY_SECONDS)
BACKOFFS = st.builds(Backoff, SECONDS, SECONDS, st.floats(0, 1))
RETRIES = st.builds(Retries, st.integers(0, 1_000_000_000), SECONDS, BACKOFFS)
ANY_OUTCOME = st.one_of(
    st.just(Returned()),
    st.builds(Raised, st.booleans()),
    st.just(ResultRefused()),
    st.builds(AskedRetry, st.none() | SECONDS),
    st.builds(Canceled, st.sampled_from([True, False, None])),
    st.just(TimedOut()),
    st.just(Locked()),
    st.builds(RateLimited, SECONDS, st.booleans()),
    st.just(Interrupted()),
)
CHANCES = st.floats(0, 1, exclude_max=True)


def way(decision: Decision) -> str:
    """How the table calls what the scripts do with a decision."""
    later = decision.delay_seconds > 0
    return {Fate.RETRY: "retry later" if later else "retry"}.get(decision.fate, str(decision.fate))


@given(ANY_OUTCOME, RETRIES, CHANCES)
def test_every_run_closes_in_a_way_that_the_table_knows(
    outcome: Outcome, retries: Retries, chance: float
) -> None:
    decision = settle(outcome, retries, chance)
    reached = NEXT[State.RUNNING, way(decision)]
    assert decision.status in events.STATUSES
    assert decision.outcome in events.OUTCOMES
    assert (decision.end in events.ENDS) == (reached in {State.GONE, State.DEAD})
    assert (decision.end == "") == (reached in {State.READY, State.SCHEDULED})
    assert 0 <= decision.delay_seconds <= LONGEST_DELAY_SECONDS
    assert 0 <= decision.next_delay_seconds <= LONGEST_DELAY_SECONDS


def after(decision: Decision, retries: Retries) -> Retries:
    """What is left afterwards, as lua/settle.lua keeps the books."""
    uses_one = decision.fate is Fate.RETRY and not decision.granted
    return Retries(retries.left - uses_one, decision.next_delay_seconds, retries.backoff)


@given(st.lists(ANY_OUTCOME, max_size=30), st.integers(0, 5), SECONDS, BACKOFFS)
def test_retries_are_never_negative_and_nobody_takes_more_than_were_declared(
    outcomes: list[Outcome], declared: int, delay: float, backoff: Backoff
) -> None:
    retries, used, granted = Retries(declared, delay, backoff), 0, 0
    for outcome in outcomes:
        decision = settle(outcome, retries)
        if decision.fate in {Fate.END, Fate.DEAD}:
            break
        left = after(decision, retries)
        used += retries.left - left.left
        granted += decision.fate is Fate.RETRY and left.left == retries.left
        assert left.left == declared - used >= 0
        assert not granted or any(asks_for_more(one) for one in outcomes)
        retries = left


def asks_for_more(outcome: Outcome) -> bool:
    return (
        isinstance(outcome, AskedRetry | Canceled | RateLimited) and getattr(outcome, "retry", True) is True
    )


@given(RETRIES, CHANCES)
def test_a_final_failure_and_a_final_cancel_are_final(retries: Retries, chance: float) -> None:
    assert settle(Raised(final=True), retries, chance).fate is Fate.DEAD
    assert settle(Canceled(retry=False), retries, chance).fate is Fate.END


@given(SECONDS, RETRIES, CHANCES)
def test_a_delay_that_the_task_asked_for_is_not_touched(
    asked: float, retries: Retries, chance: float
) -> None:
    decision = settle(AskedRetry(asked), retries, chance)
    assert (decision.delay_seconds, decision.next_delay_seconds) == (asked, retries.delay_seconds)
