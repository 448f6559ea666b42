"""The account: every enqueued task, every run, every answer and every key, checked against each other. Pure.

Each check is a function from the evidence to the problems that it found; `CHECKS` names them all.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from . import periodic, totals
from .case import Case
from .evidence import Evidence
from .kinds import KINDS
from .story import NOT_COUNTED, Story, Told

OWN_OUTCOMES: Final = frozenset({"success", "error", "retry", "canceled", "result_error", "timeout"})
"""Outcomes that a run has of its own code."""
_RAN: Final = OWN_OUTCOMES | {"locked", "rate_limited"}
"""Outcomes that a run can have only when its code ran."""
_NO_FAILURE: Final = frozenset({"success", "revoked", "expired"})
_SKIPPED: Final = frozenset({"revoked", "expired"})
_LAST_OUTCOME: Final = {"success": "success", "canceled": "canceled", "result_error": "result_error"}
_START_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: nothing, or what is wrong."""

    check: str
    rule: str
    problems: tuple[str, ...]


def judge(evidence: Evidence) -> list[Finding]:
    """Run all checks."""
    case = Case.of(evidence)
    return [Finding(name, check.__doc__ or "", tuple(check(case))) for name, check in CHECKS.items()]


# -- The stream ------------------------------------------------------------------------------------------
def numbers(case: Case) -> Iterator[str]:
    """Events are numbered 1, 2, 3 … without a gap."""
    last = 0
    for event in case.evidence.events:
        if event.seq != last + 1:
            yield f"event {event.seq} ({event.status}) follows {last}"
        last = event.seq


def conservation(case: Case) -> Iterator[str]:
    """At every look, the records were the sum of the states."""
    return iter(case.evidence.mismatches)


# -- Producers -------------------------------------------------------------------------------------------
def enqueues(case: Case) -> Iterator[str]:
    """What a producer was told is what happened: ok is on the queue once, given up is nowhere."""
    said: dict[str, set[str]] = defaultdict(set)
    for fact in case.evidence.noted:
        if "id" in fact:
            said[fact["id"]].add(fact["say"])
            if fact["say"] == "fault":
                yield f"{fact['id']}: enqueueing it raised: {fact['why']}"
    enqueued = Counter(event.id for event in case.evidence.events if event.status == "enqueued")
    for task_id, words in said.items():
        if "ok" in words and not enqueued[task_id]:
            yield f"{task_id}: acknowledged and lost"
        if "given up" in words and enqueued[task_id]:
            yield f"{task_id}: refused and yet enqueued"
    yield from (f"{twice}: enqueued {count} times" for twice, count in enqueued.items() if count > 1)
    known = said.keys() | {
        event.id for event in case.evidence.events if event.status == "scheduling-periodic"
    }
    yield from (f"{stranger}: nobody enqueued it" for stranger in enqueued if stranger not in known)


# -- Tasks -----------------------------------------------------------------------------------------------
def completions(case: Case) -> Iterator[str]:
    """Each enqueued task reaches exactly one end, and nothing is told of it after that."""
    for story in case.stories.values():
        if len(story.ends) != 1:
            yield f"{story.id} ({story.name}): ended {len(story.ends)} times: {_told(story)}"
        elif story.events[-1].end is None:
            yield f"{story.id} ({story.name}): told of after its end: {_told(story)}"
        if story.events[0].status not in {"enqueued", "scheduling-periodic"}:
            yield f"{story.id}: told of before it was enqueued: {_told(story)}"


def runs(case: Case) -> Iterator[str]:
    """Runs are numbered 1, 2, 3 …; each starts once and closes once, and before the next one starts."""
    for story in case.stories.values():
        open_run, last = 0, 0
        for event in story.events:
            if event.status == "started":
                if open_run:
                    yield f"{story.id}: run {event.run} starts while run {open_run} is open: {_told(story)}"
                if event.run != last + 1:
                    yield f"{story.id}: run {event.run} follows run {last}: {_told(story)}"
                open_run = last = event.run
            if event.outcome is not None:
                if event.run != open_run:
                    yield f"{story.id}: run {event.run} closes ({event.outcome}), open is {open_run}: {_told(story)}"
                open_run = 0
        if open_run:
            yield f"{story.id}: run {open_run} never closes: {_told(story)}"


def attempts(case: Case) -> Iterator[str]:
    """Attempts and retries are counted right, and a task ends as its last run closed."""
    for story in case.stories.values():
        attempt = 0
        for one in story.executions:
            attempt += 1
            if one.started.attempt != attempt:
                yield f"{story.id}: run {one.started.run} is attempt {one.started.attempt}, must be {attempt}"
            attempt -= one.closed is not None and one.closed.outcome in NOT_COUNTED
        yield from _retries(story)


def _retries(story: Story) -> Iterator[str]:
    outcomes = [one.closed.outcome for one in story.executions if one.closed is not None]
    used = sum(outcome in {"error", "timeout"} for outcome in outcomes[:-1])
    if used > story.retries:
        yield f"{story.id}: failed {used} times before its last run, with {story.retries} retries"
    last = outcomes[-1] if outcomes else None
    if (wanted := _LAST_OUTCOME.get(story.end)) and last != wanted:
        yield f"{story.id}: ended as {story.end}, its last run as {last}"
    if story.end == "dead" and last == "error" and outcomes.count("error") != story.retries + 1:
        yield f"{story.id}: dead after {outcomes.count('error')} failures with {story.retries} retries"
    if story.end == "dead" and last == "lost" and not story.died_of_lost_workers:
        yield f"{story.id}: dead after {outcomes.count('lost')} lost workers"


def kinds(case: Case) -> Iterator[str]:
    """Each task ends as its kind may end, and each run as its own chance wants it."""
    for story in case.stories.values():
        kind = KINDS.get(case.sent[story.id]["kind"]) if story.id in case.sent else None
        if kind is None:
            continue
        if story.end and story.end not in kind.ends and not story.died_of_lost_workers:
            yield f"{story.id}: a task of kind {kind.name} ended as {story.end}: {_told(story)}"
        yield from (f"{story.id} ({kind.name}): {problem}" for problem in kind.expect(story))
        for one in story.executions:
            outcome = one.closed.outcome if one.closed is not None else None
            wanted = kind.outcome(random.Random(one.started.span_id)) if kind.outcome else outcome
            if outcome in OWN_OUTCOMES and outcome != wanted:
                yield f"{story.id} ({kind.name}): run {one.started.run} closed as {outcome}, its code as {wanted}"


def promises(case: Case) -> Iterator[str]:
    """What follows a task is enqueued if and when that ended so, and is given what it left."""
    for task_id, fact in case.sent.items():
        if fact["say"] != "promised":
            continue
        before = [case.stories.get(one) for one in fact["after"]]
        story = case.stories.get(task_id)
        kept = _is_due(fact["when"], before)
        if kept and story is None:
            yield f"{task_id} ({fact['kind']}): was to follow {fact['after']} and was never enqueued"
        if story is None:
            continue
        if not kept:
            yield f"{task_id} ({fact['kind']}): enqueued although {[one and one.end for one in before]}"
        ends = [event.seq for one in before if one is not None for event in one.ends]
        if ends and story.events[0].seq < max(ends):
            yield f"{task_id} ({fact['kind']}): enqueued before what it follows had ended"
        yield from _given(case, story, fact)


def _is_due(when: str, before: list[Story | None]) -> bool:
    """Whether what was promised must be there: after one success, one failure, or when all have ended."""
    ends = [story.end if story is not None else "" for story in before]
    if when == "all":
        return all(ends)
    return ends[0] == "success" if when == "success" else bool(ends[0]) and ends[0] not in _NO_FAILURE


def _given(case: Case, story: Story, fact: Mapping[str, Any]) -> Iterator[str]:
    left = [_left(case, one) for one in fact["after"]]
    wanted = [left] if fact["when"] == "all" else left
    for one in story.executions:
        for ran in case.ran.get(one.started.span_id or "", ()):
            if ran["given"] != wanted:
                yield f"{story.id} ({story.name}): run {one.started.run} was given {ran['given']}, not {wanted}"


def _left(case: Case, task_id: str) -> str:
    """What a task leaves to those that follow it."""
    end = case.stories[task_id].end if task_id in case.stories else ""
    if end == "success":
        return str(case.sent.get(task_id, {}).get("key"))
    return "skipped" if end in _SKIPPED else "failure"


# -- Executions ------------------------------------------------------------------------------------------
def executions(case: Case) -> Iterator[str]:
    """Code runs only in runs that were told as started, once in each, and knows which; what is told did happen."""
    ran = case.ran
    started = {
        one.started.span_id: (story, one) for story in case.stories.values() for one in story.executions
    }
    for span, times in ran.items():
        if span not in started:
            yield f"span {span}: executed and never told as started"
        elif len(times) > 1:
            yield f"{started[span][0].id}: run {started[span][1].started.run} was executed {len(times)} times"
    for story, one in started.values():
        if one.closed is not None and one.closed.outcome in _RAN and one.started.span_id not in ran:
            yield f"{story.id}: run {one.started.run} closed as {one.closed.outcome} and never ran"
    for fact in case.evidence.noted:
        if fact["say"] == "resumed" and fact["current"] != fact["span"]:
            yield f"span {fact['span']}: went on after a pause as {fact['current']}"


def locks(case: Case) -> Iterator[str]:
    """No two runs hold one lock at a time, but those that were given up meanwhile."""
    closed = {
        one.started.span_id: one.closed.outcome
        for story in case.stories.values()
        for one in story.executions
        if one.closed is not None
    }
    held: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for fact in case.evidence.noted:
        if fact["say"] == "held" and closed.get(fact["span"]) not in NOT_COUNTED:
            held[fact["lock"]].append(fact)
    for name, facts in held.items():
        facts.sort(key=lambda fact: float(fact["since"]))
        for one, two in itertools.pairwise(facts):
            if two["since"] < one["until"]:
                yield f"lock {name}: held by spans {one['span']} and {two['span']} at once"


def durations(case: Case) -> Iterator[str]:
    """A run that ran says how long, no longer than from its start to its close; no phase of a task is negative."""
    for story in case.stories.values():
        for one in story.executions:
            started, closed = one.started, one.closed
            if closed is not None and _never_began(closed) and started.span_id in case.ran:
                yield f"{story.id}: run {started.run} was handed back as never begun, and ran"
            if closed is None or _moved_about(started, closed, case):
                continue
            if closed.duration is None and closed.outcome in _RAN:
                yield f"{story.id}: run {started.run} ran ({closed.outcome}) and does not say for how long"
            if (closed.duration or 0.0) > closed.timestamp - started.timestamp + 0.05:
                yield f"{story.id}: run {started.run} tells of {closed.duration} s, and had less"
        for end in story.ends:
            phases = (end.waited_seconds, end.ran_seconds, end.backed_off_seconds, end.parked_seconds)
            if any(seconds is not None and seconds < 0 for seconds in phases):
                yield f"{story.id}: a phase is negative: {phases}"


def _never_began(closed: Told) -> bool:
    """Whether a run is told to have been handed back before its code began."""
    return closed.outcome == "interrupted" and closed.duration is None


def _moved_about(started: Told, closed: Told, case: Case) -> bool:
    """Whether Redis' clock was moved between two events, or may have been."""
    since, until = case.seen.get(started.seq, 0.0) - 15.0, case.seen.get(closed.seq, 0.0) + 3.0
    return any(since <= at <= until for at, _ in case.evidence.moves[1:])


def due_times(case: Case) -> Iterator[str]:
    """Nothing starts before its time by Redis' clock."""
    latest, before = 0.0, 0.0
    for event in case.evidence.events:
        went_back = event.timestamp < before - 1.0
        # What became due just before the clock went back was made ready then, which nothing tells.
        latest = max(latest, event.timestamp, before + 2.0 if went_back else 0.0)
        before = event.timestamp
        if event.status == "started" and event.execute_time and latest < event.execute_time - 0.001:
            yield f"{event.id}: run {event.run} started {event.execute_time - event.timestamp:.3f} s too early"


def revoked(case: Case) -> Iterator[str]:
    """A task whose revocation was acknowledged starts no more, unless it is restored."""
    for fact in case.evidence.noted:
        if fact["say"] == "revoked" and fact["count"] and fact["id"] in case.stories:
            for one in case.stories[fact["id"]].executions:
                if one.started.seq > fact["seq"]:
                    yield f"{fact['id']}: run {one.started.run} (event {one.started.seq}) after {fact['seq']}"


def lost(case: Case) -> Iterator[str]:
    """A worker is told as lost only if something befell it, its connection, Redis or Redis' clock."""
    for story in case.stories.values():
        for one in story.executions:
            if one.closed is None or one.closed.outcome != "lost" or _worker_was_struck(case, one.started):
                continue
            name, session = case.consumer_of(one.started.pid)
            if not _was_struck(case, name, session, one.started.seq, one.closed.seq):
                yield f"{story.id}: run {one.started.run} on {name or 'nobody'} was lost for no reason"


def _worker_was_struck(case: Case, started: Told) -> bool:
    """Whether the process of a run was killed, or its parent; or frozen before it could tell what it was given."""
    killed = case.struck["killed"] | case.struck["lethal"]
    parent = case.processes.get(started.pid, {}).get("parent")
    return (
        started.pid in killed
        or parent in killed
        or (started.pid in case.struck["frozen"] and started.span_id not in case.ran)
    )


def _was_struck(case: Case, name: str, session: int, first: int, last: int) -> bool:
    """Whether something befell a consumer or all of them between two events."""
    since, until = case.seen.get(first, 0.0) - 1.0, case.seen.get(last, 0.0)
    if any(life.pid == session and life.ended < until for life in case.evidence.lives.get(name, ())):
        return True
    about = {name, f"{name} line", "redis"}
    return any(
        one.target in about and one.began <= until and one.ended >= since
        for one in case.evidence.disturbances
    )


# -- The rest --------------------------------------------------------------------------------------------
def results(case: Case) -> Iterator[str]:
    """The result of a success can be read and is its own; a failure can be read as one."""
    keys = {task_id: fact["key"] for task_id, fact in case.sent.items()}
    for fact in case.evidence.noted:
        if fact["say"] == "got" and fact["value"] != keys.get(fact["id"]):
            yield f"{fact['id']}: who waited for {keys.get(fact['id'])!r} got {fact['value']!r}"
    for task_id, (what, value) in case.evidence.results.items():
        story = case.stories[task_id]
        if story.end == "success" and (what, value) != ("value", keys.get(task_id)):
            yield f"{task_id} ({story.name}): succeeded with {keys.get(task_id)!r}, its result is {what} {value!r}"
        if story.end not in _NO_FAILURE and what != "failure":
            yield f"{task_id} ({story.name}): ended as {story.end}, its result is {what} {value!r}"


def periodic_runs(case: Case) -> Iterator[str]:
    """Each due time of a periodic task has one run: none is doubled, none is missing."""
    return periodic.problems(case.evidence)


def exporter(case: Case) -> Iterator[str]:
    """The exporter, killed and restarted, counted exactly what was told."""
    if case.evidence.samples is not None:
        yield from totals.differences(case.evidence.events, case.evidence.samples)


def keys(case: Case) -> Iterator[str]:
    """Nothing stays in Redis but what has an owner, a time to live or a bound."""
    return iter(case.evidence.leaks)


def drained(case: Case) -> Iterator[str]:
    """When the faults stop, everything ends: no minute passes without progress."""
    if case.evidence.left:
        yield f"{case.evidence.left} tasks had not ended when time was up"


def processes(case: Case) -> Iterator[str]:
    """No process ends unasked or stays when told to stop; none logs a fault of ours; no counter falls."""
    yield from case.evidence.problems
    lethal = {fact["pid"] for fact in case.evidence.noted if fact["say"] == "lethal"}
    for name, lives in case.evidence.lives.items():
        for life in lives:
            if life.code not in {None, 0} and not life.asked and life.pid not in lethal:
                yield f"{name} (pid {life.pid}) ended by itself with {life.code}"
            # Told to stop before it listens, or again when it has stopped and Python listens no more.
            deaf = life.code == -15 and (life.ended - life.began < _START_SECONDS or life.asked > 1)
            if life.asked and life.code not in {None, 0, -9} and not deaf:
                yield f"{name} (pid {life.pid}) was stopped and ended with {life.code}"


def _told(story: Story) -> str:
    """A story on one line."""
    return " ".join(
        f"{event.status}{f'#{event.run}' if event.run else ''}{f'={event.outcome}' if event.outcome else ''}"
        for event in story.events
    )


CHECKS: Final[Mapping[str, Callable[[Case], Iterable[str]]]] = {
    "numbers": numbers,
    "conservation": conservation,
    "enqueues": enqueues,
    "completions": completions,
    "runs": runs,
    "attempts": attempts,
    "kinds": kinds,
    "promises": promises,
    "executions": executions,
    "locks": locks,
    "durations": durations,
    "due times": due_times,
    "revoked": revoked,
    "lost": lost,
    "results": results,
    "periodic": periodic_runs,
    "exporter": exporter,
    "keys": keys,
    "drained": drained,
    "processes": processes,
}
