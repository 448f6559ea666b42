"""Each check of the verdict names the fault that it is there for, and none complains of what is right."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from chaos.actors import Life
from chaos.evidence import Disturbance, Evidence
from chaos.story import Told
from chaos.target import MAX_REDELIVERIES
from chaos.totals import totals
from chaos.verdict import judge

BEGAN = 1_700_000_040.0  # a whole minute, an even one
OK_SPAN = next(span for span in (f"{n:016x}" for n in range(100)) if random.Random(span).random() >= 0.5)
BAD_SPAN = next(span for span in (f"{n:016x}" for n in range(100)) if random.Random(span).random() < 0.5)


class History:
    """Writes what was told, one second after the other."""

    def __init__(self) -> None:
        self.events: list[Told] = []

    def tell(self, status: str, **keys: Any) -> None:
        seq = len(self.events) + 1
        self.events.append(Told(status=status, seq=seq, timestamp=BEGAN + seq, queue="chaos", **keys))

    def run(
        self, task_id: str, task: str, span: str, status: str, outcome: str, run: int = 1, **keys: Any
    ) -> None:
        attempt = keys.pop("attempt", run)
        about = {"id": task_id, "task": task, "run": run, "attempt": attempt, "span_id": span, "pid": 10}
        self.tell("started", **about, wait=0.1)
        duration = None if outcome == "lost" else 0.2
        self.tell(status, **about, outcome=outcome, duration=duration, **keys)


PHASES: dict[str, Any] = {
    "waited_seconds": 0.1,
    "ran_seconds": 0.2,
    "backed_off_seconds": 0.0,
    "parked_seconds": 0.0,
}
DONE: dict[str, Any] = {"end": "success", **PHASES}


def healthy() -> Evidence:
    """A little run in which all is right: one task each of four kinds, one of them on a killed worker."""
    told = History()
    told.tell("enqueued", id="plain", task="instant", retries=0)
    told.run("plain", "instant", "a" * 16, "finished", "success", **DONE)
    told.tell("enqueued", id="flaky", task="flaky", retries=3)
    told.run("flaky", "flaky", BAD_SPAN, "error-task", "error", error=True, error_type="ValueError")
    told.tell("retrying", id="flaky", task="flaky", run=1, attempt=1)
    told.run("flaky", "flaky", OK_SPAN, "finished", "success", run=2, **DONE)
    told.tell("enqueued", id="moved", task="nap", retries=0)
    told.run("moved", "nap", "b" * 16, "lost", "lost", error=True, error_type="limelight.worker_lost")
    told.tell("redelivered", id="moved", task="nap", run=1)
    told.run("moved", "nap", "c" * 16, "finished", "success", run=2, attempt=1, **DONE)
    told.tell("enqueued", id="recalled", task="revoked", retries=0, execute_time=BEGAN + 500)
    told.tell("revoked", id="recalled", task="revoked", **(DONE | {"end": "revoked"}))
    told.tell("enqueued", id="step", task="step", retries=0)
    told.run("step", "step", "e" * 16, "finished", "success", **DONE)
    for number in range(3):
        told.tell("scheduling-periodic", id=f"tick{number}", task="tick", due=BEGAN + 60 * number)
        told.tell("enqueued", id=f"tick{number}", task="tick", retries=0)
        told.run(f"tick{number}", "tick", f"d{number}" * 8, "finished", "success", **DONE)
    return arranged(told.events)


def arranged(events: list[Told]) -> Evidence:
    """The rest of the evidence, as it goes with these events; periodic ones are told when they are due."""
    events = [
        msgspec.structs.replace(event, timestamp=event.due + 0.01) if event.due else event for event in events
    ]
    sent = {"plain": "instant", "flaky": "flaky", "moved": "nap", "recalled": "revoked"}
    noted: list[dict[str, Any]] = [
        {"say": word, "id": task_id, "kind": kind, "key": f"key of {task_id}"}
        for task_id, kind in sent.items()
        for word in ("try", "ok")
    ]
    after = {"after": ["plain"], "when": "success"}
    noted.append({"say": "promised", "id": "step", "kind": "step", "key": "key of step", **after})
    noted += [
        {"say": "ran", "span": event.span_id, "given": ["key of plain"] if event.id == "step" else []}
        for event in events
        if event.status == "started"
    ]
    noted.append({"say": "revoked", "id": "recalled", "count": 1, "seq": 14})
    noted.append({"say": "held", "lock": "north", "span": "a" * 16, "since": 1.0, "until": 2.0})
    noted.append({"say": "got", "id": "plain", "value": "key of plain"})
    return Evidence(
        events=events,
        seen=[BEGAN + event.seq for event in events],
        noted=noted,
        disturbances=[Disturbance("consumer 1", "kill", BEGAN + 8, BEGAN + 9)],
        lives={"consumer 1": [Life(10, BEGAN, BEGAN + 9, asked=1, code=-9)], "consumer 2": [Life(11, BEGAN)]},
        samples=dict(totals(events)),
        results={task_id: ("value", f"key of {task_id}") for task_id in ("plain", "flaky", "moved", "step")},
    )


# -- What can be wrong -----------------------------------------------------------------------------------
Break = Callable[[Evidence], None]


def event(evidence: Evidence, status: str, task_id: str, **wanted: Any) -> int:
    """Where an event is."""
    return next(
        at
        for at, told in enumerate(evidence.events)
        if (told.status, told.id) == (status, task_id)
        and all(getattr(told, key) == value for key, value in wanted.items())
    )


def without(status: str, task_id: str, **wanted: Any) -> Break:
    """Leave an event out, and number the rest anew, so that nothing but it is missing."""

    def change(evidence: Evidence) -> None:
        events = list(evidence.events)
        del events[event(evidence, status, task_id, **wanted)]
        evidence.events = [msgspec.structs.replace(told, seq=seq) for seq, told in enumerate(events, 1)]
        evidence.samples = dict(totals(evidence.events))

    return change


def with_again(status: str, task_id: str) -> Break:
    """Tell an event once more at the end."""

    def change(evidence: Evidence) -> None:
        again = evidence.events[event(evidence, status, task_id)]
        evidence.events = [*evidence.events, msgspec.structs.replace(again, seq=len(evidence.events) + 1)]
        evidence.seen = [*evidence.seen, evidence.seen[-1] + 1]
        evidence.samples = dict(totals(evidence.events))

    return change


def with_other(status: str, task_id: str, **changes: Any) -> Break:
    """Tell an event otherwise."""

    def change(evidence: Evidence) -> None:
        events = list(evidence.events)
        at = event(evidence, status, task_id)
        events[at] = msgspec.structs.replace(events[at], **changes)
        evidence.events = events
        evidence.samples = dict(totals(events))

    return change


def noting(**fact: Any) -> Break:
    """One more line in the ledger."""

    def change(evidence: Evidence) -> None:
        evidence.noted = [*evidence.noted, fact]

    return change


def not_noting(**wanted: Any) -> Break:
    """Leave lines out of the ledger."""

    def change(evidence: Evidence) -> None:
        evidence.noted = [fact for fact in evidence.noted if not wanted.items() <= fact.items()]

    return change


def having(**changes: Any) -> Break:
    """Other evidence."""

    def change(evidence: Evidence) -> None:
        for name, value in changes.items():
            setattr(evidence, name, value)

    return change


def counting_one_less(evidence: Evidence) -> None:
    assert evidence.samples is not None
    key = next(key for key in evidence.samples if key[0] == "limelight_tasks_completed_total")
    evidence.samples = {**evidence.samples, key: evidence.samples[key] - 1}


a_tick_is_missing = with_other("scheduling-periodic", "tick2", due=BEGAN + 180, timestamp=BEGAN + 180.01)


BREAKS: list[tuple[str, str, Break]] = [
    ("an event is missing from the stream", "numbers", lambda evidence: having(events=evidence.events[1:])(evidence)),
    ("records and states differ", "conservation", having(mismatches=["5 records, states 4"])),
    ("an acknowledged task is lost", "enqueues", noting(say="ok", id="gone")),
    ("a refused task is enqueued", "enqueues", noting(say="given up", id="plain")),
    ("a task is enqueued twice", "enqueues", with_again("enqueued", "plain")),
    ("a task comes from nowhere", "enqueues", not_noting(id="plain")),
    ("repeating an enqueue is refused", "enqueues", noting(say="fault", id="plain", why="is on the queue already")),
    ("a task never ends", "completions", with_other("finished", "plain", end=None)),
    ("a task ends twice", "completions", with_again("finished", "plain")),
    ("a task is told of after its end", "completions", with_again("redelivered", "moved")),
    ("a run never closes", "runs", without("lost", "moved")),
    ("a run closes that is not open", "runs", without("started", "moved", run=2)),
    ("a run starts twice", "runs", with_other("started", "flaky", run=2)),
    ("an attempt is counted wrong", "attempts", with_other("started", "moved", attempt=2)),
    ("a task has more retries than it should", "attempts", with_other("enqueued", "flaky", retries=0)),
    ("a task is dead too soon", "attempts", with_other("finished", "flaky", outcome="error", end="dead")),
    ("a task ends otherwise than its run", "attempts", with_other("finished", "plain", end="canceled")),
    ("a task ends as its kind cannot", "kinds", with_other("finished", "plain", end="result_error")),
    ("a run closes as another's", "kinds", with_other("error-task", "flaky", outcome="success")),
    ("what was to follow a task does not", "promises", noting(
        say="promised", id="gone", kind="step", key="k", after=["plain"], when="success")),
    ("what was to follow a failure follows a success", "promises", noting(
        say="promised", id="step", kind="step", key="key of step", after=["plain"], when="failure")),
    ("a task is given what another left", "promises", noting(say="ran", span="e" * 16, given=["key of moved"])),
    ("two hold one lock", "locks", noting(say="held", lock="north", span="c" * 16, since=1.5, until=1.6)),
    ("who waited got what is another's", "results", noting(say="got", id="plain", value="key of moved")),
    ("code runs that was never started", "executions", noting(say="ran", span="f" * 16, given=[])),
    ("a run is executed twice", "executions", noting(say="ran", span="a" * 16, given=[])),
    ("a run closes that was never executed", "executions", not_noting(say="ran", span="a" * 16)),
    ("a run goes on as another", "executions", noting(say="resumed", span="a" * 16, current="b" * 16)),
    ("a run is handed back as never begun, and ran", "durations", with_other(
        "finished", "plain", outcome="interrupted", duration=None)),
    ("a run lasts longer than it had", "durations", with_other("finished", "plain", duration=9.0)),
    ("a run does not say how long it ran", "durations", with_other("finished", "plain", duration=None)),
    ("a phase is negative", "durations", with_other("finished", "plain", ran_seconds=-0.1)),
    ("a task starts before its time", "due times", with_other("started", "plain", execute_time=BEGAN + 1_000)),
    ("a revoked task runs", "revoked", noting(say="revoked", id="plain", count=1, seq=1)),
    ("a worker is lost for no reason", "lost", having(
        disturbances=[], lives={"consumer 1": [Life(10, BEGAN)], "consumer 2": [Life(11, BEGAN)]})),
    ("a result is missing", "results", having(results={"plain": ("none", None)})),
    ("a result is another's", "results", having(results={"plain": ("value", "key of moved")})),
    ("a due time has no run", "periodic", a_tick_is_missing),
    ("a due time has two runs", "periodic", with_other("scheduling-periodic", "tick2", due=BEGAN + 60)),
    ("a periodic run is told and not enqueued", "periodic", without("enqueued", "tick1")),
    ("the exporter counts one less", "exporter", counting_one_less),
    ("a key is left", "keys", having(leaks=["limelight:{chaos}:lock: should be gone"])),
    ("a task waits for ever", "drained", having(left=1)),
    ("a consumer ends by itself", "processes", having(lives={"consumer 1": [Life(10, BEGAN, BEGAN + 9, code=1)]})),
    ("a consumer does not stop cleanly", "processes", having(
        lives={"consumer 1": [Life(10, BEGAN, BEGAN + 9, asked=1, code=1)]})),
    ("a counter falls", "processes", having(problems=["exporter: limelight_events_total fell from 9 to 8"])),
]  # fmt: skip


def named(evidence: Evidence) -> set[str]:
    """The checks that found something."""
    return {finding.check for finding in judge(evidence) if finding.problems}


def test_nothing_is_said_of_a_run_in_which_all_is_right() -> None:
    assert {finding.check: finding.problems for finding in judge(healthy()) if finding.problems} == {}


@pytest.mark.parametrize(("what", "check", "change"), BREAKS, ids=[what for what, _, _ in BREAKS])
def test_a_fault_is_named_by_its_check(what: str, check: str, change: Break) -> None:
    evidence = healthy()
    change(evidence)
    assert check in named(evidence)


def test_every_check_can_fail() -> None:
    assert {check for _, check, _ in BREAKS} == {finding.check for finding in judge(healthy())}


# -- What is right, though it looks odd ------------------------------------------------------------------
def test_a_due_time_may_be_missing_where_nobody_could_have_fired_it() -> None:
    evidence = healthy()
    a_tick_is_missing(evidence)
    minutes = (BEGAN + 100, BEGAN + 200)
    evidence.disturbances = [*evidence.disturbances, Disturbance("redis", "kill", *minutes)]
    assert named(evidence) == set()


def test_a_task_that_makes_up_for_all_misses_none_though_the_clock_jumped() -> None:
    told = History()
    for number in (0, 1, 3):
        told.tell("scheduling-periodic", id=f"makeup{number}", task="makeup", due=BEGAN + 15 * number)
        told.tell("enqueued", id=f"makeup{number}", task="makeup", retries=0)
    evidence = Evidence(events=arranged(told.events).events, moves=[(0.0, 0.0), (BEGAN + 20, 100.0)])
    assert "periodic" in named(evidence)


def test_who_was_given_up_may_still_believe_that_it_holds_the_lock() -> None:
    evidence = healthy()
    noting(say="held", lock="north", span="b" * 16, since=1.5, until=1.6)(evidence)
    assert named(evidence) == set()


def on_a_worker_process() -> Evidence:
    """What was lost was lost on a worker process of consumer 2, which nothing befell."""
    evidence = healthy()
    evidence.noted = [*evidence.noted, {"say": "process", "pid": 10, "parent": 12, "session": 11}]
    evidence.disturbances = []
    return evidence


def test_a_worker_process_is_lost_for_a_reason_if_it_was_killed_or_its_parent_or_its_consumer_struck() -> (
    None
):
    assert named(on_a_worker_process()) == {"lost"}
    for pid in (10, 12):
        evidence = on_a_worker_process()
        noting(say="killed", pid=pid)(evidence)
        assert named(evidence) == set()
    evidence = on_a_worker_process()
    evidence.disturbances = [Disturbance("consumer 2", "freeze", BEGAN, BEGAN + 30)]
    assert named(evidence) == set()


def test_a_worker_process_that_was_frozen_may_be_lost_with_what_it_could_not_tell_of_but_not_while_it_ran() -> (
    None
):
    evidence = on_a_worker_process()
    noting(say="frozen", pid=10)(evidence)
    assert named(evidence) == {"lost"}
    not_noting(say="ran", span="b" * 16)(evidence)
    assert named(evidence) == set()


def test_a_due_time_may_be_missing_that_the_clock_jumped_over() -> None:
    evidence = healthy()
    a_tick_is_missing(evidence)
    evidence.moves = [(0.0, 0.0), (BEGAN + 100, 100.0)]
    assert named(evidence) == set()


def test_a_task_whose_workers_died_too_often_may_be_dead_whatever_its_kind() -> None:
    told = History()
    told.tell("enqueued", id="plain", task="instant", retries=0)
    for run in range(1, MAX_REDELIVERIES + 2):
        told.run("plain", "instant", f"{run:016x}", "lost", "lost", run=run, attempt=1)
    told.tell("dead", id="plain", task="instant", end="dead", **PHASES)
    evidence = replace(
        arranged(told.events), noted=[{"say": "try", "id": "plain", "kind": "instant", "key": "k"}]
    )
    evidence.results = {"plain": ("failure", "worker_lost")}
    evidence.lives = {"consumer 1": [Life(10, BEGAN, BEGAN + 1, asked=1, code=-9)]}
    assert named(evidence) == set()
