"""When to try a Redis again that was away."""

from limelight.consumer.outage import PAUSE_SECONDS, TRY_SECONDS, Outage


def test_nobody_tries_again_before_the_pause_is_over() -> None:
    outage = Outage()
    assert not outage.lasts(100.0)
    outage.fails(100.0)
    assert outage.lasts(100.0 + PAUSE_SECONDS[0] / 2 - 0.001)
    assert not outage.lasts(100.0 + PAUSE_SECONDS[0])


def test_threads_that_fail_together_count_as_one_failure() -> None:
    outage = Outage()
    for _ in range(8):
        outage.fails(100.0)
    assert outage.until <= 100.0 + PAUSE_SECONDS[0]


def test_each_round_of_failures_doubles_the_pause_up_to_its_limit() -> None:
    outage = Outage()
    now, pauses = 100.0, []
    for _ in range(12):
        outage.fails(now)
        pauses.append(outage.until - now)
        now = outage.until
    assert all(PAUSE_SECONDS[0] * 2**n / 2 <= pause + 1e-9 for n, pause in enumerate(pauses[:5]))
    assert all(PAUSE_SECONDS[1] / 2 <= pause + 1e-9 for pause in pauses[7:])
    assert max(pauses) <= PAUSE_SECONDS[1]


def test_an_outage_is_told_once_and_the_next_one_again() -> None:
    outage = Outage()
    outage.fails(1.0)
    assert [outage.is_to_be_told() for _ in range(3)] == [True, False, False]
    outage.ends()
    assert not outage.lasts(1.0)
    outage.fails(2.0)
    assert outage.is_to_be_told()
    assert outage.until <= 2.0 + PAUSE_SECONDS[0]


def test_after_an_outage_one_tries_and_the_others_wait_for_how_it_goes() -> None:
    outage = Outage()
    assert all(outage.may_try(1.0) for _ in range(3))
    outage.fails(1.0)
    assert not outage.may_try(1.0)
    assert [outage.may_try(2.0) for _ in range(3)] == [True, False, False]
    assert not outage.may_try(2.0 + TRY_SECONDS - 0.1)
    outage.fails(12.0)
    assert outage.may_try(12.0 + 2 * PAUSE_SECONDS[0])
    outage.ends()
    assert all(outage.may_try(12.0) for _ in range(3))


def test_a_try_of_which_nothing_is_heard_does_not_keep_the_others_out_for_good() -> None:
    outage = Outage()
    outage.fails(1.0)
    assert outage.may_try(2.0)
    assert outage.may_try(2.0 + TRY_SECONDS)
