"""What the live page says first: the worst that holds, in plain words, by the thresholds of the alerts."""

from __future__ import annotations

import dataclasses
from typing import Any

import page_states as states
import pytest
from page_states import NOW, consumer, facts, group, queue, tally, view

from limelight.inspection import PeriodicRuns
from limelight_exporter import thresholds
from limelight_exporter.page.facts import QueueFacts
from limelight_exporter.page.verdict import Verdict, flag_of, verdict_of


def _mail(*consumers: Any, tasks: Any = None, flow: Any = None, **gauges: Any) -> QueueFacts:
    more = {"flow": flow} if flow else {}
    return queue(
        view("mail", *(consumers or (consumer("web-1", 1),)), **gauges), tasks or {"send": tally(300)}, **more
    )


@pytest.mark.parametrize(
    ("state", "kind", "words"),
    [
        ("empty", "empty", "No queue yet."),
        ("idle", "idle", "Nothing to do."),
        ("busy", "fine", "All 4 queues keep up."),
        (
            "failing",
            "fail",
            "send_email fails: 62 % of its attempts in 5 minutes. 1 other queue needs a look too.",
        ),
        ("behind", "warn", "reports is falling behind. Everything else keeps up."),
        ("replaying", "replay", "The exporter is reading what it missed."),
        ("down", "down", "Nothing is known since 15:05:31 UTC."),
    ],
)
def test_each_state_has_its_sentence(state: str, kind: str, words: str) -> None:
    verdict = verdict_of(states.STATES[state]())
    assert (verdict.kind, verdict.text) == (kind, words)
    assert len(verdict.reasons) <= 2
    assert "!" not in verdict.text + "".join(verdict.reasons)


def test_the_reasons_are_numbers() -> None:
    assert verdict_of(states.falling_behind()).reasons == (
        "312 tasks wait, the oldest for 6 m 40 s, and both of its workers are busy.",
        "194 more than five minutes ago.",
    )
    assert verdict_of(states.idle()).reasons == ("All 4 queues are empty, 22 workers wait.",)


def test_tasks_that_nobody_would_take_come_before_everything_else() -> None:
    alone = queue(view("mail", ready=3, oldest=1.0), {})
    verdict = verdict_of(facts(alone, *states.failing().queues[:1]))
    assert verdict.text.startswith("mail has no consumer.")
    gone = queue(view("mail", consumer("web-1", seen=90.0), ready=3, oldest=1.0), {})
    assert verdict_of(facts(gone)).reasons[1] == "Its consumers have gone silent."


def test_a_queue_that_says_how_long_its_tasks_may_wait_is_held_to_that() -> None:
    def word(longest: float) -> str:
        return flag_of(dataclasses.replace(_mail(ready=5, oldest=400.0), longest_wait=longest)).word

    assert (word(600.0), word(30.0), word(300.0)) == ("", "falling behind", "falling behind")


def test_what_was_begun_or_is_due_needs_a_consumer_too() -> None:
    for work in ({"running": 1}, {"oldest_due": NOW - 1}):
        one = queue(view("mail", consumer("web-1", seen=90.0), **work), {})
        assert flag_of(one).word == "no consumer"
        assert verdict_of(facts(one)).reasons[0] == "What was begun or is due is not done."
    assert flag_of(queue(view("mail", oldest_due=NOW + 1, scheduled=1), {})).word == "idle"
    assert flag_of(queue(view("mail", ready=1, paused=NOW), {})).word == "paused"


def test_a_queue_stands_still_when_it_is_old_and_nothing_is_finished() -> None:
    still = {"minute": tally(0)}
    assert flag_of(_mail(consumer("web-1", 0), ready=5, oldest=301.0, flow=still)).word == "stalled"
    assert flag_of(_mail(consumer("web-1", 0), ready=5, oldest=299.0, flow=still)).word == ""
    assert flag_of(_mail(consumer("web-1", 0), ready=5, oldest=301.0)).word == "falling behind"


def test_runs_that_take_their_time_are_no_standstill_until_they_take_too_long() -> None:
    still: dict[str, Any] = {"flow": {"minute": tally(0)}}
    young = {"oldest_running": NOW - thresholds.STALLED_SECONDS + 1}
    old = {"oldest_running": NOW - thresholds.STALLED_SECONDS - 1}
    assert (
        flag_of(_mail(consumer("web-1", 4), ready=5, oldest=400.0, **young, **still)).word == "falling behind"
    )
    assert flag_of(_mail(consumer("web-1", 4), ready=5, oldest=400.0, **old, **still)).word == "stalled"


def test_a_queue_that_is_old_but_shrinks_is_behind_and_not_falling_behind() -> None:
    seen = view("mail", consumer("web-1", 4), ready=10, oldest=400.0)
    assert flag_of(queue(seen, {"send": tally(300)}, ready_before=50)).word == "behind"


@pytest.mark.parametrize(
    ("failed", "attempts", "word"),
    [(4, 100, ""), (5, 100, "errors"), (5, 500, ""), (6, 500, "errors"), (5, 5, "errors")],
)
def test_failures_count_from_five_and_above_one_percent(failed: int, attempts: int, word: str) -> None:
    one = _mail(tasks={"send": tally(attempts - failed, failed=failed, attempts=attempts)})
    assert flag_of(one).word == word


def test_ten_of_one_type_in_a_large_crowd_are_flagged_too() -> None:
    crowd = _mail(tasks={"send": tally(99_990, failed=10, attempts=100_000)})
    assert flag_of(crowd).word == ""
    crowd = dataclasses.replace(crowd, failures=[group("send", "OSError", 10, 1.0)])
    assert flag_of(crowd).word == "errors"
    assert verdict_of(facts(crowd)).text == "send fails now and then."


def test_a_task_that_fails_whole_is_not_hidden_by_busy_ones() -> None:
    crowd = {"big": tally(100_000), "small": tally(0, failed=9, attempts=9)}
    assert verdict_of(facts(_mail(tasks=crowd))).text == "small fails: 100 % of its attempts in 5 minutes."


def test_new_dead_letters_and_lost_workers_have_a_flag() -> None:
    assert flag_of(_mail(tasks={"send": tally(100, dead=2)})).word == "2 dead"
    assert flag_of(_mail(tasks={"send": tally(100, lost=1)})).word == "1 lost"


def test_a_schedule_is_late_after_its_grace() -> None:
    def late(unmet: float, grace: float | None) -> str:
        runs = PeriodicRuns(
            name="nightly", due=NOW - unmet, next=NOW, success=None, unmet=NOW - unmet, grace=grace
        )
        return flag_of(_mail(periodic=(runs,))).word

    assert late(119.0, None) == ""
    assert late(121.0, None) == "schedule late"
    assert late(121.0, 600.0) == ""
    runs = PeriodicRuns(name="nightly", due=None, next=None, success=None, unmet=NOW - 720, grace=60.0)
    assert verdict_of(facts(_mail(periodic=(runs,)))).text == "nightly is late."


def test_a_paused_queue_is_not_behind() -> None:
    held = _mail(ready=5, oldest=9_000.0, paused=NOW - 60)
    assert flag_of(held).word == "paused"
    assert verdict_of(facts(held)).text == "mail is paused."


def test_an_exporter_that_lags_or_lost_events_says_so() -> None:
    def said(**keys: Any) -> Verdict:
        return verdict_of(facts(dataclasses.replace(_mail(), **keys)))

    assert said(behind_seconds=61.0).text == "The exporter is 1 m 1 s behind."
    assert said(behind_seconds=59.0).kind == "fine"
    assert said(lost=3).text == "3 events were gone before they could be read."


def test_names_from_outside_are_shown_as_they_are_and_cut() -> None:
    crowd = _mail(tasks={"x\u202e" * 200: tally(0, failed=9, attempts=9)})
    assert "\u202e" not in verdict_of(facts(crowd)).text
    assert len(verdict_of(facts(crowd)).subject) < 600
