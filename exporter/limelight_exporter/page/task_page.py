"""The page of one task: its attempts on one axis, every event, the last traceback."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Final

from limelight import events as contract

from . import formats
from .charts import Bar, axis, bars, grid, legend
from .facts import Facts
from .links import to_queue
from .lists import traceback
from .nodes import Child, Node, el
from .overview import Style, View, footer, where
from .timelines import Step, Timeline
from .waterfall import Stretch, state_of, stretches, told
from .words import flag, quiet

UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_PLACES: Final = (0, 25, 50, 75, 100)
_DOTS: Final = {
    contract.EVENT_ENQUEUED: ("", "○"), contract.EVENT_STARTED: ("run", "●"), contract.EVENT_FINISHED: ("run", "✓"),
    contract.EVENT_RETRYING: ("", "↻"), contract.EVENT_SCHEDULED: ("", "◷"), contract.EVENT_DEAD: ("fail", "×"),
}  # fmt: skip
_NOT_HELD: Final = (
    "The exporter remembers the last 200 tasks that it chose or that failed; this one is not among them, "
    "and no queue holds it."
)
_ORDINALS: Final = ("", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")


def task_page(task_id: str, facts: Facts, style: Style, holder: str = "") -> View:
    """One task.

    Args:
        task_id: As it was asked for.
        facts: The moment.
        style: How somebody wants it.
        holder: The queue that holds a task whose events are not held here, "" for none.
    """
    timeline = facts.timelines.get(task_id)
    if timeline is None:
        return _unknown(task_id, facts, style, holder)
    task, short = formats.visible(timeline.task), formats.visible(task_id, 8).rstrip("…")
    main = el(
        "main",
        _crumb(timeline.queue, task),
        _head(timeline, facts, style),
        _timeline(timeline, facts.now),
        _events(timeline),
        _traceback(timeline) if style.tracebacks and timeline.traceback else None,
        key="main", id="main", tabindex="-1",
    )  # fmt: skip
    kind, word = state_of(timeline)
    return View(
        f"{task} {short} · Limelight", kind or "fine", f"{task} {word}", (where(facts), main, footer(facts))
    )


def _crumb(*parts: str) -> Node:
    queue, task = parts
    return el(
        "p",
        el("a", "Overview", href="./"),
        " / ",
        to_queue(queue, queue),
        f" / {task}",
        cls="crumb",
        key="crumb",
    )


def _unknown(task_id: str, facts: Facts, style: Style, holder: str) -> View:
    shown = formats.visible(task_id)
    trace = task_id.replace("-", "").lower() if UUID.fullmatch(task_id) else None
    link = style.links.trace(trace, "Look for its trace", cls="btn main")
    why, copy = _NOT_HELD, None
    if holder:
        command = f"limelight queue show {holder} {task_id}"
        why, copy = (
            f"Queue {holder} holds it: {command} says where it is.",
            _copy("Copy command", command, "small"),
        )
    main = el(
        "main",
        el("p", el("a", "Overview", href="./"), " / task", cls="crumb", key="crumb"),
        el("div", el("h1", "On its way." if holder else "Not held here any more."), el("p", why), cls="verdict"),
        el("div", el("code", shown), _copy("Copy id", task_id, "small"), copy, cls="idrow"),
        el("p", link, cls="ways") if link else None,
        key="main", id="main", tabindex="-1",
    )  # fmt: skip
    return View(
        f"{shown} · Limelight", "empty", "Not held here any more.", (where(facts), main, footer(facts))
    )


def _copy(words: str, text: str, cls: str) -> Node:
    return el("button", words, type="button", cls=cls, data_copy=text)


def _head(timeline: Timeline, facts: Facts, style: Style) -> Node:
    kind, _ = state_of(timeline)
    actions = el(
        "span",
        el("button", "Copy link", type="button", cls="btn", data_copy=""),
        style.links.dashboard(timeline.queue, timeline.task, "Dashboard", cls="btn"),
        style.links.trace(timeline.trace_id, "Open trace", cls="btn main"),
        cls="actions",
    )
    title = el("h1", formats.visible(timeline.task))
    return el(
        "div",
        el("div", title, flag(kind or "run", _summary(timeline)), actions, key="titleline", cls="titleline"),
        el(
            "div",
            el("code", formats.visible(timeline.id)),
            _copy("Copy id", timeline.id, "small"),
            cls="idrow",
        ),
        el("dl", _facts(timeline, facts.now), key="facts", cls="facts"),
        cls="verdict task",
    )


def _summary(timeline: Timeline) -> str:
    _, word = state_of(timeline)
    attempt = timeline.last.attempt
    if timeline.last.end == "success":
        which = _ORDINALS[attempt] if 0 < attempt < len(_ORDINALS) else formats.count(attempt)
        return f"finished on its {which} attempt" if attempt > 1 else "finished"
    return word


def _facts(timeline: Timeline, now: float) -> Iterator[Node]:
    parts = list(stretches(timeline, now))
    begin, end = _ends(timeline, parts, now)
    enqueued = next((step.enqueued_at for step in timeline.steps if step.enqueued_at), None)
    if enqueued:
        yield _fact("Enqueued", formats.date(enqueued))
    words = "From enqueue to done" if timeline.ended else "Since it was enqueued"
    yield _fact(words, *quiet(formats.duration(end - begin)))
    for name, kinds in (
        ("Running", {"run", "fail", "live"}),
        ("In back-off", {"off"}),
        ("Waiting for a worker", {"wait"}),
    ):
        spent = sum(part.end - part.start for part in parts if part.kind in kinds)
        of = f" · {formats.share(round(100 * spent / (end - begin)), 100)}" if end > begin else ""
        yield _fact(name, *quiet(formats.duration(spent)), el("span", of, cls="dim"))
    last = timeline.last
    if last.attempt:
        yield _fact("Attempts", f"{last.attempt} ", el("span", f"of {last.max_attempts}", cls="dim"))


def _fact(name: str, *value: Child) -> Node:
    return el("div", el("dt", name), el("dd", value))


def _ends(timeline: Timeline, parts: Sequence[Stretch], now: float) -> tuple[float, float]:
    first = timeline.steps[0]
    begin = min([first.enqueued_at or first.timestamp, *(part.start for part in parts)])
    return begin, max([timeline.last.timestamp if timeline.ended else now, *(part.end for part in parts)])


def _timeline(timeline: Timeline, now: float) -> Node:
    parts = list(stretches(timeline, now))
    begin, end = _ends(timeline, parts, now)
    whole = _round_up(max(end - begin, 0.004))
    ticks = [(float(place), formats.duration(whole * place / 100)) for place in _PLACES]
    lanes = [_lane(lane, begin, whole) for lane in _lanes(parts)]
    said = f"Timeline of {formats.visible(timeline.task)}: {told(timeline)}"
    earlier = el("p", "Earlier attempts are not held.", cls="note") if not timeline.whole else None
    head = el(
        "li", el("span", "from enqueue", cls="lab"), el("svg", axis(ticks), aria_hidden="true"), el("span", cls="d"),
        cls="lane axis",
    )  # fmt: skip
    return el(
        "div", el("ol", head, lanes), legend(), earlier, key="timeline", cls="tl", role="img", aria_label=said
    )


def _round_up(seconds: float) -> float:
    """The next length whose quarters read well."""
    magnitude = 10.0 ** math.floor(math.log10(seconds))
    return next(step * magnitude for step in (1, 2, 4, 6, 8, 10) if step * magnitude >= seconds * 0.999)


def _lanes(parts: Sequence[Stretch]) -> Sequence[Sequence[Stretch]]:
    """A lane per attempt: what it waited before, how it ran, how it was backed off from."""
    lanes: list[list[Stretch]] = []
    for part in parts:
        ran = bool(lanes) and any(one.kind in {"run", "fail", "live"} for one in lanes[-1])
        if not lanes or (ran and part.kind != "off") or (lanes[-1][-1].kind == "off" and part.kind != "off"):
            lanes.append([])
        lanes[-1].append(part)
    return lanes


def _lane(lane: Sequence[Stretch], begin: float, whole: float) -> Node:
    run = next((part for part in lane if part.kind in {"run", "fail", "live"}), None)
    step = run.step if run else lane[0].step
    small = " · ".join(filter(None, (formats.visible(step.host or ""), formats.visible(step.worker or ""))))
    took = run.end - run.start if run else None
    drawn = [
        Bar(
            part.kind, (part.start - begin) / whole * 100, (part.end - begin) / whole * 100,
            _note(part) if (part.end - part.start) / whole > 0.12 else "",
        )
        for part in lane
    ]  # fmt: skip
    return el(
        "li",
        el(
            "span",
            f"Attempt {step.attempt}" if run else "Next attempt",
            el("small", small) if small and run else None,
            cls="lab",
        ),
        el("svg", grid(_PLACES, 36), bars(drawn, 36), aria_hidden="true"),
        el("span", quiet(formats.duration(took)), cls="d is-fail" if run and run.kind == "fail" else "d"),
        cls="lane",
    )


def _note(part: Stretch) -> str:
    return f"back-off {formats.duration(part.end - part.start)}" if part.kind == "off" else ""


def _events(timeline: Timeline) -> Node:
    first = timeline.steps[0]
    begin = first.enqueued_at or first.timestamp
    rows = [_event(at, step, begin) for at, step in enumerate(timeline.steps)]
    head = el(
        "tr",
        (
            el("th", words, cls=cls, scope="col")
            for cls, words in (("", "After"), ("l", "Event"), ("l", "Detail"))
        ),
    )
    note = f"{formats.plural(len(rows), 'event')}, in stream order"
    return el(
        "section",
        el(
            "div",
            el("h2", "What happened", id="h-events"),
            el("span", note, cls="note", key="events:note"),
            cls="head",
        ),
        el("table", el("thead", head), el("tbody", rows, key="events"), cls="events"),
        aria_labelledby="h-events",
    )


def _event(at: int, step: Step, begin: float) -> Node:
    kind, sign = ("fail", "×") if step.failed else _DOTS.get(step.status, ("", "·"))
    return el(
        "tr",
        el("td", quiet(formats.duration(step.timestamp - begin))),
        el(
            "td",
            el("span", sign, cls=f"dot {kind}", aria_hidden="true"),
            formats.visible(step.status),
            cls="ev",
        ),
        el("td", _detail(step), cls="wrap"),
        key=f"e:{at}:{step.status}:{step.timestamp}",
    )


def _detail(step: Step) -> str:
    if step.error_type:
        message = formats.visible(step.error_message or "", formats.LONGEST_MESSAGE)
        return (
            f"{formats.visible(step.error_type)}: {message}" if message else formats.visible(step.error_type)
        )
    place = " on " + formats.visible(step.host) if step.host else ""
    place += f", {formats.visible(step.worker)}" if step.worker else ""
    attempt = f"attempt {step.attempt} of {step.max_attempts}"
    match step.status:
        case contract.EVENT_ENQUEUED:
            return f"priority {step.priority}"
        case contract.EVENT_STARTED:
            return attempt + place
        case contract.EVENT_RETRYING:
            again = f", again in {formats.duration(step.retry_delay)}" if step.retry_delay else ""
            return f"{formats.plural(step.retries or 0, 'attempt remains', 'attempts remain')}{again}"
        case contract.EVENT_SCHEDULED:
            return f"runs at {formats.clock(step.execute_time)} UTC" if step.execute_time else ""
        case contract.EVENT_FINISHED:
            return f"{attempt}{place}, after {formats.duration(step.duration)}"
    return place.removeprefix(" ") if step.outcome else ""


def _traceback(timeline: Timeline) -> Node:
    title = f"Traceback of attempt {timeline.traceback_of}"
    return el(
        "section",
        el("div", el("h2", title, id="h-traceback"), cls="head"),
        el("pre", traceback(timeline.traceback), key="traceback", tabindex="0"),
        aria_labelledby="h-traceback",
    )
