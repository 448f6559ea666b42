"""Recent tasks, a line each: what they waited, ran, failed and backed off in the last minute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from limelight import events as contract

from . import formats
from .charts import Bar, axis, bars, grid, legend
from .facts import Facts
from .links import to_task
from .nodes import Node, el
from .timelines import Step, Timeline
from .words import flag, quiet, section

SHOWN_SECONDS: Final = 60.0
MOST_ROWS: Final = 12
_MOST_OF_A_KIND: Final = 4
_SHORTEST_WAIT: Final = 0.9
_TICKS: Final = ((0.0, "−60 s"), (25.0, "−45"), (50.0, "−30"), (75.0, "−15"), (100.0, "now"))
_RETURNED: Final = frozenset({contract.EVENT_INTERRUPTED, contract.EVENT_LOST, contract.EVENT_REDELIVERED})


class Stretch(NamedTuple):
    """A part of a task's life in Unix seconds; `kind` as of `charts.Bar`."""

    kind: str
    start: float
    end: float
    step: Step


def stretches(timeline: Timeline, now: float) -> Iterator[Stretch]:
    """The parts that the task's events tell of, in order; what goes on ends now."""
    closed: float | None = None
    for at, step in enumerate(timeline.steps):
        if step.status == contract.EVENT_STARTED and step.started_at is not None:
            yield from _waited(step, closed, step.started_at)
            if not _closes(timeline.steps[at + 1 :]):
                yield Stretch("live", step.started_at, now, step)
        elif step.outcome is not None and step.started_at is not None:
            if not any(
                other.run == step.run and other.status == contract.EVENT_STARTED
                for other in timeline.steps[:at]
            ):
                yield from _waited(step, closed, step.started_at)
            end = step.started_at + step.duration if step.duration is not None else step.timestamp
            yield Stretch("fail" if step.failed else "run", step.started_at, max(end, step.started_at), step)
            closed = end
    last = timeline.last
    if closed is not None and not timeline.ended and not _runs(timeline):
        yield Stretch("off" if (last.execute_time or 0) > closed else "wait", closed, now, last)
    elif closed is None and not timeline.ended and not _runs(timeline) and (last.ready_at or now) < now:
        yield Stretch("wait", last.ready_at or now, now, last)


def _waited(step: Step, closed: float | None, started: float) -> Iterator[Stretch]:
    ready = step.ready_at if step.ready_at is not None else started
    if closed is not None and ready > closed:
        yield Stretch("off", closed, ready, step)
    if ready < started:
        yield Stretch("wait", ready, started, step)


def _closes(later: Sequence[Step]) -> bool:
    return any(step.outcome is not None or step.status == contract.EVENT_STARTED for step in later)


def _runs(timeline: Timeline) -> bool:
    started = next((step for step in reversed(timeline.steps) if step.status == contract.EVENT_STARTED), None)
    return started is not None and not any(
        step.outcome is not None for step in timeline.steps[timeline.steps.index(started) + 1 :]
    )


def state_of(timeline: Timeline) -> tuple[str, str]:
    """Class and word of what a task is at; no word for one that simply succeeded."""
    last = timeline.last
    if _runs(timeline):
        return "run", "running"
    if last.end == "dead" or last.status == contract.EVENT_DEAD:
        return "fail", "dead"
    if last.end is not None:
        return ("", "") if last.end == "success" else ("off", last.end.replace("_", " "))
    if last.status in {contract.EVENT_SCHEDULED, contract.EVENT_RETRYING}:
        return "off", "back-off" if last.attempt else "scheduled"
    return "off", "waiting"


def recent_tasks(facts: Facts) -> Node:
    """The section."""
    names = {queue.name for queue in facts.queues}
    found = [timeline for timeline in facts.timelines.recent() if timeline.queue in names]
    shown = _chosen([one for one in found if _is_recent(one, facts.now)], facts.now)
    one_in = facts.timelines.one_in
    note = "every one" if one_in == 1 else f"one in {formats.count(one_in)}, and those that fail"
    rows = [_row(timeline, facts.now) for timeline in shown]
    said = "Still reading." if facts.replay else "No task in the last minute."
    empty = el("p", said, cls="none", key="recent:none") if not rows else None
    return section(
        "recent", "Recent tasks", note,
        el("div", el("span", "last 60 s", cls="x"), el("svg", axis(_TICKS), aria_hidden="true"),
           el("span", cls="x"), cls="wf-axis"),
        el("ol", rows, key="recent", cls="wf", data_hold="tasks"),
        el("div", empty, key="recent:empty"),
        legend(),
    )  # fmt: skip


def _is_recent(timeline: Timeline, now: float) -> bool:
    """Whether it would be seen: it happened in the last minute, or goes on."""
    last = timeline.last
    return last.timestamp > now - SHOWN_SECONDS or _runs(timeline) or (last.execute_time or 0) > now


def _chosen(timelines: Sequence[Timeline], now: float) -> Sequence[Timeline]:
    """Where there are too many: some of what runs, some of what failed, then what took longest; the newest first."""
    runs = [one for one in timelines if _runs(one)][:_MOST_OF_A_KIND]
    failed = [one for one in timelines if _failed(one)][:_MOST_OF_A_KIND]
    chosen = {one.id for one in (*runs, *failed)}
    others = sorted(timelines, key=lambda one: (not _failed(one), _seconds(one, now)), reverse=True)
    chosen.update([one.id for one in others if one.id not in chosen][: MOST_ROWS - len(chosen)])
    return [one for one in timelines if one.id in chosen]


def _failed(timeline: Timeline) -> bool:
    return any(step.failed for step in timeline.steps)


def _seconds(timeline: Timeline, now: float) -> float:
    parts = list(stretches(timeline, now))
    return parts[-1].end - parts[0].start if parts else 0.0


def _row(timeline: Timeline, now: float) -> Node:
    parts, task = list(stretches(timeline, now)), formats.visible(timeline.task)
    took = (parts[-1].end if timeline.ended and parts else now) - parts[0].start if parts else None
    kind, word = state_of(timeline)
    drawn = bars(_bars(parts, now - SHOWN_SECONDS, SHOWN_SECONDS), 20, shortest_wait=_SHORTEST_WAIT)
    key = f"t:{timeline.id}"
    return el(
        "li",
        to_task(timeline.id, task),
        el("svg", grid((25, 50, 75, 100), 20), drawn, key=f"{key}:bars", role="img",
           aria_label=f"{task} {told(timeline)}"),
        el("span", quiet(formats.duration(took)), flag(kind, word), key=f"{key}:out", cls="out"),
        key=key, data_f=f"{task} {timeline.id}".lower(),
    )  # fmt: skip


def _bars(parts: Sequence[Stretch], begin: float, seconds: float) -> Iterator[Bar]:
    for part in parts:
        start, end = ((moment - begin) / seconds * 100 for moment in (part.start, part.end))
        if end >= 0 and start <= 100:
            yield Bar(part.kind, max(0.0, min(start, 100.0)), max(0.0, min(end, 100.0)))


def told(timeline: Timeline) -> str:
    """What became of the task so far, as the rest of a sentence that its name begins; no number that goes on."""
    failed = sum(step.failed for step in timeline.steps)
    last, words = timeline.last, []
    if failed:
        words.append(f"failed {formats.plural(failed, 'time')}")
    if _runs(timeline):
        words.append("runs now")
    elif last.end == "success" and last.duration is not None:
        words.append(f"finished after running for {formats.duration(last.duration)}")
    elif last.end is not None:
        words.append(f"ended as {last.end.replace('_', ' ')}")
    else:
        words.append("waits for its next run")
    return ", ".join(words)
