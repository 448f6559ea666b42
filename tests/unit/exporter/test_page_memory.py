"""What the live page remembers of tasks and failures: bounded, chosen by id, and cheap for the fold."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Sequence
from typing import Any, cast

import page_states as states

from limelight.events import Event
from limelight_exporter.fold import decode
from limelight_exporter.page.failures import MOST_GROUPS, Failures, Group
from limelight_exporter.page.history import SLOTS, slot_of
from limelight_exporter.page.keepsake import Keepsake
from limelight_exporter.page.nodes import render
from limelight_exporter.page.recorder import Memory, Recorder
from limelight_exporter.page.timelines import MOST_STEPS, MOST_TASKS, Timelines, cut_in_the_middle
from limelight_exporter.page.waterfall import MOST_ROWS, recent_tasks, state_of, stretches
from limelight_exporter.stream_source import Batch, Position

NOW = 1_795_359_900.0
ID = "0192f3a8-7c41-7d0e-9b55-2f6f0c1a8e37"


def _told(status: str, task_id: str = ID, at: float = NOW, **keys: Any) -> dict[str, Any]:
    return {
        "status": status,
        "queue": "mail",
        "seq": 1,
        "timestamp": at,
        "task": "send",
        "id": task_id,
        **keys,
    }


def _failed(**keys: Any) -> dict[str, Any]:
    failure = {
        "error": True,
        "outcome": "error",
        "error_type": "OSError",
        "error_message": "no disk",
        "traceback": "T",
    }
    return _told("error-task", **{**failure, "attempt": 1, **keys})


class _NoKeepsake:
    """Stands in for Redis' key."""

    def __init__(self) -> None:
        self.kept: Sequence[Group] = ()

    def load(self) -> Sequence[Group]:
        return self.kept

    is_due = True

    def save(self, groups: Sequence[Group]) -> None:
        self.kept = groups


def _recorder(memory: Memory, keepsake: _NoKeepsake | None = None) -> Recorder:
    return Recorder(memory, cast(Keepsake, keepsake or _NoKeepsake()), "mail", lambda: NOW)


def _see(recorder: Recorder, *told: dict[str, Any]) -> None:
    raws = [json.dumps(one).encode() for one in told]
    recorder.see(
        Batch(Position(), events=[decode(raw) for raw in raws], written=[(b"e", raw) for raw in raws])
    )


def _memory(*, tracebacks: bool = True) -> Memory:
    return Memory("default", 14, tracebacks=tracebacks)


def test_a_few_tasks_are_all_kept_from_their_first_event_on() -> None:
    memory = _memory()
    _see(
        _recorder(memory),
        _told("enqueued"),
        _told("started", started_at=NOW),
        _told("finished", outcome="success", end="success"),
    )
    timeline = memory.timelines.get(ID)
    assert timeline is not None
    assert timeline.whole
    assert timeline.ended
    assert [step.status for step in timeline.steps] == ["enqueued", "started", "finished"]


def test_of_many_tasks_one_in_a_power_of_two_is_kept_whole() -> None:
    memory = _memory()
    recorder = _recorder(memory)
    for at in range(2_000):
        task_id = str(uuid.UUID(int=at * 7_919))
        _see(
            recorder, _told("enqueued", task_id), _told("finished", task_id, outcome="success", end="success")
        )
    assert memory.timelines.one_in >= 8
    held = memory.timelines.recent()
    assert 0 < len(held) <= MOST_TASKS
    assert all(len(timeline.steps) == 2 for timeline in held if memory.timelines.wants(timeline.id))


def test_a_task_that_fails_is_followed_from_then_on_although_it_was_not_chosen() -> None:
    memory = _memory()
    memory.timelines._mask = 2**16 - 1  # choose none
    recorder = _recorder(memory)
    _see(
        recorder,
        _told("enqueued"),
        _failed(),
        _told("retrying"),
        _told("finished", outcome="success", end="success"),
    )
    timeline = memory.timelines.get(ID)
    assert timeline is not None
    assert not timeline.whole
    assert [step.status for step in timeline.steps] == ["error-task", "retrying", "finished"]
    assert timeline.traceback == "T"


def test_a_storm_of_failures_is_counted_whole_and_read_once_a_second() -> None:
    memory = _memory()
    memory.timelines._mask = 2**16 - 1
    recorder = _recorder(memory)
    _see(recorder, *(_failed(task_id=str(uuid.UUID(int=at)), at=NOW + at / 1_000) for at in range(1, 3_000)))
    (group,) = memory.failures.groups()
    assert group.within(slot_of(NOW)) == 2_999
    assert len(memory.timelines.recent()) == 3


def test_the_burial_of_a_failure_is_not_another_failure() -> None:
    memory = _memory()
    _see(_recorder(memory), _failed(), _told("dead", end="dead", error_type="OSError"))
    (group,) = memory.failures.groups()
    assert (group.within(slot_of(NOW)), group.dead_at, group.message) == (1, NOW, "no disk")


def test_counts_older_than_five_minutes_are_forgotten() -> None:
    failures = Failures()
    for at in range(100):
        failures.count("mail", decode(json.dumps(_failed(at=NOW + 10 * at)).encode()))
    (group,) = failures.groups()
    assert len(group.counts) == SLOTS + 1
    assert group.within(slot_of(NOW + 990)) == 1


def test_groups_are_bounded_and_the_newest_stay() -> None:
    failures = Failures()
    for at in range(MOST_GROUPS + 50):
        failures.count("mail", decode(json.dumps(_failed(error_type=f"E{at}")).encode()))
    kept = failures.groups()
    assert len(kept) == MOST_GROUPS
    assert kept[-1].error_type == f"E{MOST_GROUPS + 49}"


def test_what_is_older_than_the_page_shows_is_not_even_read() -> None:
    memory = _memory()
    _see(_recorder(memory), _failed(at=NOW - 3_600))
    assert not memory.failures.groups()
    assert not memory.timelines.recent()


def test_without_tracebacks_none_is_kept() -> None:
    memory = _memory(tracebacks=False)
    _see(_recorder(memory), _failed())
    timeline = memory.timelines.get(ID)
    assert timeline is not None
    assert timeline.traceback == ""
    assert memory.failures.groups()[0].traceback == ""


def test_failures_of_before_a_restart_are_there_again_and_new_ones_stand() -> None:
    keepsake, before = _NoKeepsake(), _memory()
    recorder = _recorder(before, keepsake)
    _see(recorder, _failed(), _failed(error_type="KeyError"))
    recorder.keep()
    after = _memory()
    restarted = _recorder(after, keepsake)
    _see(restarted, _failed(error_message="newer"))
    restarted.began()
    assert {(group.error_type, group.message) for group in after.failures.groups()} == {
        ("KeyError", "no disk"),
        ("OSError", "newer"),
    }


def test_long_texts_are_cut_and_the_end_of_a_traceback_stays() -> None:
    memory = _memory()
    lines = "\n".join(f"line {at}" for at in range(9_000))
    _see(_recorder(memory), _failed(traceback=lines, error_message="m" * 5_000, error_type="E" * 900))
    (group,) = memory.failures.groups()
    assert len(group.traceback) < 8_300
    assert group.traceback.endswith("line 8999")
    assert (len(group.message), len(group.error_type)) == (1_024, 200)
    assert cut_in_the_middle("abc", 0) == ""


def test_a_task_with_endless_retries_keeps_its_first_and_its_newest_events() -> None:
    timelines = Timelines()
    for at in range(100):
        timelines.take(
            Event(
                status="enqueued" if not at else "retrying", queue="mail", seq=1, timestamp=NOW + at, id=ID
            ),
            0,
        )
    timeline = timelines.get(ID)
    assert timeline is not None
    assert len(timeline.steps) == MOST_STEPS
    assert (timeline.steps[0].timestamp, timeline.last.timestamp) == (NOW, NOW + 99)
    assert not timeline.whole


def test_an_id_that_is_none_of_ours_is_not_kept() -> None:
    timelines = Timelines()
    timelines.take(Event(status="enqueued", queue="mail", seq=1, timestamp=NOW, id="x" * 10_000), 0)
    assert not timelines.recent()


def test_where_there_are_too_many_tasks_some_of_each_kind_are_drawn() -> None:
    story = states.Story()
    for at in range(30):
        story.task("fails", (30.0 - at / 10, 0.1, "error"), (20.0 - at / 10, 0.1, "success"), queued=31.0)
    for at in range(30):
        story.task("works", (9.0 - at / 10, 0.1 + at / 1_000, "success"), queued=9.1)
    story.task("long", (50.0, 9.0, "success"), queued=50.1)
    story.task("now", (5.0, 5.0, "running"), queued=5.1)
    drawn = render(
        recent_tasks(states.facts(states.queue(states.view("mail"), {}), timelines=story.timelines))
    )
    names = re.findall(r">(fails|works|long|now)</a>", drawn)
    assert len(names) == MOST_ROWS
    assert names.count("fails") >= 4
    assert {"long", "now"} <= set(names)
    assert names.index("now") == 0


def test_a_life_is_waits_runs_and_back_offs_in_turn() -> None:
    timelines, first = Timelines(), {"queue": "mail", "seq": 1, "id": ID, "max_attempts": 4}
    told: list[dict[str, Any]] = [
        {"status": "enqueued", "timestamp": NOW, "ready_at": NOW},
        {"status": "started", "timestamp": NOW + 1, "ready_at": NOW, "started_at": NOW + 1, "run": 1, "attempt": 1},
        {"status": "error-task", "timestamp": NOW + 3, "ready_at": NOW, "started_at": NOW + 1, "run": 1, "attempt": 1,
         "duration": 2.0, "outcome": "error", "error": True},
        {"status": "scheduled", "timestamp": NOW + 3, "execute_time": NOW + 13, "run": 1, "attempt": 1},
    ]  # fmt: skip
    for one in told:
        timelines.take(Event(**first, **one), 0)
    timeline = timelines.get(ID)
    assert timeline is not None
    parts = [(part.kind, part.start - NOW, part.end - NOW) for part in stretches(timeline, NOW + 5)]
    assert parts == [("wait", 0, 1), ("fail", 1, 3), ("off", 3, 5)]
    assert state_of(timeline) == ("off", "back-off")
    timelines.take(
        Event(
            **first,
            status="started",
            timestamp=NOW + 14,
            ready_at=NOW + 13,
            started_at=NOW + 14,
            run=2,
            attempt=2,
        ),
        0,
    )
    timeline = timelines.get(ID)
    assert timeline is not None
    parts = [(part.kind, part.start - NOW, part.end - NOW) for part in stretches(timeline, NOW + 20)]
    assert parts == [("wait", 0, 1), ("fail", 1, 3), ("off", 3, 13), ("wait", 13, 14), ("live", 14, 20)]
