"""The rule for tests whose server is not installed."""

from __future__ import annotations

import pytest
from missing import needed
from servers import wait_until


def test_in_ci_a_missing_server_fails_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"prometheus.*apt install prometheus"):
        needed(None, "prometheus", "apt install prometheus")


@pytest.mark.parametrize("ci", ["", "false"])
def test_elsewhere_a_missing_server_skips_the_test(monkeypatch: pytest.MonkeyPatch, ci: str) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(pytest.skip.Exception, match=r"prometheus.*apt install prometheus"):
        needed(None, "prometheus", "apt install prometheus")


def test_what_was_found_is_returned() -> None:
    assert needed("/usr/bin/prometheus", "prometheus", "") == "/usr/bin/prometheus"


def test_waiting_ends_with_the_answer_or_says_what_it_waited_for() -> None:
    answers = iter([0, None, "yes"])
    assert wait_until(lambda: next(answers), 5) == "yes"
    with pytest.raises(AssertionError, match="the moon: not within 0 s, last answer 0"):
        wait_until(lambda: 0, 0, "the moon")
