"""A task's events become what it went through."""

from typing import Any

from limelight.events import Event
from limelight_exporter.demo.timeline import MOST_PHASES, Kind, Phase, Timeline, bar


def event(status: str, at: float, **keys: Any) -> Event:
    return Event(status=status, queue="q", seq=1, timestamp=at, id="a", task="t", **keys)


def told(*events: Event) -> Timeline:
    timeline = Timeline("a", "t")
    for one in events:
        timeline.tell(one)
    return timeline


FAILED_ONCE = (
    event("enqueued", 10, ready_at=10.0),
    event("started", 11, ready_at=10.0),
    event("error-task", 13, outcome="error", error=True, duration=2.0),
    event("retrying", 13),
    event("scheduled", 13, ready_at=16.0, execute_time=16.0),
)


def test_a_task_waits_fails_backs_off_and_runs() -> None:
    timeline = told(
        *FAILED_ONCE,
        event("started", 17, ready_at=16.0),
        event("finished", 18, outcome="success", end="success", duration=1.0),
    )
    assert timeline.phases(99) == (
        Phase(Kind.WAITED, 10, 11),
        Phase(Kind.FAILED, 11, 13),
        Phase(Kind.BACKED_OFF, 13, 16),
        Phase(Kind.WAITED, 16, 17),
        Phase(Kind.RAN, 17, 18),
    )
    assert (timeline.failures, timeline.ended_at) == (1, 18)


def test_what_still_goes_on_reaches_until_now() -> None:
    assert told(*FAILED_ONCE[:1]).phases(10.5) == (Phase(Kind.WAITED, 10, 10.5),)
    assert told(*FAILED_ONCE[:2]).phases(12)[-1] == Phase(Kind.RAN, 11, 12)
    assert told(*FAILED_ONCE).phases(15)[-1] == Phase(Kind.BACKED_OFF, 13, 15)
    assert told(*FAILED_ONCE).phases(17)[-2:] == (Phase(Kind.BACKED_OFF, 13, 16), Phase(Kind.WAITED, 16, 17))


def test_a_delayed_task_does_not_wait_before_its_time() -> None:
    assert told(event("enqueued", 10, ready_at=40.0)).phases(30) == ()


def test_a_run_whose_start_was_not_seen_begins_where_its_closing_event_says() -> None:
    timeline = told(event("finished", 18, outcome="success", end="success", started_at=15.0))
    assert timeline.phases(20) == (Phase(Kind.RAN, 15, 18),)


def test_a_task_that_never_ends_keeps_a_bounded_past() -> None:
    timeline = Timeline("a", "t")
    for run in range(MOST_PHASES):
        timeline.tell(event("started", run, ready_at=float(run)))
        timeline.tell(event("error-task", run + 0.5, outcome="error", error=True))
    assert len(timeline.phases(0)) == MOST_PHASES


def drawn(*phases: Phase) -> str:
    signs = {None: " ", Kind.WAITED: "w", Kind.RAN: "r", Kind.FAILED: "x", Kind.BACKED_OFF: "."}
    return "".join(signs[cell] for cell in bar(phases, since=0, until=20, width=20))


def test_a_bar_shows_each_phase_in_its_place() -> None:
    assert (
        drawn(
            Phase(Kind.WAITED, 2, 3.9),
            Phase(Kind.FAILED, 4, 6.9),
            Phase(Kind.BACKED_OFF, 7, 9.9),
            Phase(Kind.RAN, 10, 12),
        )
        == "  wwrrx...rrr       "
    )


def test_a_short_run_has_a_cell_and_what_is_long_past_has_none() -> None:
    assert drawn(Phase(Kind.WAITED, 5.0, 5.01), Phase(Kind.RAN, 5.01, 5.02)) == "     r              "
    assert drawn(Phase(Kind.RAN, -9, -1)) == " " * 20
    assert drawn(Phase(Kind.RAN, -9, 1)) == "rr" + " " * 18
    assert drawn(Phase(Kind.FAILED, 19.9, 20)) == " " * 19 + "x"
